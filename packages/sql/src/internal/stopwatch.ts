/**
 * Measures statements, for pools below `PoolMetrics.layer`.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import * as SqlMetrics from "../SqlMetrics.js"
import type { Attributes } from "./trace.js"

/** always this array, by which Effect knows at a glance that there are none */
const noLabels: ReadonlyArray<never> = []

/** @internal */
export class Stopwatch {
  private readonly metrics = new Map<string, Metric.Metric.Histogram<number>>()
  private readonly attributes: Readonly<Record<string, string>>

  /** `typeOf`: the `error.type` of what a statement failed with; there must be few of them */
  constructor(
    private readonly clock: Clock.Clock,
    attributes: Attributes,
    private readonly typeOf: (error: unknown) => string
  ) {
    this.attributes = Object.fromEntries(attributes.map(([key, value]) => [key, String(value)]))
  }

  effect<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const stop = this.start()
      return Effect.onExit(self, (exit) => Effect.sync(() => stop(exit)))
    })
  }

  /** from the first pull to its end, whoever ends it; a stream that is not read to its end has not failed */
  stream<A, E, R>(self: Stream.Stream<A, E, R>): Stream.Stream<A, E, R> {
    return Stream.unwrapScoped(Effect.suspend(() => {
      const stop = this.start()
      let failure: Exit.Exit<unknown, unknown> = Exit.void
      return Effect.as(
        Effect.addFinalizer(() => Effect.sync(() => stop(failure))),
        Stream.tapErrorCause(self, (cause) =>
          Effect.sync(() => {
            failure = Exit.failCause(cause)
          }))
      )
    }))
  }

  /** begins to measure; what it answers ends it */
  start(): (exit: Exit.Exit<unknown, unknown>) => void {
    const begun = this.clock.unsafeCurrentTimeNanos()
    return (exit) => {
      const seconds = Number(this.clock.unsafeCurrentTimeNanos() - begun) / 1e9
      this.metric(Exit.isSuccess(exit) ? undefined : this.errorType(exit.cause)).unsafeUpdate(seconds, noLabels)
    }
  }

  private errorType(cause: Cause.Cause<unknown>): string {
    return Cause.isInterruptedOnly(cause) ? "Interrupted" : this.typeOf(Cause.squash(cause))
  }

  private metric(errorType: string | undefined): Metric.Metric.Histogram<number> {
    const key = errorType ?? ""
    let metric = this.metrics.get(key)
    if (metric === undefined) {
      metric = SqlMetrics.operationDuration(
        errorType === undefined ? this.attributes : { ...this.attributes, "error.type": errorType }
      )
      this.metrics.set(key, metric)
    }
    return metric
  }
}
