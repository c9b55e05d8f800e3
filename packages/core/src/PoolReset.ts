/**
 * What is done to a connection that comes back before it is lent again. Policies are plain data and compose.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"

/**
 * `onDirty` makes a connection clean whose holder has left something behind; without it such connections are closed.
 * `onClean` is run on all others; without it they are lent on as they are, at no cost.
 *
 * Both are bounded by `resetTimeout`. One that fails, answers `false`, or leaves the connection dirty has it closed.
 *
 * @example
 * ```ts
 * import type * as PoolReset from "@dbpool/core/PoolReset"
 * import * as Effect from "effect/Effect"
 *
 * interface Ftp {
 *   readonly abort: Effect.Effect<void>
 *   readonly changeDirectory: (path: string) => Effect.Effect<void>
 * }
 *
 * const reset: PoolReset.Reset<Ftp> = {
 *   onClean: (ftp) => ftp.changeDirectory("/"),
 *   onDirty: (ftp) => Effect.zipRight(ftp.abort, ftp.changeDirectory("/"))
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Reset<in C, out R = never> {
  readonly onClean?: ((connection: C) => Effect.Effect<unknown, unknown, R>) | undefined
  readonly onDirty?: ((connection: C) => Effect.Effect<unknown, unknown, R>) | undefined
}

/**
 * Keeps what comes back clean as it is, and closes what comes back dirty. The default.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolReset from "@dbpool/core/PoolReset"
 * import * as Effect from "effect/Effect"
 *
 * const pool = Pool.make({ connect: Effect.succeed("a connection"), reset: PoolReset.none })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: Reset<unknown> = {}

/**
 * Only what comes back dirty is reset.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolReset from "@dbpool/core/PoolReset"
 * import * as Effect from "effect/Effect"
 *
 * interface Session {
 *   open: boolean
 *   readonly rollback: Effect.Effect<void>
 * }
 *
 * const pool = (connect: Effect.Effect<Session>) =>
 *   Pool.make({
 *     connect,
 *     condition: (session) => session.open ? "dirty" : "clean",
 *     reset: PoolReset.whenDirty((session: Session) => session.rollback)
 *   })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const whenDirty = <C, R = never>(
  reset: (connection: C) => Effect.Effect<unknown, unknown, R>
): Reset<C, R> => ({ onDirty: reset })

/**
 * Whatever comes back is reset, whether it looks dirty or not: for what a connection cannot tell about itself.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolReset from "@dbpool/core/PoolReset"
 * import * as Effect from "effect/Effect"
 *
 * interface Ftp {
 *   readonly changeDirectory: (path: string) => Effect.Effect<void>
 * }
 *
 * const pool = (connect: Effect.Effect<Ftp>) =>
 *   Pool.make({ connect, reset: PoolReset.always((ftp: Ftp) => ftp.changeDirectory("/")) })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const always = <C, R = never>(
  reset: (connection: C) => Effect.Effect<unknown, unknown, R>
): Reset<C, R> => ({ onClean: reset, onDirty: reset })

/**
 * One policy after the other. If the first fails, or answers `false`, the second is not tried.
 *
 * @example
 * ```ts
 * import * as PoolReset from "@dbpool/core/PoolReset"
 * import * as Effect from "effect/Effect"
 *
 * interface Session {
 *   readonly rollback: Effect.Effect<void>
 *   readonly forgetVariables: Effect.Effect<void>
 * }
 *
 * const reset = PoolReset.andThen(
 *   PoolReset.whenDirty((session: Session) => session.rollback),
 *   PoolReset.always((session: Session) => session.forgetVariables)
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const andThen: {
  <C, R2>(second: Reset<C, R2>): <R>(first: Reset<C, R>) => Reset<C, R | R2>
  <C, R, R2>(first: Reset<C, R>, second: Reset<C, R2>): Reset<C, R | R2>
} = dual(2, <C, R, R2>(first: Reset<C, R>, second: Reset<C, R2>): Reset<C, R | R2> => ({
  onClean: both(first.onClean, second.onClean),
  onDirty: both(first.onDirty, second.onDirty)
}))

type Step<C, R> = Reset<C, R>["onClean"]

const both = <C, R, R2>(first: Step<C, R>, second: Step<C, R2>): Step<C, R | R2> => {
  if (first === undefined || second === undefined) return first ?? second
  return (connection) =>
    Effect.flatMap(first(connection), (kept) => kept === false ? Effect.succeed(false) : second(connection))
}
