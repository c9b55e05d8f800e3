/**
 * All of Effect's metrics as Prometheus reads them, by way of OpenTelemetry.
 */
import * as Metrics from "@effect/opentelemetry/Metrics"
import * as Resource from "@effect/opentelemetry/Resource"
import { PrometheusExporter, PrometheusSerializer } from "@opentelemetry/exporter-prometheus"
import type { MetricData, ResourceMetrics } from "@opentelemetry/sdk-metrics"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export class Prometheus
  extends Context.Tag("examples/Prometheus")<Prometheus, { readonly text: Effect.Effect<string> }>()
{
  static readonly Default = Layer.unwrapEffect(Effect.sync(() => {
    const exporter = new PrometheusExporter({ preventServerStart: true })
    const serializer = new PrometheusSerializer()
    const text = Effect.map(
      Effect.promise(() => exporter.collect()),
      ({ resourceMetrics }) => serializer.serialize(renamed(resourceMetrics))
    )
    return Layer.succeed(Prometheus, { text }).pipe(
      Layer.merge(Layer.provide(Metrics.layer(() => exporter), Resource.layer({ serviceName: "example" })))
    )
  }))
}

const renamed = (metrics: ResourceMetrics): ResourceMetrics => ({
  ...metrics,
  scopeMetrics: metrics.scopeMetrics.map((scope) => ({ ...scope, metrics: scope.metrics.map(rename) }))
})

/** Prometheus wants the unit at the end of a name, no label for it, and `_count` for histograms only */
const rename = (metric: MetricData): MetricData => {
  const { name, unit } = metric.descriptor
  const prometheus = name === "db.client.connection.count"
    ? "db.client.connections"
    : unit === "s"
    ? `${name}.seconds`
    : name
  return {
    ...metric,
    descriptor: { ...metric.descriptor, name: prometheus },
    dataPoints: metric.dataPoints.map((point) => {
      const { time_unit: _, unit: __, ...attributes } = point.attributes
      return { ...point, attributes }
    })
  } as MetricData
}
