/**
 * The metric of statements, by the OpenTelemetry semantic conventions. Pools that are made below `PoolMetrics.layer` keep
 * it; the metrics of connections are in `PoolMetrics`.
 *
 * @since 0.1.0
 */
import * as PoolMetrics from "@dbpool/core/PoolMetrics"
import * as Metric from "effect/Metric"
import * as MetricKey from "effect/MetricKey"
import * as MetricLabel from "effect/MetricLabel"

/**
 * `db.client.operation.duration`: seconds from the moment a statement is sent to the end of its answer, or of its stream;
 * waiting for a connection is not in it. Pools give it the attributes of their spans, such as `db.system.name` and
 * `server.address`, and `db.client.connection.pool.name`; and `error.type` to statements that failed: the reason of a
 * `StatementError`, the tag of another error, or `Interrupted`.
 *
 * @example
 * ```ts
 * import * as SqlMetrics from "@dbpool/sql/SqlMetrics"
 * import * as Effect from "effect/Effect"
 * import * as Metric from "effect/Metric"
 *
 * const statements = Effect.map(
 *   Metric.value(SqlMetrics.operationDuration({ "db.client.connection.pool.name": "main", "db.system.name": "postgresql" })),
 *   ({ count }) => count
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const operationDuration = (attributes: Readonly<Record<string, string>>): Metric.Metric.Histogram<number> =>
  Metric.fromMetricKey(MetricKey.taggedWithLabels(
    MetricKey.histogram(
      "db.client.operation.duration",
      PoolMetrics.boundaries,
      "The duration of database client operations."
    ),
    [...Object.entries(attributes), ["unit", "s"] as const].map(([key, value]) => MetricLabel.make(key, value))
  ))
