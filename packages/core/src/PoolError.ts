/**
 * The errors of a pool. Each names the pool, says in one sentence what happened and what to do about it, and tells by
 * `isRetryable` whether the same effect may simply be tried again. None of them ever contains a credential.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Predicate from "effect/Predicate"
import * as Format from "./internal/format.js"
import * as PoolHolder from "./PoolHolder.js"
import type { PoolStats } from "./PoolStats.js"
import { summary } from "./PoolStats.js"

/**
 * What the errors of a pool are recognised by.
 *
 * @example
 * ```ts
 * import * as PoolError from "@dbpool/core/PoolError"
 * import * as Predicate from "effect/Predicate"
 *
 * const isPools = (u: unknown): boolean => Predicate.hasProperty(u, PoolError.TypeId)
 * ```
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = "~@dbpool/core/PoolError"

/**
 * The type of what the errors of a pool are recognised by.
 *
 * @example
 * ```ts
 * import type * as PoolError from "@dbpool/core/PoolError"
 *
 * interface Ours {
 *   readonly id: PoolError.TypeId
 * }
 * ```
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@dbpool/core/PoolError"

/**
 * Everything that waiting for a connection may fail with.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import type * as PoolError from "@dbpool/core/PoolError"
 * import * as Effect from "effect/Effect"
 *
 * const orElse = <C, A>(pool: Pool.Pool<C>, fallback: (error: PoolError.AcquireError) => A) =>
 *   pool.use((connection) => Effect.succeed(connection)).pipe(Effect.catchAll((error) => Effect.succeed(fallback(error))))
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type AcquireError =
  | TooManyConnections
  | AcquireTimeout
  | ConnectFailed
  | NestedAcquire
  | SessionLost
  | PoolSuspended
  | PoolClosed
  | InvalidPoolConfig

/**
 * Everything that a pool may fail with, from being made to its last lease.
 *
 * @example
 * ```ts
 * import type * as PoolError from "@dbpool/core/PoolError"
 *
 * const status = (error: PoolError.PoolError): number => error.isRetryable ? 503 : 500
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type PoolError = AcquireError

/**
 * Whether a value is one of the errors of this module.
 *
 * @example
 * ```ts
 * import * as PoolError from "@dbpool/core/PoolError"
 *
 * const describe = (error: unknown): string => PoolError.isPoolError(error) ? `pool: ${error.message}` : "something else"
 * ```
 *
 * @since 0.1.0
 * @category refinements
 */
export const isPoolError = (u: unknown): u is PoolError => Predicate.hasProperty(u, TypeId)

/**
 * No connection is free and the caller would not wait for one, or the server itself refuses more.
 *
 * - `Exhausted`: every connection is taken, and the caller asked not to wait (`whenExhausted: "fail"`, `tryAcquire`)
 * - `WaitersFull`: `maxWaiting` callers are waiting already
 * - `ServerRefused`: the server accepts no more connections, and the pool has none
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * const program = <C, A>(pool: Pool.Pool<C>, work: (connection: C) => Effect.Effect<A>) =>
 *   pool.use(work).pipe(Effect.catchTag("TooManyConnections", (error) => Effect.fail(`busy (${error.reason}), come back later`)))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class TooManyConnections extends Data.TaggedError("TooManyConnections")<{
  readonly pool: string
  readonly reason: "Exhausted" | "WaitersFull" | "ServerRefused"
  readonly stats: PoolStats
  readonly cause?: unknown
}> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return true
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    switch (this.reason) {
      case "Exhausted":
        return `Pool "${this.pool}" has no free connection and the caller would not wait: ${summary(this.stats)}`
      case "WaitersFull":
        return `Pool "${this.pool}" lets no more callers wait: ${summary(this.stats)}`
      case "ServerRefused":
        return `The server of pool "${this.pool}" accepts no more connections: ${Format.cause(this.cause)}`
    }
  }
}

/**
 * The caller's deadline passed before it got a connection.
 *
 * `phase` is what the pool was doing for it then: `queueing` for a connection that others hold, `connecting` to the
 * server, or `validating` an idle connection. `holders` are those who held the connections, longest first;
 * `lastConnectError` is there while the pool cannot connect.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * const program = <C, A>(pool: Pool.Pool<C>, work: (connection: C) => Effect.Effect<A>) =>
 *   pool.use(work).pipe(Effect.catchTag("AcquireTimeout", (error) => Effect.fail(`gave up ${error.phase} after ${error.waitedMillis} ms`)))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class AcquireTimeout extends Data.TaggedError("AcquireTimeout")<{
  readonly pool: string
  readonly phase: "queueing" | "connecting" | "validating"
  readonly waitedMillis: number
  readonly stats: PoolStats
  readonly holders: ReadonlyArray<PoolHolder.Holder>
  readonly lastConnectError?: unknown
}> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return true
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    const last = this.lastConnectError === undefined
      ? ""
      : `; the last attempt to connect failed: ${Format.cause(this.lastConnectError)}`
    const held = this.holders.length === 0 ? "" : `; held by ${PoolHolder.summary(this.holders)}`
    return `Pool "${this.pool}" had no connection within ${Format.millis(this.waitedMillis)} (${this.phase}): ` +
      `${summary(this.stats)}${held}${last}`
  }
}

/**
 * No connection can be had: every attempt failed, for longer than callers are made to wait, or fatally.
 *
 * `fatal` means that trying again soon is pointless (a wrong password, an unknown database), and makes `isRetryable`
 * false. `cause` is the driver's own error, `attempts` how many failed in a row, `ageMillis` how long ago the last one
 * did; the next one comes in `retryInMillis`, or is under way or waits for a caller when that is `undefined`.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * const program = <C, A>(pool: Pool.Pool<C>, work: (connection: C) => Effect.Effect<A>) =>
 *   pool.use(work).pipe(Effect.catchTag("ConnectFailed", (error) => Effect.fail(`the server is away, try again in ${error.retryInMillis ?? 0} ms`)))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectFailed extends Data.TaggedError("ConnectFailed")<{
  readonly pool: string
  readonly cause: unknown
  readonly attempts: number
  readonly fatal: boolean
  readonly ageMillis: number
  readonly retryInMillis: number | undefined
}> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return !this.fatal
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    const details = [
      this.attempts > 1 ? `${this.attempts} attempts` : "",
      this.ageMillis >= 1000 ? `the last one ${Format.millis(this.ageMillis)} ago` : "",
      this.retryInMillis === undefined ? "" : `the next one in ${Format.millis(this.retryInMillis)}`
    ].filter((detail) => detail !== "")
    const when = details.length === 0 ? "" : ` (${details.join(", ")})`
    return `Pool "${this.pool}" cannot connect${when}: ${Format.cause(this.cause)}`
  }
}

/**
 * The caller, or a fiber it descends from, holds a connection of the pool already and would have to wait for another.
 * Callers that do so can wait for each other for ever. Only with `nestedAcquire: "fail"`.
 *
 * `holder` is the lease it holds.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * const program = <C, A>(pool: Pool.Pool<C>, work: (connection: C) => Effect.Effect<A>) =>
 *   pool.use(work).pipe(Effect.catchTag("NestedAcquire", (error) => Effect.dieMessage(`a bug: held since ${error.holder.span}`)))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class NestedAcquire extends Data.TaggedError("NestedAcquire")<{
  readonly pool: string
  readonly holder: PoolHolder.Holder
}> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `Pool "${this.pool}" has no free connection, and the caller holds one already, taken by ` +
      `${PoolHolder.describe(this.holder)}: such callers can wait for each other for ever. Run both uses in one ` +
      "pool.session, or end the first before the second"
  }
}

/**
 * The connection of a session has died or was invalidated, and what it kept (locks, temporary tables, settings) with
 * it. Nothing was run. The session cannot go on; a new one can be opened.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * // the whole session, from its first step
 * const program = <C, A>(pool: Pool.Pool<C>, work: (connection: C) => Effect.Effect<A>) =>
 *   pool.session(pool.use(work)).pipe(Effect.retry({ times: 1, while: (error) => error._tag === "SessionLost" }))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionLost extends Data.TaggedError("SessionLost")<{ readonly pool: string }> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `A session of pool "${this.pool}" has lost its connection and cannot go on: open another one`
  }
}

/**
 * The pool is suspended, and the caller would not wait for it to be resumed.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * const program = <C, A>(pool: Pool.Pool<C>, work: (connection: C) => Effect.Effect<A>) =>
 *   pool.use(work).pipe(Effect.catchTag("PoolSuspended", (error) => Effect.fail(`${error.pool} is down for maintenance`)))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class PoolSuspended extends Data.TaggedError("PoolSuspended")<{ readonly pool: string }> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return true
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `Pool "${this.pool}" is suspended, and the caller would not wait until it is resumed`
  }
}

/**
 * The pool's scope is closed or closing.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * const program = <C, A>(pool: Pool.Pool<C>, work: (connection: C) => Effect.Effect<A>) =>
 *   pool.use(work).pipe(Effect.catchTag("PoolClosed", (error) => Effect.zipRight(Effect.logDebug(error), Effect.interrupt)))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class PoolClosed extends Data.TaggedError("PoolClosed")<{ readonly pool: string }> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `Pool "${this.pool}" is closed: its scope has ended`
  }
}

/**
 * An option of the pool is wrong, or does not go with another, and nothing was opened; or one of a caller's own, and the
 * caller got nothing.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * const pool = Pool.make({ connect: Effect.succeed("a connection"), maxConnections: 0 }).pipe(
 *   Effect.catchTag("InvalidPoolConfig", ({ option, requirement }) => Effect.dieMessage(`${option} ${requirement}`))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidPoolConfig extends Data.TaggedError("InvalidPoolConfig")<{
  readonly pool: string
  readonly option: string
  readonly requirement: string
}> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `Pool "${this.pool}": ${this.option} ${this.requirement}`
  }
}

/**
 * One attempt to connect took longer than `connectTimeout`. It reaches callers as the cause of `ConnectFailed`.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import * as PoolError from "@dbpool/core/PoolError"
 * import * as Effect from "effect/Effect"
 *
 * const isSlow = <C>(pool: Pool.Pool<C>) =>
 *   pool.use(() => Effect.succeed(false)).pipe(
 *     Effect.catchTag("ConnectFailed", ({ cause }) => Effect.succeed(cause instanceof PoolError.ConnectTimeout))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectTimeout extends Data.TaggedError("ConnectTimeout")<{ readonly afterMillis: number }> {
  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `no answer within ${Format.millis(this.afterMillis)}`
  }
}
