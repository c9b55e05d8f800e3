/**
 * What holds for all statements of a region of a program. Looked up without effects, so that it costs next to nothing
 * where nobody has set it.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** @internal */
export interface StatementSettings {
  readonly timeout?: Duration.DurationInput | undefined
  readonly idempotent?: boolean | undefined
}

const none: StatementSettings = {}

class Region extends Context.Reference<Region>()("~@dbpool/sql/StatementSettings", {
  defaultValue: () => none
}) {}

/** what holds where a fiber is right now @internal */
export const of = (fiber: Fiber.RuntimeFiber<any, any>): StatementSettings =>
  fiber.currentContext.unsafeMap.get(Region.key) ?? none

/** a region within a region inherits what it doesn't set @internal */
export const within = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  settings: StatementSettings
): Effect.Effect<A, E, R> =>
  Effect.flatMap(Region, (outer) => Effect.provideService(self, Region, { ...outer, ...settings }))
