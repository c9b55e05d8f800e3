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
