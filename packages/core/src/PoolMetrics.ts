/**
 * The metrics of a pool, by the OpenTelemetry semantic conventions: names, units, attributes and buckets are theirs. They
 * are Effect's own `Metric`s, so that every exporter for those has them, such as `@effect/opentelemetry`'s.
 *
 * Measuring is off until `layer` is provided to what makes the pools, and costs nothing until then.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import * as MetricLabel from "effect/MetricLabel"

/**
 * Whether pools that are made here are measured. Default: `false`
 *
 * @example
 * ```ts
 * import * as PoolMetrics from "@dbpool/core/PoolMetrics"
 * import * as Effect from "effect/Effect"
 *
 * const measured = Effect.map(PoolMetrics.Enabled, (enabled) => enabled)
 * ```
 *
 * @since 0.1.0
 * @category references
 */
export class Enabled extends Context.Reference<Enabled>()("~@dbpool/core/PoolMetrics", {
  defaultValue: (): boolean => false
}) {}

/**
 * Has every pool measured that is made with this layer provided.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolMetrics from "@dbpool/core/PoolMetrics"
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
 *   Layer.provide(PoolMetrics.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Enabled> = Layer.succeed(Enabled, true)

/**
 * The nine metrics of one pool, which has several readings of the first. Two pools of the same name are added up.
 *
 * - `idle`, `used`: `db.client.connection.count` with the attribute `db.client.connection.state`. Those being validated
 *   count as idle, those being made fit to be lent again as used, and those being opened or closed not at all
 * - `idleMax`, `idleMin`, `max`: the limits `maxIdle`, `minConnections` and `maxConnections`
 * - `pendingRequests`: callers that wait
 * - `timeouts`: callers that got `AcquireTimeout`
 * - `createTime`, `waitTime`, `useTime`: seconds; the wait of those who got their connection at once is zero
 *
 * @example
 * ```ts
 * import * as PoolMetrics from "@dbpool/core/PoolMetrics"
 * import * as Effect from "effect/Effect"
 * import * as Metric from "effect/Metric"
 *
 * const waiting = Effect.map(Metric.value(PoolMetrics.of("orders").pendingRequests), ({ count }) => count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface PoolMetrics {
  readonly idle: Metric.Metric.Counter<number>
  readonly used: Metric.Metric.Counter<number>
  readonly idleMax: Metric.Metric.Counter<number>
  readonly idleMin: Metric.Metric.Counter<number>
  readonly max: Metric.Metric.Counter<number>
  readonly pendingRequests: Metric.Metric.Counter<number>
  readonly timeouts: Metric.Metric.Counter<number>
  readonly createTime: Metric.Metric.Histogram<number>
  readonly waitTime: Metric.Metric.Histogram<number>
  readonly useTime: Metric.Metric.Histogram<number>
}

/**
 * The buckets of every duration, in seconds, as the conventions advise for database calls.
 *
 * @example
 * ```ts
 * import * as PoolMetrics from "@dbpool/core/PoolMetrics"
 * import * as Metric from "effect/Metric"
 *
 * const mine = Metric.histogram("app.job.duration", PoolMetrics.boundaries)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const boundaries: MetricBoundaries.MetricBoundaries = MetricBoundaries.fromIterable([
  0.001,
  0.005,
  0.01,
  0.05,
  0.1,
  0.5,
  1,
  5,
  10
])

/**
 * The metrics of the pool of that name, whether there is one or not yet.
 *
 * @example
 * ```ts
 * import * as PoolMetrics from "@dbpool/core/PoolMetrics"
 * import * as Effect from "effect/Effect"
 * import * as Metric from "effect/Metric"
 *
 * const slowest = Effect.map(Metric.value(PoolMetrics.of("orders").waitTime), ({ max }) => `${max} s`)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (pool: string): PoolMetrics => {
  const labels = (unit: string, state?: "idle" | "used") => [
    MetricLabel.make("db.client.connection.pool.name", pool),
    ...(state === undefined ? [] : [MetricLabel.make("db.client.connection.state", state)]),
    // what exporters take for the unit, as Effect's metrics have none
    MetricLabel.make("unit", unit)
  ]
  const counter = (
    name: string,
    unit: string,
    description: string,
    options?: { readonly state?: "idle" | "used"; readonly incremental?: boolean }
  ) =>
    Metric.fromMetricKey(MetricKey.taggedWithLabels(
      MetricKey.counter(`db.client.connection.${name}`, { description, incremental: options?.incremental ?? false }),
      labels(unit, options?.state)
    ))
  const histogram = (name: string, description: string) =>
    Metric.fromMetricKey(MetricKey.taggedWithLabels(
      MetricKey.histogram(`db.client.connection.${name}`, boundaries, description),
      labels("s")
    ))
  const count = "The number of connections that are currently in the state described by the state attribute."
  return {
    idle: counter("count", "{connection}", count, { state: "idle" }),
    used: counter("count", "{connection}", count, { state: "used" }),
    idleMax: counter("idle.max", "{connection}", "The maximum number of idle open connections allowed."),
    idleMin: counter("idle.min", "{connection}", "The minimum number of idle open connections allowed."),
    max: counter("max", "{connection}", "The maximum number of open connections allowed."),
    pendingRequests: counter("pending_requests", "{request}", "The number of callers waiting for a connection."),
    timeouts: counter("timeouts", "{timeout}", "The number of callers whose wait for a connection timed out.", {
      incremental: true
    }),
    createTime: histogram("create_time", "The time it took to open a new connection."),
    waitTime: histogram("wait_time", "The time it took to obtain a connection from the pool."),
    useTime: histogram("use_time", "The time between borrowing a connection and giving it back.")
  }
}
