import * as AcquireOptions from "@dbpool/core/AcquireOptions"
import * as SqlPool from "@dbpool/sql/SqlPool"
import { refineErrors } from "@dbpool/sql/SqlPoolError"
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { deaf, FakeServer, hang, lose, refuse, rows, unsent } from "./server.js"
import { failsWith, makeOne, makePool, start } from "./support.js"

const sends = (server: { readonly log: ReadonlyArray<string> }, sql: string) =>
  server.log.filter((line) => line.endsWith(`: ${sql}`)).length

describe("retryUnsent", () => {
  it.scoped("sends a single statement that was not executed once more, on another connection", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert a", unsent, 1)
      yield* sql`insert a`
      assert.deepStrictEqual(server.log, ["1: insert a", "2: insert a"])
      assert.deepStrictEqual(server.data, ["a"])
      for (const way of [sql`insert b`.values, sql`insert b`.raw, sql`insert b`.unprepared]) {
        server.on("insert b", unsent, 1)
        yield* way
      }
      assert.deepStrictEqual(server.data, ["a", "b", "b", "b"])
      assert.strictEqual((yield* pool.stats).leased, 0)
    }))

  it.scoped("sends it until it meets a connection that works: those that were idle beside a dead one may be dead, too", () =>
    Effect.gen(function*() {
      for (const way of ["statement", "stream"] as const) {
        const server = new FakeServer()
        const pool = yield* makePool(server, { maxConnections: 4, validateOn: [] })
        const { client: sql } = pool
        yield* Effect.scoped(Effect.all(Array.from({ length: 4 }, () => sql.reserve)))
        // a server that has forgotten all that it knew
        server.on("insert a", unsent, 4)
        yield* way === "statement" ? sql`insert a` : Stream.runDrain(sql`insert a`.stream)
        assert.strictEqual(sends(server, "insert a"), 5)
        assert.deepStrictEqual(server.data, ["a"])
        assert.strictEqual((yield* pool.stats).opened, 5)
      }
    }))

  it.scoped("never sends it a third time when none was idle beside it", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      server.on("insert a", unsent)
      const error = yield* failsWith(refineErrors(sql`insert a`), "NoSuchConnection")
      assert.isTrue(error.isRetryable)
      assert.strictEqual(sends(server, "insert a"), 2)
    }))

  it.scoped("nor when it was not executed the first time and is lost the second, idempotent or not", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      server.on("insert a", lose)
      server.on("insert a", unsent, 1)
      yield* failsWith(refineErrors(SqlPool.idempotent(sql`insert a`)), "ConnectionLost")
      assert.strictEqual(sends(server, "insert a"), 2)
    }))

  it.scoped("repeats nothing that the server has answered, or that may have been executed", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      server.on("insert a", lose)
      yield* failsWith(refineErrors(sql`insert a`), "ConnectionLost")
      yield* sql`select 1`
      server.on("insert b", refuse("Deadlock"))
      yield* failsWith(refineErrors(sql`insert b`), "StatementError")
      assert.strictEqual(sends(server, "insert a") + sends(server, "insert b"), 2)
    }))

  it.scoped("is not for leases, transactions and sessions: what came before is gone with the connection", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert a", unsent)
      yield* failsWith(pool.use((connection) => connection.query("insert a")), "NoSuchConnection")
      yield* sql`select 1`
      yield* failsWith(
        refineErrors(Effect.scoped(Effect.flatMap(sql.reserve, (connection) => connection.executeRaw("insert a", [])))),
        "NoSuchConnection"
      )
      yield* sql`select 1`
      yield* failsWith(pool.withTransaction(sql`insert a`), "ConnectionLost")
      yield* sql`select 1`
      yield* failsWith(refineErrors(pool.session(sql`insert a`)), "NoSuchConnection")
      yield* sql`select 1`
      server.on("BEGIN", unsent, 1)
      yield* failsWith(pool.withTransaction(sql`insert b`), "NoSuchConnection")
      assert.strictEqual(sends(server, "insert a"), 4)
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("false: it fails with NoSuchConnection at once", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne({ retryUnsent: false })
      server.on("insert a", unsent, 1)
      yield* failsWith(refineErrors(sql`insert a`), "NoSuchConnection")
      yield* sql`select 1`
      server.on("insert b", unsent, 1)
      yield* failsWith(refineErrors(Stream.runDrain(sql`insert b`.stream)), "NoSuchConnection")
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("a stream is repeated before its first row only", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("many", rows({ n: 1 }, { n: 2 }))
      server.on("many", unsent, 1)
      assert.deepStrictEqual(Chunk.toArray(yield* Stream.runCollect(sql`many`.stream)), [{ n: 1 }, { n: 2 }] as never)
      assert.strictEqual((yield* pool.stats).leased, 0)
      server.unsentAfter = 1
      const seen: Array<unknown> = []
      const error = yield* failsWith(
        refineErrors(Stream.runForEach(sql`many`.stream, (row) => Effect.sync(() => seen.push(row)))),
        "NoSuchConnection"
      )
      assert.strictEqual(error.pool, "test")
      assert.deepStrictEqual(seen, [{ n: 1 }])
      assert.strictEqual(sends(server, "many"), 3)
      server.on("never", unsent)
      yield* failsWith(refineErrors(Stream.runDrain(sql`never`.stream)), "NoSuchConnection")
      assert.strictEqual(sends(server, "never"), 2)
    }))

  it.scoped("the second time it waits for its connection as everybody does, with a deadline and interruptible", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne({ acquireTimeout: "4 seconds" })
      server.on("insert a", unsent)
      server.unreachable = true
      const patient = yield* start(Effect.exit(refineErrors(sql`insert a`)))
      yield* TestClock.adjust("4 seconds")
      yield* failsWith(Effect.flatten(Fiber.join(patient)), "AcquireTimeout")
      const impatient = yield* start(sql`insert a`)
      yield* Fiber.interrupt(impatient)
      assert.strictEqual(sends(server, "insert a"), 1)
    }))

  it.scoped("has one acquireTimeout for the waiting of both attempts, the pool's or the region's", () =>
    Effect.gen(function*() {
      const waits = (patience: number, of: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, SqlError>) =>
        Effect.scoped(Effect.gen(function*() {
          const { pool, server, sql } = yield* makeOne({ acquireTimeout: "4 seconds" })
          server.on("slow", hang)
          const holder = yield* start(pool.use(() => Effect.sleep("3 seconds")))
          const fiber = yield* start(Effect.exit(refineErrors(of(sql))))
          yield* TestClock.adjust("3 seconds")
          yield* Fiber.join(holder)
          server.unreachable = true
          server.last.die("unsent")
          yield* TestClock.adjust(patience - 3000 - 1)
          assert.isNull(fiber.unsafePoll())
          yield* TestClock.adjust("1 millis")
          yield* failsWith(Effect.flatten(Fiber.join(fiber)), "AcquireTimeout")
          assert.strictEqual(sends(server, "slow"), 1)
        }))
      yield* waits(4000, (sql) => sql`slow`)
      yield* waits(4000, (sql) => Stream.runDrain(sql`slow`.stream))
      yield* waits(6000, (sql) => AcquireOptions.within(sql`slow`, { timeout: "6 seconds" }))
      yield* waits(6000, (sql) => AcquireOptions.within(Stream.runDrain(sql`slow`.stream), { timeout: "6 seconds" }))
    }))

  it.scoped("that deadline does not run while an idempotent statement is under way", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne({ acquireTimeout: "4 seconds" })
      server.on("slow", hang)
      const holder = yield* start(pool.use(() => Effect.sleep("3 seconds")))
      const fiber = yield* start(Effect.exit(refineErrors(SqlPool.idempotent(sql`slow`))))
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(holder)
      server.unreachable = true
      server.last.die()
      yield* TestClock.adjust("999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* failsWith(Effect.flatten(Fiber.join(fiber)), "AcquireTimeout")
    }))
})

describe("idempotent", () => {
  it.scoped("a statement whose connection is lost under way is sent once more", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      server.on("insert a", lose, 1)
      yield* SqlPool.idempotent(sql`insert a`)
      assert.deepStrictEqual(server.data, ["a"])
      server.on("many", rows({ n: 1 }))
      server.on("many", lose, 1)
      const streamed = Stream.runCollect(sql`many`.stream)
      assert.strictEqual(Chunk.size(yield* SqlPool.idempotent(streamed)), 1)
    }))

  it.scoped("holds for a region, whatever is in between, and no longer", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      const twice = Effect.gen(function*() {
        yield* SqlPool.withStatementTimeout(sql`insert a`, "1 second")
        yield* Fiber.join(yield* Effect.fork(sql`insert b`))
      })
      server.on("insert a", lose, 1)
      server.on("insert b", lose, 1)
      yield* twice.pipe(SqlPool.idempotent)
      assert.deepStrictEqual(server.data, ["a", "b"])
      server.on("insert c", lose, 1)
      yield* failsWith(refineErrors(sql`insert c`), "ConnectionLost")
    }))

  it.scoped("does not hold inside leases, transactions and sessions, nor for a COMMIT", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      const lost = <A, E, R>(self: Effect.Effect<A, E, R>) =>
        Effect.zipLeft(Effect.exit(refineErrors(SqlPool.idempotent(self))), sql`select 1`)
      server.on("insert", lose)
      yield* failsWith(Effect.flatten(lost(pool.use((connection) => connection.query("insert a")))), "ConnectionLost")
      yield* failsWith(Effect.flatten(lost(pool.withTransaction(sql`insert a`))), "ConnectionLost")
      yield* failsWith(Effect.flatten(lost(pool.session(sql`insert a`))), "ConnectionLost")
      assert.strictEqual(sends(server, "insert a"), 3)
      server.on("COMMIT", lose, 1)
      yield* failsWith(Effect.flatten(lost(pool.withTransaction(sql`select 1`))), "CommitUnknown")
    }))

  it.scoped("a statement that timed out is not repeated", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne({ statementTimeout: "1 second" })
      server.on("slow", deaf)
      const fiber = yield* start(Effect.exit(refineErrors(SqlPool.idempotent(sql`slow`))))
      yield* TestClock.adjust("1 second")
      yield* failsWith(Effect.flatten(Fiber.join(fiber)), "StatementError")
      server.last.die()
      assert.strictEqual(sends(server, "slow"), 1)
    }))
})
