/**
 * What a pool is doing and what it has done so far.
 *
 * @since 0.1.0
 */
import { dual } from "effect/Function"
import * as Record from "effect/Record"
import * as Struct from "effect/Struct"
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
  /** how long callers have waited altogether, those included that got an error in the end */
  readonly waitedMillis: number
  /** how long connections have been held altogether, by those who have given them back */
  readonly heldMillis: number
  /** connections opened */
  readonly opened: number
  /** how long opening them took altogether */
  readonly connectMillis: number
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

/**
 * What happened between two snapshots of a pool: the later one, with the counters of what was done in between. Nobody has
 * to reset counters, which others may be reading, too.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import * as PoolStats from "@dbpool/core/PoolStats"
 * import * as Effect from "effect/Effect"
 *
 * const everyMinute = <C>(pool: Pool.Pool<C>) =>
 *   Effect.gen(function*() {
 *     let last = yield* pool.stats
 *     while (true) {
 *       yield* Effect.sleep("1 minute")
 *       const stats = yield* pool.stats
 *       const { acquired, waitedMillis } = PoolStats.since(stats, last)
 *       yield* Effect.log(`${acquired} leases in this minute, for which callers waited ${waitedMillis} ms`)
 *       last = stats
 *     }
 *   })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const since: {
  (earlier: PoolStats): (later: PoolStats) => PoolStats
  (later: PoolStats, earlier: PoolStats): PoolStats
} = dual(2, (later: PoolStats, earlier: PoolStats): PoolStats => {
  const less = <K extends string>(of: { readonly [P in K]: number }, from: { readonly [P in NoInfer<K>]: number }) =>
    Record.map<K, number, number>(of, (count, key) => count - from[key])
  return {
    ...later,
    ...less<(typeof counters)[number]>(Struct.pick(later, ...counters), earlier),
    retired: less(later.retired, earlier.retired),
    refused: less(later.refused, earlier.refused)
  }
})

const counters = [
  "acquired",
  "reused",
  "waited",
  "waitedMillis",
  "heldMillis",
  "opened",
  "connectMillis",
  "closed",
  "abandoned",
  "connectFailures",
  "overdue"
] as const
