import type { ValidationMoment } from "@dbpool/sql/SqlPoolConfig"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { failsWith, failure, makeOne, start } from "./support.js"

/** a pool of one used connection that has rested for so long that it is validated wherever that is asked for */
const makeRested = (validateOn: ReadonlyArray<ValidationMoment>) =>
  Effect.gen(function*() {
    const made = yield* makeOne({ validateOn, validateAfterIdle: "10 seconds", validateTimeout: "2 seconds" })
    const { server } = made
    yield* rest
    return { ...made, validations: () => server.validated.length }
  })

const rest = TestClock.adjust("11 seconds")

describe("validateOn", () => {
  it.scoped("`acquire` and `return` are the pool's: before and after a lease", () =>
    Effect.gen(function*() {
      const { pool, sql, validations } = yield* makeRested(["acquire"])
      yield* sql`select 1`
      assert.strictEqual(validations(), 1)
      const back = yield* makeRested(["return"])
      yield* back.sql`select 1`
      // the next lease waits for the validation of the first one
      yield* back.sql`select 1`
      assert.isAtLeast(back.validations(), 1)
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scoped("`statement`: before each statement outside of transactions, wherever it runs", () =>
    Effect.gen(function*() {
      const { pool, server, sql, validations } = yield* makeRested(["statement"])
      yield* sql`select 1`
      assert.strictEqual(validations(), 1)
      yield* rest
      yield* Stream.runDrain(sql`select 2`.stream)
      assert.strictEqual(validations(), 2)
      yield* rest
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          yield* connection.query("select 3")
          // it has just answered
          yield* connection.query("select 4")
          assert.strictEqual(validations(), 3)
          yield* rest
          yield* Stream.runDrain(connection.stream("select 5"))
          assert.strictEqual(validations(), 4)
          yield* connection.query("BEGIN")
          yield* rest
          yield* connection.query("select 6")
          yield* connection.query("COMMIT")
          assert.strictEqual(validations(), 4)
        })
      )
      yield* rest
      yield* pool.withTransaction(sql`select 7`)
      assert.strictEqual(validations(), 4)
      assert.strictEqual(server.connections.length, 1)
    }))

  it.scoped("`transaction`: before BEGIN, and not before what is inside or outside", () =>
    Effect.gen(function*() {
      const { pool, sql, validations } = yield* makeRested(["transaction"])
      yield* sql`select 1`
      assert.strictEqual(validations(), 0)
      yield* rest
      yield* pool.withTransaction(Effect.gen(function*() {
        assert.strictEqual(validations(), 1)
        yield* rest
        yield* sql`select 2`
        yield* sql.withTransaction(sql`select 3`)
      }))
      assert.strictEqual(validations(), 1)
    }))

  it.scoped("nothing is validated that is not asked for", () =>
    Effect.gen(function*() {
      const { pool, sql, validations } = yield* makeRested([])
      yield* sql`select 1`
      yield* rest
      yield* pool.withTransaction(sql`select 2`)
      yield* rest
      yield* pool.use((connection) => connection.query("select 3"))
      assert.strictEqual(validations(), 0)
    }))

  it.scoped("a stale connection is replaced before a single statement or BEGIN is sent", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeRested(["statement", "transaction"])
      server.last.stale = true
      yield* sql`insert a`
      assert.deepStrictEqual(server.sentOn(1), [])
      yield* rest
      server.last.stale = true
      yield* Stream.runDrain(sql`insert b`.stream)
      yield* rest
      server.last.stale = true
      yield* pool.withTransaction(sql`insert c`)
      assert.deepStrictEqual(server.log, [
        "2: insert a",
        "3: insert b",
        "3: end of insert b",
        "4: BEGIN",
        "4: insert c",
        "4: COMMIT"
      ])
      assert.deepStrictEqual(server.data, ["a", "b", "c"])
    }))

  it.scoped("a stale connection in a lease is NoSuchConnection: nothing was sent, and the lease has no other", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeRested(["statement"])
      server.last.stale = true
      const error = yield* failsWith(pool.use((connection) => connection.query("insert a")), "NoSuchConnection")
      assert.isTrue(error.isRetryable)
      assert.include(error.message, "did not pass validation")
      assert.deepStrictEqual(server.log, [])
      assert.strictEqual((yield* pool.stats).retired.lost, 1)
    }))

  it.scoped("in a session, whose connection cannot be replaced, a transaction does not begin elsewhere", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeRested(["transaction"])
      server.last.stale = true
      yield* failsWith(pool.session(pool.withTransaction(sql`insert a`)), "SessionLost")
      assert.deepStrictEqual(server.log, [])
    }))

  it.scoped("one that is not answered ends after validateTimeout, even where the caller cannot be interrupted", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeRested(["statement"])
      server.last.mute = true
      const fiber = yield* start(Effect.exit(Effect.uninterruptible(pool.use((connection) => connection.query("a")))))
      yield* TestClock.adjust("1999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      const error = failure(yield* Fiber.join(fiber))
      assert.strictEqual(error._tag, "NoSuchConnection")
      assert.include(error.message, "no answer within 2000 ms")
      yield* sql`insert b`
      assert.deepStrictEqual(server.data, ["b"])
    }))

  it.scoped("is not done on behalf of a lease that has ended: the connection is somebody else's", () =>
    Effect.gen(function*() {
      const { pool, server, validations } = yield* makeRested(["statement"])
      const scope = yield* Scope.make()
      const { connection } = yield* Scope.extend(pool.acquire, scope)
      const latch = yield* Deferred.make<void>()
      const late = yield* start(Effect.exit(Effect.zipRight(Deferred.await(latch), connection.query("insert late"))))
      yield* Scope.close(scope, Exit.void)
      server.last.stale = true
      yield* pool.use(() => Effect.zipRight(Deferred.succeed(latch, undefined), Fiber.join(late)))
      yield* failsWith(Effect.flatten(Fiber.join(late)), "LeaseReleased")
      assert.strictEqual(validations(), 0)
      assert.isUndefined(server.last.broken)
    }))

  it.scoped("and one that fails after the lease has ended costs the next holder nothing", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeRested(["statement"])
      server.last.mute = true
      const late = yield* pool.use((connection) => start(Effect.exit(connection.query("insert late"))))
      yield* pool.use(() => TestClock.adjust("2 seconds"))
      yield* failsWith(Effect.flatten(Fiber.join(late)), "LeaseReleased")
      assert.isUndefined(server.last.broken)
      assert.deepStrictEqual(server.log, [])
    }))

  it.scoped("stale connections, one after the other, are no reason to fail a statement that none of them was sent", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeRested(["statement"])
      // both rest in the pool, and neither has been noticed
      const two = yield* makeOne({ maxConnections: 2, validateOn: ["statement"], validateAfterIdle: 0 })
      yield* two.pool.use(() => two.sql`select 1`)
      for (const connection of two.server.connections) connection.stale = true
      yield* rest
      yield* two.sql`insert a`
      assert.strictEqual((yield* two.pool.stats).retired.lost, 2)
      assert.deepStrictEqual(two.server.data, ["a"])
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, server.connections.length)
    }))
})
