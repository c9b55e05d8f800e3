/** A transaction that begins with its first statement, in the round trip of that. */
import type * as SqlPool from "@dbpool/sql/SqlPool"
import { refineErrors } from "@dbpool/sql/SqlPoolError"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { FakeServer, hang, lose, refuse, rows, unsent } from "./server.js"
import { failsWith, makeOne, settle, start } from "./support.js"

const make = (options: SqlPool.Options = {}) => makeOne(options, new FakeServer().beginsLate())

const sent = (server: FakeServer) => server.log.map((line) => line.replace(/^\d+: /, ""))

describe("a transaction that begins with its first statement", () => {
  it.scoped("sends nothing before it, and its options with it", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* make()
      yield* Effect.gen(function*() {
        yield* settle
        assert.deepStrictEqual(sent(server), [])
        yield* sql`insert a`
        yield* sql`insert b`
      }).pipe(pool.transaction({ isolation: "serializable" }))
      assert.deepStrictEqual(sent(server), ["BEGIN serializable", "insert a", "insert b", "COMMIT"])
      assert.deepStrictEqual(server.data, ["a", "b"])
    }))

  it.scoped("is nothing to the server when it has none, however it ends", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* make()
      assert.strictEqual(yield* pool.withTransaction(Effect.succeed(1)), 1)
      assert.strictEqual(yield* Effect.flip(pool.withTransaction(Effect.fail("no"))), "no")
      const fiber = yield* start(pool.withTransaction(Effect.never))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(server.log, [])
      assert.strictEqual((yield* pool.stats).open, 1)
    }))

  it.scoped("may begin with a savepoint, or with a stream, whose BEGIN goes ahead", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* make()
      yield* pool.withTransaction(pool.withTransaction(sql`insert a`))
      yield* pool.withTransaction(Stream.runDrain(sql`select 1`.stream))
      assert.deepStrictEqual(sent(server), [
        ...["BEGIN", "SAVEPOINT dbpool_1", "insert a", "RELEASE SAVEPOINT dbpool_1", "COMMIT"],
        ...["BEGIN", "select 1", "end of select 1", "COMMIT"]
      ])
    }))

  it.scoped("whose BEGIN is refused runs nothing, and can only be rolled back", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* make()
      server.on("BEGIN", refuse("Permission"))
      const error = yield* failsWith(refineErrors(pool.withTransaction(sql`insert a`)), "StatementError")
      assert.strictEqual(error.reason, "Permission")
      const swallowed = Effect.zipRight(Effect.exit(sql`insert b`), Effect.flip(refineErrors(sql`insert c`)))
      const exits = yield* pool.withTransaction(Effect.tap(swallowed, (error) => {
        assert.strictEqual(error._tag, "StatementError")
        assert.include(error.message, "the transaction did not begin")
      })).pipe((self) => failsWith(self, "CommitFailed"))
      assert.strictEqual(exits.reason, "RolledBack")
      assert.deepStrictEqual(sent(server), ["BEGIN", "BEGIN"])
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("whose first statement fails is a transaction that has failed", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* make()
      server.on("insert a", refuse("UniqueViolation"))
      const error = yield* failsWith(pool.withTransaction(Effect.exit(sql`insert a`)), "CommitFailed")
      assert.strictEqual(error.reason, "RolledBack")
      const failed = yield* failsWith(refineErrors(pool.withTransaction(sql`insert a`)), "StatementError")
      assert.isTrue(failed.inTransaction)
      assert.deepStrictEqual(sent(server), ["BEGIN", "insert a", "COMMIT", "BEGIN", "insert a", "ROLLBACK"])
    }))

  it.scoped("that found its connection gone is NoSuchConnection, which `retry` repeats on another", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* make()
      server.on("BEGIN", unsent, 1)
      yield* failsWith(refineErrors(pool.withTransaction(sql`insert a`)), "NoSuchConnection")
      server.on("BEGIN", unsent, 1)
      const fiber = yield* start(sql`insert b`.pipe(pool.transaction({ retry: Schedule.recurs(1) })))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(server.data, ["b"])
    }))

  it.scoped("whose connection is lost with it is lost, and nothing of it is kept", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* make()
      server.on("insert a", lose, 1)
      const error = yield* failsWith(refineErrors(pool.withTransaction(sql`insert a`)), "ConnectionLost")
      assert.isTrue(error.inTransaction)
      server.on("BEGIN", unsent, 1)
      yield* failsWith(pool.withTransaction(Effect.exit(sql`insert b`)), "ConnectionLost")
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("whose first statement was given up, or timed out, can only be rolled back", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* make({ statementTimeout: "1 second" })
      server.on("insert a", hang)
      const first = yield* start(pool.withTransaction(Effect.exit(sql`insert a`)))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* failsWith(Fiber.join(first), "CommitFailed")).reason, "RolledBack")
      const second = yield* start(
        pool.withTransaction(
          Effect.flatMap(Effect.fork(sql`insert a`), (fiber) => Effect.zipRight(settle, Fiber.interrupt(fiber)))
        )
      )
      assert.strictEqual((yield* failsWith(Fiber.join(second), "CommitFailed")).reason, "RolledBack")
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("is not begun on the connection of somebody else by what comes after its end", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* make()
      const latch = yield* Deferred.make<void>()
      const late = yield* pool.withTransaction(
        start(Effect.exit(Effect.zipRight(Deferred.await(latch), refineErrors(sql`insert late`))))
      )
      const lateStream = yield* pool.withTransaction(
        start(Effect.exit(Effect.zipRight(Deferred.await(latch), refineErrors(Stream.runDrain(sql`late`.stream)))))
      )
      yield* Deferred.succeed(latch, undefined)
      yield* failsWith(yield* Fiber.join(late), "LeaseReleased")
      yield* failsWith(yield* Fiber.join(lateStream), "LeaseReleased")
      assert.deepStrictEqual(server.log, [])
    }))

  it.scoped("proves the connection by what was answered, not by having been begun", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* make({ validateOn: ["transaction"], validateAfterIdle: "1 second" })
      server.on("select", rows())
      const validations = () => server.validated.length
      yield* TestClock.adjust("2 seconds")
      yield* pool.withTransaction(Effect.void)
      assert.strictEqual(validations(), 1)
      yield* TestClock.adjust("2 seconds")
      yield* pool.withTransaction(sql`select 1`)
      assert.strictEqual(validations(), 2)
      yield* TestClock.adjust("900 millis")
      yield* pool.withTransaction(sql`select 2`)
      yield* TestClock.adjust("900 millis")
      // not due, and nothing is sent: no proof
      yield* pool.withTransaction(Effect.void)
      assert.strictEqual(validations(), 2)
      yield* TestClock.adjust("900 millis")
      server.last.stale = true
      yield* pool.withTransaction(sql`insert a`)
      assert.strictEqual(validations(), 3)
      assert.deepStrictEqual(server.sentOn(2), ["BEGIN", "insert a", "COMMIT"])
    }))
})
