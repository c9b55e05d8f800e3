/**
 * What the engine knows of the things it pools. The environment is provided by the runtime captured when the pool was
 * made, so nothing is left in the types.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PoolConfig } from "../PoolConfig.js"
import type { Reset } from "../PoolReset.js"
import type { Fault } from "./admission.js"

/** @internal */
export type Condition = "clean" | "dirty" | "busy" | "broken"

/** @internal */
export interface Hooks<C> {
  readonly connect: Effect.Effect<C, unknown, Scope.Scope>
  readonly setup: ((connection: C) => Effect.Effect<unknown, unknown, Scope.Scope>) | undefined
  readonly fault: (error: any) => Fault
  readonly validate: ((connection: C) => Effect.Effect<unknown, unknown>) | undefined
  readonly condition: ((connection: C) => Condition) | undefined
  readonly cancel: ((connection: C) => Effect.Effect<unknown, unknown>) | undefined
  readonly reset: Reset<C>
  readonly worn: ((connection: C) => boolean) | undefined
  readonly activity: ((connection: C) => string | undefined) | undefined
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

/**
 * Whether a driver wants a connection replaced. What a hook that throws says is that it does.
 *
 * @internal
 */
export const isWorn = <C>({ worn }: Hooks<C>, connection: C): boolean => {
  if (worn === undefined) return false
  try {
    return worn(connection)
  } catch {
    return true
  }
}

/**
 * What the holder of a connection does with it. What a hook that throws says is nothing.
 *
 * @internal
 */
export const activityOf = <C>({ activity }: Hooks<C>, connection: C): string | undefined => {
  try {
    return activity?.(connection)
  } catch {
    return undefined
  }
}

/** @internal */
export const validatesOn = <C>(config: PoolConfig, hooks: Hooks<C>, moment: "acquire" | "return"): boolean =>
  hooks.validate !== undefined && config.validateOn.includes(moment)
