import type * as Transaction from "@dbpool/sql/Transaction"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/TestClock"
import { lose, refuse, unsent } from "./server.js"
import { failsWith, makeOne, start } from "./support.js"

const thrice = { retry: Schedule.recurs(2) }

describe("a transaction with `retry`", () => {
  it.scoped("is repeated after a serialization failure or a deadlock, with a BEGIN of its own", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert a", refuse("SerializationFailure"), 1)
      yield* sql`insert a`.pipe(pool.transaction({ ...thrice, isolation: "serializable" }))
      server.on("insert b", refuse("Deadlock"), 2)
      yield* sql`insert b`.pipe(pool.transaction(thrice))
      assert.deepStrictEqual(server.data, ["a", "b"])
      assert.deepStrictEqual(server.sentOn(1).slice(0, 6), [
        "BEGIN serializable",
        "insert a",
        "ROLLBACK",
        "BEGIN serializable",
        "insert a",
        "COMMIT"
      ])
    }))

  it.scoped("is repeated after a lock timeout, from its beginning, unless it went on without what it waited for", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert b", refuse("LockTimeout"), 1)
      yield* Effect.zipRight(sql`insert a`, sql`insert b`).pipe(pool.transaction(thrice))
      assert.deepStrictEqual(server.data, ["a", "b"])
      const sent = ["BEGIN", "insert a", "insert b"]
      assert.deepStrictEqual(server.sentOn(1), [...sent, "ROLLBACK", ...sent, "COMMIT"])
      // MySQL undoes the statement alone
      server.on("insert d", { _tag: "refuse", reason: "LockTimeout", goesOn: true }, 1)
      yield* Effect.zipRight(sql`insert c`, Effect.ignore(sql`insert d`)).pipe(pool.transaction(thrice))
      assert.deepStrictEqual(server.data, ["a", "b", "c"])
      assert.strictEqual(server.sentOn(1).filter((text) => text === "BEGIN").length, 3)
    }))

  it.scoped("is repeated when the COMMIT is refused because of a conflict", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("COMMIT", refuse("SerializationFailure"), 1)
      yield* sql`insert a`.pipe(pool.transaction(thrice))
      assert.deepStrictEqual(server.data, ["a"])
    }))

  it.scoped("is repeated when its BEGIN reached nobody", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("BEGIN", unsent, 1)
      yield* sql`insert a`.pipe(pool.transaction(thrice))
      assert.deepStrictEqual(server.data, ["a"])
    }))

  it.scoped("goes by what the connection saw: errors that were wrapped, swallowed or turned into defects", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      const bodies = {
        wrapped: Effect.mapError(sql`insert a`, () => "my own error"),
        defect: Effect.orDie(sql`insert a`),
        swallowed: Effect.ignore(sql`insert a`),
        nested: sql.withTransaction(sql`insert a`),
        "with an interrupt beside it": Effect.catchAll(
          sql`insert a`,
          () => Effect.failCause(Cause.parallel(Cause.die("mine"), Cause.interrupt(FiberId.none)))
        ),
        concurrent: Effect.all([sql`insert a`, Effect.never], { concurrency: "unbounded" })
      }
      for (const [name, body] of Object.entries(bodies)) {
        server.data = []
        server.on("insert a", refuse("Deadlock"), 1)
        let runs = 0
        const fiber = yield* start(
          Effect.suspend(() => {
            runs++
            return name === "concurrent" && runs > 1 ? sql`insert a` : body as Effect.Effect<unknown, unknown>
          }).pipe(pool.transaction(thrice), Effect.exit)
        )
        assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)), name)
        assert.strictEqual(runs, 2, name)
        assert.deepStrictEqual(server.data, ["a"], name)
      }
    }))

  it.scoped("is not repeated for anything else, least of all a connection lost or a COMMIT of unknown outcome", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      const attempts = () => server.log.filter((line) => line.endsWith("BEGIN")).length
      server.on("insert a", refuse("UniqueViolation"), 1)
      yield* failsWith(sql`insert a`.pipe(pool.transaction(thrice)), "StatementError")
      assert.strictEqual(attempts(), 1)
      yield* Effect.exit(Effect.fail("mine").pipe(pool.transaction(thrice)))
      assert.strictEqual(attempts(), 2)
      server.on("insert a", lose, 1)
      yield* failsWith(sql`insert a`.pipe(pool.transaction(thrice)), "ConnectionLost")
      yield* sql`select 1`
      assert.strictEqual(attempts(), 3)
      server.on("COMMIT", lose, 1)
      yield* failsWith(sql`insert a`.pipe(pool.transaction(thrice)), "CommitUnknown")
      assert.strictEqual(attempts(), 4)
    }))

  it.scoped("is not repeated after a COMMIT of unknown outcome, though a savepoint survived a deadlock before it", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert b", refuse("Deadlock"), 1)
      server.on("COMMIT", lose, 1)
      yield* failsWith(
        Effect.zipRight(sql`insert a`, Effect.ignore(pool.withTransaction(sql`insert b`))).pipe(
          pool.transaction(thrice)
        ),
        "CommitUnknown"
      )
      assert.strictEqual(server.log.filter((line) => line.endsWith("BEGIN")).length, 1)
    }))

  it.scoped("goes nowhere when the server has ended it: what follows would be committed by itself", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      const victim = { _tag: "refuse", reason: "Deadlock", undone: true } as const
      server.on("insert b", victim)
      const body = Effect.zipRight(Effect.ignore(sql`insert b`), sql`insert c`)
      const error = yield* failsWith(pool.withTransaction(Effect.zipRight(sql`insert a`, body)), "LeaseReleased")
      assert.strictEqual(error.what, "transaction")
      yield* failsWith(pool.withTransaction(Effect.ignore(sql`insert b`)), "LeaseReleased")
      yield* failsWith(
        pool.withTransaction(Effect.zipRight(Effect.ignore(pool.withTransaction(sql`insert b`)), sql`insert c`)),
        "LeaseReleased"
      )
      assert.deepStrictEqual(server.log.filter((line) => !/BEGIN|insert [ab]|: SAVEPOINT/.test(line)), [])
      assert.deepStrictEqual(server.data, [])
      server.on("insert d", victim, 1)
      yield* Effect.zipRight(sql`insert d`, sql`insert e`).pipe(pool.transaction(thrice))
      assert.deepStrictEqual(server.data, ["d", "e"])
    }))

  it.scoped("fails with the last error when the schedule ends, and tells it the conflict each time", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert a", refuse("Deadlock"))
      const seen: Array<Transaction.TransactionConflict> = []
      const retry = Schedule.tapInput(
        Schedule.recurs(2),
        (conflict: Transaction.TransactionConflict) => Effect.sync(() => seen.push(conflict))
      )
      const error = yield* failsWith(sql`insert a`.pipe(pool.transaction({ retry })), "StatementError")
      assert.strictEqual(error.reason, "Deadlock")
      assert.isFalse(error.isRetryable)
      assert.deepStrictEqual(seen.map(({ reason }) => reason), ["Deadlock", "Deadlock", "Deadlock"])
    }))

  it.scoped("gives its connection back before the pause, which can be interrupted", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert a", refuse("Deadlock"))
      const fiber = yield* start(sql`insert a`.pipe(pool.transaction({ retry: Schedule.spaced("1 minute") })))
      assert.strictEqual((yield* pool.stats).leased, 0)
      yield* sql`insert b`
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(server.log.filter((line) => line === "1: insert a").length, 2)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(server.data, ["b"])
    }))
})
