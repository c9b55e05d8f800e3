import * as SqlPoolError from "@dbpool/sql/SqlPoolError"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { deaf, FakeServer, hang, lose, refuse } from "./server.js"
import { failsWith, makeOne, makePool, settle, start } from "./support.js"

describe("a transaction inside another", () => {
  it.scoped("is a savepoint, which becomes part of its parent", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* sql`insert a`
        yield* sql.withTransaction(sql`insert b`)
      }))
      assert.deepStrictEqual(server.sentOn(1), [
        "BEGIN",
        "insert a",
        "SAVEPOINT dbpool_1",
        "insert b",
        "RELEASE SAVEPOINT dbpool_1",
        "COMMIT"
      ])
      assert.deepStrictEqual(server.data, ["a", "b"])
    }))

  it.scoped("is undone alone when it fails and the parent goes on", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert bad", refuse("UniqueViolation"))
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* sql`insert a`
        const inner = pool.withTransaction(Effect.zipRight(sql`insert b`, sql`insert bad`))
        assert.strictEqual((yield* failsWith(inner, "StatementError")).reason, "UniqueViolation")
        yield* sql`insert c`
      }))
      assert.deepStrictEqual(server.data, ["a", "c"])
    }))

  it.scoped("that swallows the error of a statement fails with CommitFailed, and is undone", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert bad", refuse("UniqueViolation"))
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* sql`insert a`
        const inner = pool.withTransaction(Effect.zipRight(sql`insert b`, Effect.ignore(sql`insert bad`)))
        assert.strictEqual((yield* failsWith(inner, "CommitFailed")).reason, "RolledBack")
        yield* sql`insert c`
      }))
      assert.deepStrictEqual(server.data, ["a", "c"])
    }))

  it.scoped("three deep: each level undoes only what is its own", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* sql`insert a`
        yield* pool.withTransaction(Effect.gen(function*() {
          yield* sql`insert b`
          yield* Effect.exit(pool.withTransaction(Effect.zipRight(sql`insert c`, Effect.fail("no"))))
          yield* sql`insert d`
        }))
        yield* Effect.exit(pool.withTransaction(Effect.zipRight(
          pool.withTransaction(sql`insert e`),
          Effect.fail("no")
        )))
      }))
      assert.deepStrictEqual(server.data, ["a", "b", "d"])
    }))

  it.scoped("that is interrupted returns at once, and is undone before the parent's next statement, or its COMMIT", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("slow", hang)
      const inner = Effect.zipRight(sql`insert b`, sql`slow`).pipe(
        pool.withTransaction,
        start,
        Effect.flatMap(Fiber.interrupt)
      )
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* sql`insert a`
        assert.isTrue(Exit.isInterrupted(yield* inner))
        yield* sql`insert c`
        yield* inner
      }))
      assert.deepStrictEqual(server.data, ["a", "c"])
      assert.deepStrictEqual(server.cancels, ["1: slow", "1: slow"])
    }))

  it.scoped("that is interrupted in its SAVEPOINT returns at once; the parent cannot go on, as after every statement", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("SAVEPOINT", hang)
      yield* failsWith(
        pool.withTransaction(Effect.gen(function*() {
          yield* sql`insert a`
          const inner = yield* start(pool.withTransaction(sql`insert b`))
          yield* Fiber.interrupt(inner)
          yield* Effect.ignore(sql`insert c`)
        })),
        "CommitFailed"
      )
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("siblings at the same time take turns, have names of their own, and lose nothing", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      const sibling = (name: string) =>
        pool.withTransaction(Effect.gen(function*() {
          yield* sql`insert ${sql.literal(name)}1`
          yield* Effect.yieldNow()
          yield* sql`insert ${sql.literal(name)}2`
          if (name === "b") yield* Effect.fail("no")
        }))
      yield* pool.withTransaction(
        Effect.forEach(["a", "b", "c"], (name) => Effect.exit(sibling(name)), { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(server.data, ["a1", "a2", "c1", "c2"])
      assert.deepStrictEqual(server.log.filter((line) => line.includes(": SAVEPOINT")), [
        "1: SAVEPOINT dbpool_1",
        "1: SAVEPOINT dbpool_2",
        "1: SAVEPOINT dbpool_3"
      ])
    }))

  it.scoped("the parent's statements wait while a child is open", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      yield* pool.withTransaction(Effect.gen(function*() {
        const open = yield* Deferred.make<void>()
        const child = yield* start(pool.withTransaction(Effect.zipRight(sql`insert child`, Deferred.await(open))))
        const parent = yield* start(sql`insert parent`)
        assert.notInclude(server.log, "1: insert parent")
        yield* Deferred.succeed(open, undefined)
        yield* Fiber.join(child)
        yield* Fiber.join(parent)
      }))
      assert.deepStrictEqual(server.data, ["child", "parent"])
    }))

  it.scoped("a queued sibling that is interrupted sends nothing and does not touch the running one", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert slow", hang)
      yield* pool.withTransaction(Effect.gen(function*() {
        const running = yield* start(sql`insert slow`)
        const queued = yield* start(sql`insert queued`)
        const nested = yield* start(pool.withTransaction(sql`insert nested`))
        yield* Fiber.interrupt(queued)
        yield* Fiber.interrupt(nested)
        assert.deepStrictEqual(server.cancels, [])
        server.last.finish()
        yield* Fiber.join(running)
      }))
      assert.deepStrictEqual(server.data, ["slow"])
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN", "insert slow", "COMMIT"])
    }))

  it.scoped("takes no options: they are refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne()
      yield* pool.withTransaction(Effect.gen(function*() {
        for (const options of [{ isolation: "serializable" }, { accessMode: "read only" }, { timeout: 100 }] as const) {
          const error = yield* failsWith(Effect.void.pipe(pool.transaction(options)), "InvalidTransaction")
          assert.strictEqual(error.option, Object.keys(options)[0])
          assert.isFalse(error.isRetryable)
        }
        // what says nothing asks for nothing
        yield* Effect.void.pipe(pool.transaction({ isolation: undefined }))
      }))
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN", "SAVEPOINT dbpool_1", "RELEASE SAVEPOINT dbpool_1", "COMMIT"])
    }))

  it.scoped("whose connection is lost fails with ConnectionLost, and so does the parent", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert b", lose)
      yield* failsWith(
        pool.withTransaction(Effect.gen(function*() {
          yield* failsWith(pool.withTransaction(sql`insert b`), "ConnectionLost")
          yield* sql`insert c`
        })),
        "ConnectionLost"
      )
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN", "SAVEPOINT dbpool_1", "insert b"])
    }))

  it.scoped("whose RELEASE is never answered costs the connection after resetTimeout", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne({ resetTimeout: "2 seconds" })
      server.on("RELEASE", deaf, 1)
      const fiber = yield* start(Effect.exit(pool.withTransaction(pool.withTransaction(sql`insert b`))))
      yield* TestClock.adjust("2 seconds")
      yield* failsWith(Effect.flatten(Fiber.join(fiber)), "ConnectionLost")
    }))

  it.scoped("that waits for statements forked inside it can be interrupted", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert b", hang)
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* sql`insert a`
        const inner = yield* start(pool.withTransaction(Effect.zipRight(Effect.forkDaemon(sql`insert b`), settle)))
        yield* settle
        yield* Fiber.interrupt(inner)
      }))
      assert.deepStrictEqual(server.data, ["a"])
    }))
})

describe("two clients nested in each other", () => {
  it.scoped("run each on their own pool, in transactions of their own", () =>
    Effect.gen(function*() {
      const [serverA, serverB] = [new FakeServer("A"), new FakeServer("B")]
      const a = (yield* makePool(serverA)).client
      const b = (yield* makePool(serverB)).client
      const exit = yield* a.withTransaction(Effect.gen(function*() {
        yield* a`insert a1`
        yield* b`insert b1`
        yield* Effect.exit(b.withTransaction(Effect.gen(function*() {
          yield* a`insert a2`
          yield* b`insert b2`
          yield* Effect.fail("no")
        })))
        yield* a.withTransaction(a`insert a3`)
      })).pipe(Effect.exit)
      assert.isTrue(Exit.isSuccess(exit))
      // b1 was on its own; b2 was rolled back with the inner transaction
      assert.deepStrictEqual(serverB.data, ["b1"])
      assert.deepStrictEqual(serverA.data, ["a1", "a2", "a3"])
      assert.deepStrictEqual(serverA.sentOn(1), [
        "BEGIN",
        "insert a1",
        "insert a2",
        "SAVEPOINT dbpool_1",
        "insert a3",
        "RELEASE SAVEPOINT dbpool_1",
        "COMMIT"
      ])
    }))
})

describe("what outlives its transaction", () => {
  it.scoped("a statement fails with LeaseReleased and is not sent, whoever has the connection now", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      const latch = yield* Deferred.make<void>()
      const late = yield* pool.withTransaction(
        start(Effect.exit(Effect.zipRight(Deferred.await(latch), SqlPoolError.refineErrors(sql`insert late`))))
      )
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* Deferred.succeed(latch, undefined)
        const error = yield* failsWith(Effect.flatten(Fiber.join(late)), "LeaseReleased")
        assert.strictEqual(error.what, "transaction")
        assert.isFalse(error.isRetryable)
      }))
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("a nested transaction sends nothing more: neither statements nor the undoing of its savepoint", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      const latch = yield* Deferred.make<void>()
      const late: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
      yield* Effect.exit(pool.withTransaction(Effect.gen(function*() {
        const inner = Effect.zipRight(Effect.uninterruptible(Deferred.await(latch)), sql`insert late`)
        late.push(yield* start(pool.withTransaction(inner)))
        yield* Effect.fail("no")
      })))
      server.on("insert a", hang)
      yield* pool.withTransaction(pool.withTransaction(Effect.gen(function*() {
        const running = yield* start(sql`insert a`)
        yield* Deferred.succeed(latch, undefined)
        yield* failsWith(Fiber.join(late[0]!) as Effect.Effect<unknown, SqlPoolError.SqlPoolError>, "LeaseReleased")
        // nor does it take the statement that runs now for its own
        assert.deepStrictEqual(server.cancels, [])
        server.last.finish()
        yield* Fiber.join(running)
      })))
      assert.deepStrictEqual(server.data, ["a"])
      assert.notInclude(server.log, "1: ROLLBACK TO SAVEPOINT dbpool_1")
    }))

  it.scoped("a statement still running is cancelled by the pool, and nothing of the next borrower is", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("slow", hang)
      yield* Effect.exit(pool.withTransaction(Effect.zipRight(start(sql`slow`), Effect.fail("no"))))
      server.on("insert next", hang)
      const next = yield* start(sql`insert next`)
      yield* settle
      assert.deepStrictEqual(server.cancels, ["1: slow"])
      server.last.finish()
      yield* Fiber.join(next)
      assert.deepStrictEqual(server.data, ["next"])
    }))
})
