/**
 * What the engine knows of the things it pools. The environment is provided by the runtime captured when the pool was
 * made, so nothing is left in the types.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Fault } from "./admission.js"

/** @internal */
export type Condition = "clean" | "dirty" | "busy" | "broken"

/** @internal */
export interface Hooks<C> {
  readonly connect: Effect.Effect<C, unknown, Scope.Scope>
  readonly fault: (error: any) => Fault
  readonly validate: ((connection: C) => Effect.Effect<unknown, unknown>) | undefined
  readonly condition: ((connection: C) => Condition) | undefined
  readonly cancel: ((connection: C) => Effect.Effect<unknown, unknown>) | undefined
  readonly reset: ((connection: C) => Effect.Effect<unknown, unknown>) | undefined
  readonly onLost: ((connection: C, lost: (cause: unknown) => void) => void) | undefined
  readonly destroy: ((connection: C) => void) | undefined
}

/**
 * What a connection is like. What a hook that throws says of it is that it must not be lent again.
 *
 * @internal
 */
export const conditionOf = <C>({ condition }: Hooks<C>, connection: C): Condition => {
  if (condition === undefined) return "clean"
  try {
    return condition(connection)
  } catch {
    return "broken"
  }
}
