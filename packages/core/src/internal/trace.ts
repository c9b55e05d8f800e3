/**
 * A span for the time in which a caller waits for its connection, whatever for. Those who wait for nothing have none.
 */
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"
import type { Engine } from "./engine.js"

const nativeTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** with Effect's own tracer nobody would see it @internal */
export const waiting = <C, A, E, R>(engine: Engine<C>, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) =>
    fiber.currentTracer === nativeTracer
      ? self
      : Effect.useSpan(
        "pool.acquire",
        { attributes: { "pool.name": engine.config.name }, captureStackTrace: false },
        () => self
      )
  )
