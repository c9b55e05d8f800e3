import * as SqlPool from "@dbpool/sql/SqlPool"
import type { TransactionOptions } from "@dbpool/sql/Transaction"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { FakeConnection } from "./server.js"
import { deaf, FakeServer, hang, lose, refuse, unsent } from "./server.js"
import { failsWith, makeOne, makePool, settle, start } from "./support.js"

describe("a transaction", () => {
  it.scoped("is committed when the effect succeeds, and its value is the effect's", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      const value = yield* pool.withTransaction(Effect.as(sql`insert a`, "value"))
      assert.strictEqual(value, "value")
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN", "insert a", "COMMIT"])
      assert.deepStrictEqual(server.data, ["a"])
    }))

  it.scoped("is rolled back when the effect fails, and fails with its error", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      const exit = yield* Effect.exit(pool.withTransaction(Effect.zipRight(sql`insert a`, Effect.fail("no" as const))))
      assert.deepStrictEqual(exit, Exit.fail("no"))
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN", "insert a", "ROLLBACK"])
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("is rolled back when the effect dies", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      const exit = yield* Effect.exit(pool.withTransaction(Effect.zipRight(sql`insert a`, Effect.die("bug"))))
      assert.deepStrictEqual(exit, Exit.die("bug"))
      assert.deepStrictEqual(server.data, [])
      yield* sql`select 1`
    }))

  it.scoped("is rolled back when its fiber is interrupted, without keeping the caller", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("ROLLBACK", deaf, 1)
      const fiber = yield* start(pool.withTransaction(Effect.zipRight(sql`insert a`, Effect.never)))
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      // the pool is still rolling it back: nobody else gets the connection meanwhile
      const next = yield* start(sql`select 1`)
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN", "insert a", "ROLLBACK"])
      server.last.finish()
      yield* Fiber.join(next)
      assert.deepStrictEqual(server.data, [])
    }))

  for (const uninterruptible of [false, true]) {
    const where = uninterruptible ? ", where nothing can be interrupted either" : ""
    it.scoped(`is lost when a stream in it was given up and the server never ends it, but does not hang${where}`, () =>
      Effect.gen(function*() {
        const { pool, server, sql } = yield* makeOne({ resetTimeout: "5 seconds" })
        server.on("many", deaf)
        const stream = Effect.timeoutOption(Effect.interruptible(Stream.runDrain(sql`many`.stream)), "1 second")
        const transaction = pool.withTransaction(Effect.zipRight(sql`insert a`, stream))
        const fiber = yield* start(Effect.exit(uninterruptible ? Effect.uninterruptible(transaction) : transaction))
        yield* TestClock.adjust("5999 millis")
        assert.isNull(fiber.unsafePoll())
        yield* TestClock.adjust("1 millis")
        assert.isTrue((yield* failsWith(Effect.flatten(Fiber.join(fiber)), "ConnectionLost")).inTransaction)
        assert.notInclude(server.sentOn(1), "COMMIT")
        yield* sql`select 1`
      }))
  }

  it.scoped("passes isolation level and access mode to BEGIN", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne()
      yield* Effect.void.pipe(pool.transaction({ isolation: "serializable", accessMode: "read only" }))
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN serializable read only", "COMMIT"])
    }))

  it.scoped("begins as the driver does it, and is told so when that fails", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      const begin = ({ isolation }: TransactionOptions) => (connection: FakeConnection) =>
        Effect.asVoid(connection.execute(`BEGIN ${isolation} by hand`, [], "object"))
      server.driver = { ...server.driver, begin }
      const pool = yield* makePool(server, { maxConnections: 1 })
      const serializable = pool.transaction({ isolation: "serializable" })
      yield* pool.client`insert a`.pipe(serializable)
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN serializable by hand", "insert a", "COMMIT"])
      server.on("BEGIN", refuse("Permission"))
      const error = yield* failsWith(pool.client`insert b`.pipe(serializable), "StatementError")
      assert.strictEqual(error.reason, "Permission")
      assert.deepStrictEqual(server.data, ["a"])
    }))

  it.scoped("is refused where the database has none, before anything is sent", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      server.driver = { ...server.driver, begin: undefined }
      const pool = yield* makePool(server)
      const error = yield* failsWith(pool.withTransaction(pool.client`insert a`), "InvalidTransaction")
      assert.strictEqual(error.option, undefined)
      assert.include(error.message, "a transaction is nothing that this database knows")
      assert.deepStrictEqual(server.log, [])
    }))

  it.scoped("refuses options that are wrong or that the database has not, before anything is sent", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne()
      const sneaky = "serializable; drop table users" as "serializable"
      const isolation = yield* failsWith(
        Effect.void.pipe(pool.transaction({ isolation: sneaky })),
        "InvalidTransaction"
      )
      assert.strictEqual(isolation.option, "isolation")
      assert.notInclude(isolation.message, "drop")
      for (const timeout of [0, -5, "soon" as "5 seconds"] as const) {
        const error = yield* failsWith(Effect.void.pipe(pool.transaction({ timeout })), "InvalidTransaction")
        assert.strictEqual(error.option, "timeout")
      }
      const unknown = yield* failsWith(Effect.void.pipe(pool.transaction({ deferrable: true })), "InvalidTransaction")
      assert.strictEqual(
        unknown.message,
        `Pool "test": transaction option deferrable is nothing that this database knows`
      )
      assert.deepStrictEqual(server.log, [])
    }))

  it.scoped("whose BEGIN is refused fails with the reason, sends nothing more, and gives the connection back", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("BEGIN", refuse("Permission"), 1)
      const error = yield* failsWith(pool.withTransaction(sql`insert a`), "StatementError")
      assert.strictEqual(error.reason, "Permission")
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN"])
      yield* sql`select 1`
      assert.strictEqual(server.connections.length, 1)
    }))

  it.scoped("whose BEGIN was never looked at is NoSuchConnection; one that was lost, ConnectionLost", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("BEGIN", unsent, 1)
      const error = yield* failsWith(pool.withTransaction(sql`insert a`), "NoSuchConnection")
      assert.isTrue(error.isRetryable)
      yield* sql`select 1`
      server.on("BEGIN", lose, 1)
      yield* failsWith(pool.withTransaction(sql`insert a`), "ConnectionLost")
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("that is interrupted in its BEGIN gives the connection back, with nothing open on it", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("BEGIN", hang, 1)
      const fiber = yield* start(pool.withTransaction(sql`insert a`))
      yield* Fiber.interrupt(fiber)
      yield* sql`insert b`
      assert.deepStrictEqual(server.cancels, ["1: BEGIN"])
      assert.deepStrictEqual(server.data, ["b"])
    }))

  it.scoped("can only be rolled back once a statement in it was interrupted, even if the server has done it after all", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert b", deaf)
      const body = Effect.gen(function*() {
        yield* sql`insert a`
        yield* Fiber.interrupt(yield* start(sql`insert b`))
        server.last.finish()
        assert.strictEqual(server.last.status, "open")
        const error = yield* failsWith(SqlPool.refineErrors(sql`insert c`), "StatementError")
        assert.strictEqual(error.reason, "Cancelled")
        assert.include(error.message, "not sent, because a statement before it was interrupted")
      })
      assert.strictEqual((yield* failsWith(pool.withTransaction(body), "CommitFailed")).reason, "RolledBack")
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN", "insert a", "insert b", "ROLLBACK"])
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("goes on when the statement that was interrupted had been answered, or was never sent", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert a", hang)
      yield* pool.withTransaction(Effect.gen(function*() {
        const running = yield* start(Effect.zipRight(sql`insert a`, Effect.never))
        const queued = yield* start(sql`insert never`)
        yield* Fiber.interrupt(queued)
        server.last.finish()
        yield* Fiber.interrupt(running)
        yield* sql`insert b`
      }))
      assert.deepStrictEqual(server.data, ["a", "b"])
    }))

  it.scoped("that lost its connection sends nothing more, anywhere, and fails with ConnectionLost", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne({ maxConnections: 2 })
      server.on("insert b", lose)
      const error = yield* failsWith(
        pool.withTransaction(Effect.gen(function*() {
          yield* sql`insert a`
          yield* Effect.ignore(sql`insert b`)
          yield* sql`insert c`
        })),
        "ConnectionLost"
      )
      assert.isTrue(error.inTransaction)
      assert.isFalse(error.isRetryable)
      assert.deepStrictEqual(server.log, ["1: BEGIN", "1: insert a", "1: insert b"])
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("that lost its connection while idle fails at its COMMIT, which is not sent, and says why", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      const error = yield* failsWith(
        pool.withTransaction(Effect.zipRight(sql`insert a`, Effect.sync(() => server.last.die("lost")))),
        "ConnectionLost"
      )
      assert.isTrue(error.inTransaction)
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN", "insert a"])
    }))
})

describe("COMMIT", () => {
  it.scoped("that is refused is CommitFailed with the reason; nothing is kept, the connection is", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("COMMIT", refuse("UniqueViolation"), 1)
      const error = yield* failsWith(pool.withTransaction(sql`insert a`), "CommitFailed")
      assert.strictEqual(error.reason, "UniqueViolation")
      assert.isFalse(error.isRetryable)
      yield* sql`select 1`
      assert.strictEqual(server.connections.length, 1)
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("that is answered by a rollback is CommitFailed, because a statement inside had failed", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert b", refuse("UniqueViolation"))
      const error = yield* failsWith(
        pool.withTransaction(Effect.zipRight(sql`insert a`, Effect.ignore(sql`insert b`))),
        "CommitFailed"
      )
      assert.strictEqual(error.reason, "RolledBack")
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("whose answer never comes is CommitUnknown after commitTimeout, and the connection is given up", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne({ commitTimeout: "7 seconds" })
      server.on("COMMIT", deaf, 1)
      const fiber = yield* start(Effect.exit(pool.withTransaction(sql`insert a`)))
      yield* TestClock.adjust("6999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      const error = yield* failsWith(Effect.flatten(Fiber.join(fiber)), "CommitUnknown")
      assert.isFalse(error.isRetryable)
      yield* sql`select 1`
      assert.strictEqual(server.connections.length, 2)
    }))

  it.scoped("whose connection is lost is CommitUnknown", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("COMMIT", lose, 1)
      yield* failsWith(pool.withTransaction(sql`insert a`), "CommitUnknown")
    }))

  it.scoped("that cannot have kept anything, because a statement had failed, is ConnectionLost when it is lost", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("COMMIT", lose, 1)
      server.on("insert a", refuse("UniqueViolation"), 1)
      yield* failsWith(pool.withTransaction(Effect.ignore(sql`insert a`)), "ConnectionLost")
    }))

  it.scoped("is not interrupted once it is sent, nor cancelled", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("COMMIT", hang, 1)
      const fiber = yield* start(pool.withTransaction(sql`insert a`))
      const interrupting = yield* start(Fiber.interrupt(fiber))
      assert.isNull(interrupting.unsafePoll())
      server.last.finish()
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(server.data, ["a"])
      assert.deepStrictEqual(server.cancels, [])
    }))

  it.scoped("waits for statements that were forked inside, and the wait can be interrupted", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert b", hang)
      const body = Effect.zipRight(sql`insert a`, Effect.zipRight(Effect.forkDaemon(sql`insert b`), Effect.yieldNow()))
      const patient = yield* start(pool.withTransaction(body))
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN", "insert a", "insert b"])
      server.last.finish()
      yield* Fiber.join(patient)
      assert.deepStrictEqual(server.data, ["a", "b"])
      const impatient = yield* start(pool.withTransaction(body))
      yield* Fiber.interrupt(impatient)
      yield* sql`select 1`
      assert.deepStrictEqual(server.data, ["a", "b"])
    }))

  it.scoped("is not sent when a raw COMMIT or ROLLBACK has ended the transaction", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      yield* failsWith(pool.withTransaction(Effect.zipRight(sql`insert a`, sql`ROLLBACK`)), "LeaseReleased")
      const error = yield* failsWith(
        pool.withTransaction(Effect.zipRight(sql`COMMIT`, sql`insert b`)),
        "LeaseReleased"
      )
      assert.strictEqual(error.what, "transaction")
      assert.deepStrictEqual(server.data, [])
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN", "insert a", "ROLLBACK", "BEGIN", "COMMIT"])
    }))

  it.scoped("a raw ROLLBACK that was interrupted ends the transaction all the same: what follows is not sent", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("ROLLBACK", deaf, 1)
      const fiber = yield* start(
        pool.withTransaction(Effect.gen(function*() {
          yield* Fiber.interrupt(yield* start(sql`ROLLBACK`))
          yield* sql`insert a`
        })).pipe(Effect.exit)
      )
      server.last.finish()
      yield* failsWith(Effect.flatten(Fiber.join(fiber)), "LeaseReleased")
      assert.deepStrictEqual(server.data, [])
    }))
})

describe("a transaction's timeout", () => {
  it.scoped("rolls it back and fails with TransactionTimeout, while a statement runs too", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("slow", hang)
      const fiber = yield* start(
        Effect.exit(Effect.zipRight(sql`insert a`, sql`slow`).pipe(pool.transaction({ timeout: "3 seconds" })))
      )
      yield* TestClock.adjust("3 seconds")
      const error = yield* failsWith(Effect.flatten(Fiber.join(fiber)), "TransactionTimeout")
      assert.strictEqual(error.afterMillis, 3000)
      assert.isTrue(error.isRetryable)
      yield* sql`select 1`
      assert.deepStrictEqual(server.cancels, ["1: slow"])
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("counts from BEGIN on, not while waiting for a connection", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      const holder = yield* start(pool.use(() => Effect.sleep("5 seconds")))
      const fiber = yield* start(sql`insert a`.pipe(pool.transaction({ timeout: "1 second" })))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(holder)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(server.data, ["a"])
    }))

  it.scoped("bounds a BEGIN that is never answered", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("BEGIN", hang, 1)
      const fiber = yield* start(Effect.exit(sql`insert a`.pipe(pool.transaction({ timeout: "1 second" }))))
      yield* TestClock.adjust("1 second")
      yield* failsWith(Effect.flatten(Fiber.join(fiber)), "TransactionTimeout")
    }))

  it.scoped("never lets a COMMIT start after it: not when statements forked inside hold it up", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert b", hang)
      const fiber = yield* start(
        Effect.forkDaemon(sql`insert b`).pipe(
          Effect.zipRight(settle),
          pool.transaction({ timeout: "1 second" }),
          Effect.exit
        )
      )
      yield* TestClock.adjust("1 second")
      yield* failsWith(Effect.flatten(Fiber.join(fiber)), "TransactionTimeout")
      yield* sql`select 1`
      assert.notInclude(server.log, "1: COMMIT")
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("does not cut a COMMIT that is under way", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("COMMIT", hang, 1)
      const fiber = yield* start(sql`insert a`.pipe(pool.transaction({ timeout: "1 second" })))
      yield* TestClock.adjust("2 seconds")
      server.last.finish()
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(server.data, ["a"])
    }))
})

describe("ROLLBACK", () => {
  it.scoped("that fails or is never answered costs the connection, and hides nothing", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne({ resetTimeout: "2 seconds" })
      server.on("ROLLBACK", lose, 1)
      const lost = yield* Effect.exit(pool.withTransaction(Effect.zipRight(sql`insert a`, Effect.fail("mine"))))
      assert.deepStrictEqual(lost, Exit.fail("mine"))
      yield* sql`select 1`
      server.on("ROLLBACK", deaf, 1)
      const fiber = yield* start(
        Effect.exit(pool.withTransaction(Effect.zipRight(sql`insert a`, Effect.fail("mine"))))
      )
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail("mine"))
      yield* sql`select 1`
      assert.strictEqual(server.connections.length, 3)
      assert.deepStrictEqual(server.data, [])
    }))
})
