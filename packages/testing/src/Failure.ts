/**
 * The typed error of an exit, for tests in which there must be one.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"

/**
 * The error that an exit has failed with. Throws if it has succeeded, died or been interrupted, and says which.
 *
 * @example
 * ```ts
 * import * as Failure from "@dbpool/testing/Failure"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const exit = yield* Effect.exit(Effect.fail("no"))
 *   const error: string = Failure.of(exit)
 * })
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const of = <E>(exit: Exit.Exit<unknown, E>): E => {
  if (Exit.isSuccess(exit)) throw new Error("it has not failed")
  const error = Cause.failureOption(exit.cause)
  if (Option.isNone(error)) throw new Error(`it has not failed with an error of its own: ${Cause.pretty(exit.cause)}`)
  return error.value
}

/**
 * The error of that tag that an exit has failed with. Throws if it has not, and says what else it has done.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as Failure from "@dbpool/testing/Failure"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const pool = yield* Pool.make({ connect: Effect.succeed("a connection"), maxConnections: 1 })
 *   yield* pool.acquire
 *   const exit = yield* Effect.exit(Effect.scoped(pool.tryAcquire))
 *   const { reason } = Failure.tagged(exit, "TooManyConnections")
 * })
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const tagged = <E, T extends Extract<E, { readonly _tag: string }>["_tag"]>(
  exit: Exit.Exit<unknown, E>,
  tag: T
): Extract<E, { readonly _tag: T }> => {
  const error = of(exit)
  const is = typeof error === "object" && error !== null && "_tag" in error ? error._tag : undefined
  if (is !== tag) throw new Error(`it has not failed with ${tag}: ${String(error)}`, { cause: error })
  return error as Extract<E, { readonly _tag: T }>
}
