/**
 * Ready-made schedules for whatever a pool repeats. Each is an ordinary `Schedule` and composes with every other.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"

/**
 * The default of `connectRetry`: 100 ms, doubling up to 5 s, each at random within ±25 %, without end.
 *
 * The randomness keeps the processes of a fleet from knocking at a server that comes back all at the same moment.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolSchedule from "@dbpool/core/PoolSchedule"
 * import * as Effect from "effect/Effect"
 * import * as Schedule from "effect/Schedule"
 *
 * // give up after ten attempts: the callers that wait then get ConnectFailed, the next one starts anew
 * const pool = Pool.make({
 *   connect: Effect.succeed("a connection"),
 *   connectRetry: PoolSchedule.connect.pipe(Schedule.intersect(Schedule.recurs(10)))
 * })
 * ```
 *
 * @since 0.1.0
 * @category schedules
 */
export const connect: Schedule.Schedule<Duration.Duration> = Schedule.exponential("100 millis").pipe(
  Schedule.modifyDelay((_, delay) => Duration.min(delay, "5 seconds")),
  Schedule.jitteredWith({ min: 0.75, max: 1.25 })
)

/**
 * For repeating what a server undid because of others, such as a transaction that met a serialization failure or a
 * deadlock: at most five times, after 20 ms, doubling, each at random within ±50 %, so that the same two don't meet again.
 *
 * @example
 * ```ts
 * import * as PoolSchedule from "@dbpool/core/PoolSchedule"
 * import * as SqlPool from "@dbpool/sql/SqlPool"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * const transfer = Effect.gen(function*() {
 *   const sql = yield* SqlClient.SqlClient
 *   yield* sql`update accounts set balance = balance - 10 where id = 1`
 *   yield* sql`update accounts set balance = balance + 10 where id = 2`
 * })
 *
 * const program = Effect.flatMap(SqlPool.SqlPool, (pool) =>
 *   transfer.pipe(pool.transaction({ isolation: "serializable", retry: PoolSchedule.conflict })))
 * ```
 *
 * @since 0.1.0
 * @category schedules
 */
export const conflict: Schedule.Schedule<Duration.Duration> = Schedule.exponential("20 millis").pipe(
  Schedule.jitteredWith({ min: 0.5, max: 1.5 }),
  Schedule.intersect(Schedule.recurs(5)),
  Schedule.map(([delay]) => delay)
)

/**
 * For `keepaliveSchedule`: again and again after that time, each at random within ±10 %, so that the processes of a fleet
 * don't ask all at once.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolSchedule from "@dbpool/core/PoolSchedule"
 * import * as Effect from "effect/Effect"
 * import * as Schedule from "effect/Schedule"
 *
 * // every 30 seconds, and every 5 as long as connections turn out to be stale
 * const pool = Pool.make({
 *   connect: Effect.succeed("a connection"),
 *   validate: () => Effect.succeed(true),
 *   keepaliveSchedule: PoolSchedule.keepalive("30 seconds").pipe(
 *     Schedule.union(Schedule.spaced("5 seconds").pipe(Schedule.whileInput((stale: number) => stale > 0)))
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 * @category schedules
 */
export const keepalive = (interval: Duration.DurationInput): Schedule.Schedule<number> =>
  Schedule.spaced(interval).pipe(Schedule.jitteredWith({ min: 0.9, max: 1.1 }))

/**
 * For `idleSchedule`, given the pool's `idleTimeout`: looks four times within it, so that connections are closed
 * together and not one by one, and none is idle for more than a quarter longer.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolSchedule from "@dbpool/core/PoolSchedule"
 * import * as Effect from "effect/Effect"
 *
 * const pool = Pool.make({
 *   connect: Effect.succeed("a connection"),
 *   idleTimeout: "2 minutes",
 *   idleSchedule: PoolSchedule.idle("2 minutes")
 * })
 * ```
 *
 * @since 0.1.0
 * @category schedules
 */
export const idle = (timeout: Duration.DurationInput): Schedule.Schedule<number> =>
  Schedule.spaced(Duration.times(timeout, 0.25))
