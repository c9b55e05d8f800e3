/**
 * The spans of a pool: one for the time in which a caller waits for its connection, whatever for, and one for every
 * attempt to connect. Those who wait for nothing have none. With Effect's own tracer nobody would see them.
 */
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"

const nativeTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** whether anybody would see a span of that fiber @internal */
export const isSeen = (fiber: Fiber.RuntimeFiber<any, any>): boolean => fiber.currentTracer !== nativeTracer

const spanned = <C, A, E, R>(
  engine: Engine<C>,
  self: Effect.Effect<A, E, R>,
  name: string,
  options: () => Tracer.SpanOptions = () => ({})
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    if (!isSeen(fiber)) return self
    const { attributes, ...rest } = options()
    const own = { "db.client.connection.pool.name": engine.config.name, ...attributes }
    return Effect.useSpan(
      name,
      { captureStackTrace: false, ...rest, attributes: own },
      (span) => Effect.withParentSpan(self, span)
    )
  })

/** @internal */
export const waiting = <C, A, E, R>(engine: Engine<C>, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  spanned(engine, self, "pool.acquire")

/**
 * It has no parent: whatever made the pool is over by now.
 *
 * @internal
 */
export const connecting = <C, A, E, R>(
  engine: Engine<C>,
  entry: Entry<C>,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  spanned(engine, self, "pool.connect", () => ({
    kind: "client",
    root: true,
    attributes: { "dbpool.connection.id": entry.id }
  }))
