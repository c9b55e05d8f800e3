/**
 * Keeps the metrics of one pool true, from when it is made until it has closed.
 *
 * The conventions want counters that go up and down where others would have gauges: each pool adds what has changed, so
 * that several of the same name add up, and takes everything back when it closes.
 */
import type * as Metric from "effect/Metric"
import type { PoolOccurrence } from "../PoolEvent.js"
import * as PoolMetrics from "../PoolMetrics.js"
import type { Engine } from "./engine.js"
import { State } from "./entry.js"

/** they have their labels already; always this array, by which Effect knows it at a glance */
const noLabels: ReadonlyArray<never> = []

const update = (metric: Metric.Metric<any, number, unknown>, value: number): void =>
  metric.unsafeUpdate(value, noLabels)

const seconds = (metric: Metric.Metric<any, number, unknown>, millis: number): void => update(metric, millis / 1000)

/** @internal */
export const start = <C>(engine: Engine<C>): void => {
  const metrics = PoolMetrics.of(engine.config.name)
  // those that have nothing to say yet are there, too, and say zero
  for (const metric of Object.values(metrics)) metric.register()
  const readings: Partial<Record<State, Metric.Metric.Counter<number>>> = {
    [State.idle]: metrics.idle,
    [State.reserved]: metrics.idle,
    [State.leased]: metrics.used,
    [State.cancelling]: metrics.used,
    [State.resetting]: metrics.used
  }
  engine.ledger.onMove = (from, to) => {
    const before = readings[from]
    const after = readings[to]
    if (before === after) return
    if (before !== undefined) update(before, -1)
    if (after !== undefined) update(after, 1)
  }
  engine.queue.onChange = (change) => update(metrics.pendingRequests, change)

  let limits = { maxConnections: 0, maxIdle: 0, minConnections: 0 }
  const limited = (next: typeof limits) => {
    update(metrics.max, next.maxConnections - limits.maxConnections)
    update(metrics.idleMax, next.maxIdle - limits.maxIdle)
    update(metrics.idleMin, next.minConnections - limits.minConnections)
    limits = next
  }
  limited(engine.config)

  const hear = (occurrence: PoolOccurrence): void => {
    switch (occurrence._tag) {
      case "Acquired":
        return seconds(metrics.waitTime, occurrence.waitedMillis)
      case "Released":
        return seconds(metrics.useTime, occurrence.heldMillis)
      case "ConnectionOpened":
        return seconds(metrics.createTime, occurrence.connectMillis)
      case "AcquireRefused":
        return occurrence.error._tag === "AcquireTimeout" ? update(metrics.timeouts, 1) : undefined
      case "Resized":
        return limited(engine.config)
    }
  }
  engine.hub.listen({
    leases: true,
    hear,
    end: () => limited({ maxConnections: 0, maxIdle: 0, minConnections: 0 })
  })
}
