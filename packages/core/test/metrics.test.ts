import * as PoolMetrics from "@dbpool/core/PoolMetrics"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import * as OtelMetrics from "@effect/opentelemetry/Metrics"
import * as Resource from "@effect/opentelemetry/Resource"
import { assert, describe, it } from "@effect/vitest"
import type { MetricData } from "@opentelemetry/sdk-metrics"
import { DataPointType, MetricReader } from "@opentelemetry/sdk-metrics"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type { TestOptions } from "./support.js"
import { close, failsWith, hold, makePool, settle, start, use } from "./support.js"

class Reader extends MetricReader {
  protected override onForceFlush() {
    return Promise.resolve()
  }
  protected override onShutdown() {
    return Promise.resolve()
  }
}

/** what OpenTelemetry's SDK reads, of the metrics whose name begins so */
const reader = Effect.gen(function*() {
  const reader = new Reader()
  const layer = OtelMetrics.layer(() => reader).pipe(Layer.provide(Resource.layer({ serviceName: "test" })))
  yield* Layer.build(layer)
  return Effect.map(
    Effect.promise(() => reader.collect()),
    ({ resourceMetrics }) => resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics)
  )
})

/** the value of each point of a metric that belongs to a pool, by its attributes */
const points = (metrics: ReadonlyArray<MetricData>, name: string, pool: string) => {
  const metric = metrics.find(({ descriptor }) => descriptor.name === name)
  assert.isDefined(metric, `${name} is not there`)
  return metric.dataPoints.filter(({ attributes }) => attributes["db.client.connection.pool.name"] === pool)
    .map(({ attributes, value }) => ({ attributes, value }))
}

const numbers = (metrics: ReadonlyArray<MetricData>, pool: string) => {
  const one = (name: string) => points(metrics, `db.client.connection.${name}`, pool)[0]?.value
  const histogram = (name: string) => {
    const { count, sum } = one(name) as { count: number; sum: number }
    return { count, sum: Math.round(sum * 1000) / 1000 }
  }
  const states = Object.fromEntries(
    points(metrics, "db.client.connection.count", pool).map(({ attributes, value }) => [
      attributes["db.client.connection.state"],
      value
    ])
  )
  return {
    ...states,
    max: one("max"),
    idleMax: one("idle.max"),
    idleMin: one("idle.min"),
    pending: one("pending_requests"),
    timeouts: one("timeouts"),
    create: histogram("create_time"),
    wait: histogram("wait_time"),
    use: histogram("use_time")
  }
}

const measured = (server: SimulatedServer.SimulatedServer, options: TestOptions) =>
  Effect.provide(makePool(server, options), PoolMetrics.layer)

const none = { count: 0, sum: 0 }

describe("metrics", () => {
  it.scoped("are all nine of the conventions, right for each of two pools at once", () =>
    Effect.gen(function*() {
      const read = yield* reader
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "250 millis" })
      const orders = yield* measured(server, { name: "orders", maxConnections: 2, acquireTimeout: "3 seconds" })
      const users = yield* measured(server, { name: "users", maxConnections: 7, maxIdle: 5, minConnections: 1 })
      yield* TestClock.adjust("1 second")
      const first = yield* start(hold(orders))
      const second = yield* start(hold(orders))
      yield* TestClock.adjust("1 second")
      const held = [yield* Fiber.join(first), yield* Fiber.join(second)]
      const late = yield* start(Effect.exit(use(orders)))
      const patient = yield* start(use(orders, { timeout: "1 hour" }))
      yield* use(users)
      assert.deepStrictEqual(numbers(yield* read, "orders"), {
        idle: 0,
        used: 2,
        max: 2,
        idleMax: 2,
        idleMin: 0,
        pending: 2,
        timeouts: 0,
        create: { count: 2, sum: 0.5 },
        wait: { count: 2, sum: 0.75 },
        use: none
      })
      assert.deepStrictEqual(numbers(yield* read, "users"), {
        idle: 1,
        used: 0,
        max: 7,
        idleMax: 5,
        idleMin: 1,
        pending: 0,
        timeouts: 0,
        create: { count: 1, sum: 0.25 },
        wait: { count: 1, sum: 0 },
        use: { count: 1, sum: 0 }
      })
      yield* TestClock.adjust("3 seconds")
      failsWith(yield* Fiber.join(late), "AcquireTimeout")
      yield* Effect.forEach(held, ({ end }) => end)
      yield* Fiber.join(patient)
      const after = numbers(yield* read, "orders")
      assert.deepInclude(after, { idle: 2, used: 0, pending: 0, timeouts: 1 })
      assert.strictEqual(after.use.count, 3)
      assert.strictEqual(numbers(yield* read, "users").timeouts, 0)
    }))

  it.scoped("have the conventions' types, units, attributes and buckets", () =>
    Effect.gen(function*() {
      const read = yield* reader
      const pool = yield* measured(yield* SimulatedServer.make, { name: "typed" })
      yield* use(pool)
      const metrics = yield* read
      const count = "{connection}"
      const expected: Record<string, readonly [DataPointType, string, monotonic?: boolean]> = {
        count: [DataPointType.SUM, count, false],
        "idle.max": [DataPointType.SUM, count, false],
        "idle.min": [DataPointType.SUM, count, false],
        max: [DataPointType.SUM, count, false],
        pending_requests: [DataPointType.SUM, "{request}", false],
        timeouts: [DataPointType.SUM, "{timeout}", true],
        create_time: [DataPointType.HISTOGRAM, "s"],
        wait_time: [DataPointType.HISTOGRAM, "s"],
        use_time: [DataPointType.HISTOGRAM, "s"]
      }
      for (const [short, [type, unit, monotonic]] of Object.entries(expected)) {
        const name = `db.client.connection.${short}`
        const metric = metrics.find(({ descriptor }) => descriptor.name === name)!
        assert.strictEqual(metric.dataPointType, type, name)
        assert.strictEqual(metric.descriptor.unit, unit, name)
        if (metric.dataPointType === DataPointType.SUM) assert.strictEqual(metric.isMonotonic, monotonic, name)
        for (const { attributes, value } of points(metrics, name, "typed")) {
          const { unit: _, ...own } = attributes
          const keys = ["db.client.connection.pool.name", ...(short === "count" ? ["db.client.connection.state"] : [])]
          assert.deepStrictEqual(Object.keys(own).sort(), keys, name)
          if (metric.dataPointType === DataPointType.HISTOGRAM) {
            const { buckets } = value as { buckets: { boundaries: Array<number>; counts: Array<number> } }
            assert.deepStrictEqual(buckets.boundaries, [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10], name)
          }
        }
      }
    }))

  it.scoped("follow a resize, count everybody who leaves the queue, and take all back when the pool closes", () =>
    Effect.gen(function*() {
      const read = yield* reader
      const scope = yield* Scope.make()
      const pool = yield* Scope.extend(
        measured(yield* SimulatedServer.make, { name: "brief", maxConnections: 1, minConnections: 1 }),
        scope
      )
      const held = yield* hold(pool)
      const waiters = yield* Effect.forEach([1, 2, 3], () => start(use(pool)))
      yield* Fiber.interrupt(waiters[1]!)
      assert.strictEqual(numbers(yield* read, "brief").pending, 2)
      yield* Effect.fork(Fiber.interruptAll(waiters))
      yield* settle
      assert.strictEqual(numbers(yield* read, "brief").pending, 0)
      yield* pool.resize({ maxConnections: 4, minConnections: 2 })
      yield* settle
      assert.deepInclude(numbers(yield* read, "brief"), { idle: 1, used: 1, max: 4, idleMax: 4, idleMin: 2 })
      yield* held.end
      yield* close(scope)
      assert.deepInclude(numbers(yield* read, "brief"), { idle: 0, used: 0, max: 0, idleMax: 0, idleMin: 0 })
    }))

  it.scoped("of two pools with one name add up", () =>
    Effect.gen(function*() {
      const read = yield* reader
      const scope = yield* Scope.make()
      const first = yield* measured(yield* SimulatedServer.make, { name: "twin", maxConnections: 3 })
      const second = yield* Scope.extend(
        measured(yield* SimulatedServer.make, { name: "twin", maxConnections: 4 }),
        scope
      )
      yield* use(first)
      yield* use(second)
      assert.deepInclude(numbers(yield* read, "twin"), { idle: 2, max: 7 })
      yield* close(scope)
      assert.deepInclude(numbers(yield* read, "twin"), { idle: 1, max: 3 })
    }))

  it.scoped("are not there for a pool that nobody measures", () =>
    Effect.gen(function*() {
      const read = yield* reader
      const pool = yield* makePool(yield* SimulatedServer.make, { name: "unmeasured" })
      yield* use(pool)
      for (const { dataPoints } of yield* read) {
        for (const { attributes } of dataPoints) {
          assert.notStrictEqual(attributes["db.client.connection.pool.name"], "unmeasured")
        }
      }
    }))
})
