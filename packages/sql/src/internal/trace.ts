/**
 * Whether anybody would see a span: with Effect's own tracer nobody does, and none is made.
 */
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"

const nativeTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** @internal */
export const isSeen = (fiber: Fiber.RuntimeFiber<any, any>): boolean => fiber.currentTracer !== nativeTracer

/** what every span of a client says @internal */
export type Attributes = ReadonlyArray<readonly [string, unknown]>

/** a transaction or savepoint; the statements inside are its children @internal */
export const transaction = <A, E, R>(
  fiber: Fiber.RuntimeFiber<any, any>,
  attributes: Attributes,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  isSeen(fiber)
    ? Effect.useSpan(
      "sql.transaction",
      { kind: "client", captureStackTrace: false, attributes: Object.fromEntries(attributes) },
      (span) => Effect.withParentSpan(self, span)
    )
    : self
