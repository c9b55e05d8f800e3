import * as PoolMetrics from "@dbpool/core/PoolMetrics"
import * as SqlMetrics from "@dbpool/sql/SqlMetrics"
import * as SqlPool from "@dbpool/sql/SqlPool"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { FakeServer, refuse, rows } from "./server.js"
import { makePool, start } from "./support.js"

/** how many statements of a pool there were, and how long they took */
const durations = (pool: string, errorType?: string) =>
  Effect.map(
    Metric.value(SqlMetrics.operationDuration({
      "db.system.name": "fake",
      "db.client.connection.pool.name": pool,
      ...(errorType === undefined ? {} : { "error.type": errorType })
    })),
    ({ count, sum }) => ({ count, sum })
  )

const measured = (server: FakeServer, name: string, options: SqlPool.Options = {}) =>
  Effect.provide(makePool(server, { name, maxConnections: 1, ...options }), PoolMetrics.layer)

describe("db.client.operation.duration", () => {
  it.scoped("is how long statements take, without the wait for a connection", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      const { client: sql, use } = yield* measured(server, "timed")
      server.on("slow", { _tag: "hang" })
      const holder = yield* start(use(() => Effect.sleep("3 seconds")))
      const slow = yield* start(sql`slow`)
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(holder)
      yield* TestClock.adjust("2 seconds")
      server.last.finish()
      yield* Fiber.join(slow)
      assert.deepStrictEqual(yield* durations("timed"), { count: 1, sum: 2 })
    }))

  it.scoped("tells errors by their kind, and those who did not wait for the end", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      const { client: sql } = yield* measured(server, "failing")
      server.on("bad", refuse("UniqueViolation"))
      server.on("slow", { _tag: "hang" })
      yield* Effect.ignore(sql`bad`)
      yield* Fiber.interrupt(yield* start(sql`slow`))
      yield* TestClock.adjust("1 minute")
      const late = yield* start(Effect.ignore(SqlPool.withStatementTimeout(sql`slow`, "1 second")))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(late)
      assert.strictEqual((yield* durations("failing")).count, 0)
      for (const kind of ["UniqueViolation", "Interrupted", "StatementTimeout"]) {
        assert.strictEqual((yield* durations("failing", kind)).count, 1, kind)
      }
      // what the server says of a statement that nobody waits for any more
      assert.strictEqual((yield* durations("failing", "Cancelled")).count, 0)
    }))

  it.scoped("measures a stream until it ends, or is ended early", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      const { client: sql } = yield* measured(server, "streamed")
      server.on("many", rows({ n: 1 }, { n: 2 }))
      yield* Stream.runDrain(sql`many`.stream)
      yield* Stream.runHead(sql`many`.stream)
      assert.strictEqual((yield* durations("streamed")).count, 2)
    }))

  it.scoped("is not kept for a pool that nobody measures", () =>
    Effect.gen(function*() {
      const { client: sql } = yield* makePool(new FakeServer(), { name: "unmeasured" })
      yield* sql`select 1`
      assert.strictEqual((yield* durations("unmeasured")).count, 0)
    }))
})
