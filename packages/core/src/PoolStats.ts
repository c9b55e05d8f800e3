/**
 * What a pool is doing and what it has done so far.
 *
 * @since 0.1.0
 */
import type { AcquireError } from "./PoolError.js"

/**
 * Why a connection is not lent again. `idleTimeout`, `maxLifetime`, `maxUses` and `maxIdle` are the options of that name.
 *
 * - `worn`: its driver said so, by `worn`
 * - `drained`, `evicted`, `resized`: an operator asked for it
 * - `stale`: it failed its validation
 * - `lost`: it died by itself, whether idle or lent
 * - `invalidated`: its holder said that it was no good, or ended a session while leases in it went on
 * - `unrestored`: what its holder had left behind could not be cleared away
 * - `closing`: the pool's scope closed
 *
 * @example
 * ```ts
 * import type * as PoolStats from "@dbpool/core/PoolStats"
 *
 * const unplanned: ReadonlyArray<PoolStats.RetireReason> = ["stale", "lost", "unrestored"]
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type RetireReason =
  | "idleTimeout"
  | "maxLifetime"
  | "maxUses"
  | "maxIdle"
  | "worn"
  | "drained"
  | "evicted"
  | "resized"
  | "stale"
  | "lost"
  | "invalidated"
  | "unrestored"
  | "closing"

/**
 * A consistent snapshot of one pool: all numbers are of the same instant.
 *
 * `open` is the sum of `idle`, `reserved`, `leased`, `cancelling`, `resetting`, `connecting` and `closing`, and never
 * exceeds `maxConnections`. The counters below `waiting` only ever grow.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const pool = yield* Pool.make({ connect: Effect.succeed("a connection") })
 *   const stats = yield* pool.stats
 *   yield* Effect.log(`${stats.leased} of ${stats.open} connections in use, ${stats.waiting} callers waiting`)
 * })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface PoolStats {
  readonly name: string
  readonly maxConnections: number
  readonly minConnections: number
  /** slots taken: connections that are open, being opened or being closed */
  readonly open: number
  readonly idle: number
  /** being validated */
  readonly reserved: number
  readonly leased: number
  /** given back with a statement still running, which is being cancelled */
  readonly cancelling: number
  /** given back and being made fit to be lent again */
  readonly resetting: number
  readonly connecting: number
  readonly closing: number
  /** callers in the queue */
  readonly waiting: number
  /** leases handed out */
  readonly acquired: number
  /** leases of a connection that had been lent before */
  readonly reused: number
  /** callers that had to wait for their lease, whatever came of it */
  readonly waited: number
  /** connections opened */
  readonly opened: number
  /** connections closed or destroyed, those of which `closeTimeout` had passed included */
  readonly closed: number
  /** connections that were not lent again, by reason */
  readonly retired: Readonly<Record<RetireReason, number>>
  /** connections that had to be destroyed because they did not close within `closeTimeout`, or failed to */
  readonly abandoned: number
  /** attempts to connect that failed */
  readonly connectFailures: number
  /** callers that got an error instead of a connection, by its tag */
  readonly refused: Readonly<Record<AcquireError["_tag"], number>>
  /** leases that passed `leakDetectionThreshold` */
  readonly overdue: number
}

/**
 * One line for logs and error messages.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolStats from "@dbpool/core/PoolStats"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const pool = yield* Pool.make({ connect: Effect.succeed("a connection") })
 *   yield* Effect.log(PoolStats.summary(yield* pool.stats))
 * })
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const summary = (stats: PoolStats): string =>
  `${stats.open} of ${stats.maxConnections} open (${stats.leased} leased, ${stats.idle} idle, ` +
  `${stats.connecting} connecting), ${stats.waiting} waiting`
