/**
 * What happens in pools, as log lines that a person can read and a machine can search: an outage is one warning and one
 * recovery, whatever the number of callers, and what comes in masses is counted instead of repeated.
 *
 * Logging is off until `layer` is provided to what makes the pools. Leaks and nested waits are logged without it, by the
 * options `leakDetectionThreshold` and `nestedAcquire`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"

/**
 * How pools log.
 *
 * @example
 * ```ts
 * import type * as PoolLogger from "@dbpool/core/PoolLogger"
 *
 * const quiet: PoolLogger.Options = { every: "1 minute" }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The first line of a kind is logged at once; those that follow are counted, and told in one line after that time. Above
   * zero. Default: 10 seconds
   */
  readonly every?: Duration.DurationInput | undefined
}

/**
 * How pools that are made here log; `undefined` is not at all, the default.
 *
 * @example
 * ```ts
 * import * as PoolLogger from "@dbpool/core/PoolLogger"
 * import * as Effect from "effect/Effect"
 *
 * const logs = Effect.map(PoolLogger.Settings, (settings) => settings !== undefined)
 * ```
 *
 * @since 0.1.0
 * @category references
 */
export class Settings extends Context.Reference<Settings>()("~@dbpool/core/PoolLogger", {
  defaultValue: (): Options | undefined => undefined
}) {}

/**
 * Has every pool log that is made with this layer provided. Each line carries the annotations `pool` and `event`, which is
 * the tag of a `PoolEvent`, and the event's numbers.
 *
 * - warnings: an outage or a limit that begins, callers that got `AcquireTimeout`, `TooManyConnections` or
 *   `NestedAcquire` outside of one, and connections that would not close
 * - infos: the end of an outage or a limit, with how many callers got an error in it; connections that were lost, stale
 *   or could not be restored; what an operator did; and the end of the pool
 * - debugs: all other openings and closings, every failed attempt to connect, and the other errors of callers
 *
 * A pool whose `every` is no duration above zero fails with `InvalidPoolConfig` when it is made.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolLogger from "@dbpool/core/PoolLogger"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * interface FtpConnection {
 *   readonly list: Effect.Effect<ReadonlyArray<string>>
 * }
 *
 * class Ftp extends Pool.Tag("app/Ftp")<Ftp, FtpConnection>() {}
 *
 * const FtpLive = Ftp.layer({ connect: Effect.succeed({ list: Effect.succeed(["a.txt"]) }), name: "ftp" }).pipe(
 *   Layer.provide(PoolLogger.layer())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<Settings> => Layer.succeed(Settings, options)
