import * as SqlPool from "@dbpool/sql/SqlPool"
import { refineErrors } from "@dbpool/sql/SqlPoolError"
import { assert, describe, it } from "@effect/vitest"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { deaf, hang, rows } from "./server.js"
import { failsWith, makeOne, settle, start } from "./support.js"

/** runs something that must go on for exactly so long, and answers with how it ended */
const lasts = <A, E, R>(self: Effect.Effect<A, E, R>, millis: number) =>
  Effect.gen(function*() {
    const fiber = yield* start(Effect.exit(self))
    yield* TestClock.adjust(millis - 1)
    assert.isNull(fiber.unsafePoll(), "it ended too early")
    yield* TestClock.adjust(1)
    yield* settle
    const exit = fiber.unsafePoll() as Exit.Exit<Exit.Exit<A, E>> | null
    if (exit === null) return assert.fail(`it goes on after ${millis} ms`)
    return yield* Effect.flatten(exit)
  })

/** that it timed out after exactly so long */
const timesOut = <A, E, R>(self: Effect.Effect<A, E, R>, millis: number) =>
  Effect.map(failsWith(refineErrors(lasts(self, millis)) as Effect.Effect<A, any, R>, "StatementError"), (error) => {
    assert.strictEqual(error.reason, "StatementTimeout")
    assert.include(error.message, `no answer within ${millis} ms`)
    assert.isFalse(error.isRetryable)
    return error
  })

const makeSlow = (options: SqlPool.Options = {}) =>
  Effect.tap(makeOne(options), ({ server }) => Effect.sync(() => server.on("slow", hang)))

describe("statementTimeout", () => {
  it.scoped("of the pool cancels a statement that takes longer, whatever sends it, and its connection is used again", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeSlow({ statementTimeout: "3 seconds" })
      const ways: ReadonlyArray<Effect.Effect<unknown, any>> = [
        sql`slow`,
        sql`slow`.values,
        Stream.runDrain(sql`slow`.stream),
        pool.use((connection) => connection.query("slow")),
        Stream.runDrain(pool.stream((connection) => connection.stream("slow"))),
        Effect.scoped(Effect.flatMap(sql.reserve, (connection) => connection.executeRaw("slow", []))),
        pool.session(sql`slow`)
      ]
      for (const way of ways) yield* timesOut(way, 3000)
      yield* sql`insert a`
      assert.strictEqual(server.cancels.length, ways.length)
      assert.strictEqual(server.connections.length, 1)
      assert.deepStrictEqual(server.data, ["a"])
    }))

  it.scoped("lets quicker ones alone, and takes no time from the next", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeSlow({ statementTimeout: "3 seconds" })
      for (let i = 0; i < 3; i++) {
        const fiber = yield* start(
          pool.use((connection) => Effect.zip(connection.query("slow"), connection.query("slow")))
        )
        for (let j = 0; j < 2; j++) {
          yield* TestClock.adjust("2999 millis")
          server.last.finish()
          yield* settle
        }
        yield* Fiber.join(fiber)
      }
      yield* sql`select 1`
      assert.deepStrictEqual(server.cancels, [])
    }))

  it.scoped("of the call comes before that of the region, the inner region before the outer, and all before the pool", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makeSlow({ statementTimeout: "9 seconds" })
      const slow = (timeout?: Duration.DurationInput) =>
        pool.use((connection) => connection.query("slow", [], { timeout }))
      yield* timesOut(slow(), 9000)
      yield* timesOut(SqlPool.withStatementTimeout(slow(), "3 seconds"), 3000)
      yield* timesOut(SqlPool.withStatementTimeout(slow("2 seconds"), "3 seconds"), 2000)
      yield* timesOut(
        sql`slow`.pipe(SqlPool.withStatementTimeout("4 seconds"), SqlPool.withStatementTimeout("3 seconds")),
        4000
      )
      yield* timesOut(sql`slow`.pipe(SqlPool.idempotent, SqlPool.withStatementTimeout("5 seconds")), 5000)
    }))

  it.scoped("of a region reaches statements of children, leases and streams, and can lift the pool's", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeSlow({ statementTimeout: "9 seconds" })
      const second = SqlPool.withStatementTimeout("1 second")
      yield* timesOut(second(Effect.flatMap(Effect.fork(sql`slow`), Fiber.join)), 1000)
      yield* timesOut(second(Stream.runDrain(sql`slow`.stream)), 1000)
      yield* timesOut(second(Stream.runDrain(pool.stream((connection) => connection.stream("slow")))), 1000)
      const patient = yield* start(SqlPool.withStatementTimeout(sql`slow`, Duration.infinity))
      yield* TestClock.adjust("1 hour")
      assert.isNull(patient.unsafePoll())
      server.last.finish()
      yield* Fiber.join(patient)
    }))

  it.scoped("that is no duration above zero is refused by name, and nothing is sent", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeSlow()
      for (const timeout of [0, -1, NaN, "soon" as "1 second"]) {
        const error = yield* failsWith(
          pool.use((connection) => connection.query("slow", [], { timeout })),
          "InvalidPoolConfig"
        )
        assert.strictEqual(error.option, "timeout")
        yield* failsWith(refineErrors(SqlPool.withStatementTimeout(sql`slow`, timeout)), "InvalidPoolConfig")
        yield* failsWith(
          refineErrors(Stream.runDrain(sql`slow`.stream).pipe(SqlPool.withStatementTimeout(timeout))),
          "InvalidPoolConfig"
        )
      }
      assert.deepStrictEqual(server.log, [])
    }))

  it.scoped("counts from when the statement is sent, not while it waits for a connection or behind others", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeSlow({ statementTimeout: "3 seconds" })
      const holder = yield* start(pool.use(() => Effect.sleep("10 seconds")))
      const waiting = yield* start(sql`insert a`)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(holder)
      yield* Fiber.join(waiting)
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          const first = yield* start(connection.query("slow", [], { timeout: "5 seconds" }))
          const second = yield* start(connection.query("insert b"))
          yield* TestClock.adjust("4 seconds")
          server.last.finish()
          yield* Fiber.join(first)
          yield* Fiber.join(second)
        })
      )
      assert.deepStrictEqual(server.data, ["a", "b"])
    }))

  it.scoped("holds where nothing can be interrupted, as in a finalizer", () =>
    Effect.gen(function*() {
      const { sql } = yield* makeSlow({ statementTimeout: "3 seconds" })
      yield* timesOut(Effect.uninterruptible(sql`slow`), 3000)
      yield* lasts(Effect.ensuring(Effect.void, Effect.ignore(sql`slow`)), 3000)
    }))

  it.scoped("leaves the caller free though the server is deaf; then the connection is given up", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne({ statementTimeout: "1 second", resetTimeout: "5 seconds" })
      server.on("deaf", deaf)
      yield* timesOut(sql`deaf`, 1000)
      const next = yield* start(sql`insert a`)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(next)
      assert.strictEqual((yield* pool.stats).retired.unrestored, 1)
      assert.strictEqual(server.connections.length, 2)
    }))

  it.scoped("may be longer than any timer, and leaves none behind when the pool closes", () =>
    Effect.gen(function*() {
      const sleeping: Array<number> = []
      const clock = yield* Effect.clock
      const watched = Object.assign(Object.create(clock) as Clock.Clock, {
        sleep: (duration: Duration.Duration) => {
          const millis = Duration.toMillis(duration)
          const end = Effect.sync(() => sleeping.splice(sleeping.indexOf(millis), 1))
          return Effect.suspend(() => {
            sleeping.push(millis)
            return Effect.ensuring(clock.sleep(duration), end)
          })
        }
      })
      const scope = yield* Scope.make()
      const options = { statementTimeout: "40 hours", idleTimeout: "10 minutes" } as const
      const { pool, server } = yield* Scope.extend(makeSlow(options), scope).pipe(Effect.withClock(watched))
      yield* timesOut(pool.client`slow`, Duration.toMillis("40 hours"))
      const late = yield* start(pool.client`slow`)
      yield* settle
      assert.include(sleeping, 3_600_000)
      assert.isAtMost(Math.max(...sleeping), 3_600_000)
      server.last.finish()
      yield* Fiber.join(late)
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.deepStrictEqual(sleeping, [])
    }))

  it.scoped("for a stream bounds each wait for rows, not the time that the consumer takes", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeSlow({ statementTimeout: "3 seconds" })
      server.on("many", rows({ n: 1 }, { n: 2 }, { n: 3 }))
      const seen: Array<unknown> = []
      const fiber = yield* start(
        Stream.runForEach(sql`many`.stream, (row) => Effect.delay(Effect.sync(() => seen.push(row)), "10 seconds"))
      )
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(fiber)
      assert.strictEqual(seen.length, 3)
      server.silentAfter = 2
      const rest = yield* start(Effect.exit(Stream.runDrain(sql`many`.stream)))
      yield* TestClock.adjust("2999 millis")
      assert.isNull(rest.unsafePoll())
      yield* TestClock.adjust("1 millis")
      const error = yield* failsWith(refineErrors(Effect.flatten(Fiber.join(rest))), "StatementError")
      assert.strictEqual(error.reason, "StatementTimeout")
    }))
})

describe("statementTimeout in a transaction", () => {
  it.scoped("leaves nothing but to roll back: what follows is not sent, and the COMMIT fails", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne({ statementTimeout: "1 second" })
      server.on("slow", deaf)
      const late: Array<string> = []
      const body = Effect.gen(function*() {
        yield* sql`insert a`
        const error = yield* failsWith(refineErrors(sql`slow`), "StatementError")
        assert.isTrue(error.inTransaction)
        // the cancel comes too late: the server has done it after all
        server.last.finish()
        assert.strictEqual(server.last.status, "open")
        const next = yield* failsWith(refineErrors(sql`insert b`), "StatementError")
        late.push(next.message)
      })
      const error = yield* failsWith(lasts(pool.withTransaction(body), 1000), "CommitFailed")
      assert.strictEqual(error.reason, "RolledBack")
      assert.include(late[0]!, "not sent, because a statement before it timed out")
      yield* settle
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN", "insert a", "slow", "ROLLBACK"])
      yield* sql`insert c`
      assert.deepStrictEqual(server.data, ["c"])
      assert.strictEqual(server.connections.length, 1)
    }))

  it.scoped("undoes only the nested transaction that it happened in", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeSlow({ statementTimeout: "1 second" })
      const body = Effect.gen(function*() {
        yield* sql`insert a`
        yield* failsWith(
          pool.withTransaction(Effect.zipRight(sql`insert b`, Effect.ignore(sql`slow`))),
          "CommitFailed"
        )
        yield* sql`insert c`
      })
      yield* lasts(pool.withTransaction(body), 1000)
      assert.deepStrictEqual(server.data, ["a", "c"])
    }))

  it.scoped("is for BEGIN and SAVEPOINT too, but never for COMMIT, which has commitTimeout", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeSlow({ statementTimeout: "1 second", commitTimeout: "7 seconds" })
      server.on("BEGIN", hang, 1)
      yield* timesOut(pool.withTransaction(sql`insert a`), 1000)
      server.on("SAVEPOINT", hang, 1)
      yield* timesOut(pool.withTransaction(pool.withTransaction(sql`insert a`)), 1000)
      server.on("COMMIT", hang, 1)
      const fiber = yield* start(pool.withTransaction(sql`insert a`))
      yield* TestClock.adjust("6 seconds")
      server.last.finish()
      yield* Fiber.join(fiber)
      server.on("COMMIT", deaf, 1)
      yield* failsWith(lasts(pool.withTransaction(sql`insert b`), 7000), "CommitUnknown")
      assert.deepStrictEqual(server.data, ["a"])
    }))

  it.scoped("does not keep the caller waiting for a deaf server, whatever becomes of its error", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne({ statementTimeout: "1 second", resetTimeout: "5 seconds" })
      server.on("deaf", deaf)
      yield* timesOut(pool.withTransaction(sql`deaf`), 1000)
      yield* TestClock.adjust("5 seconds")
      yield* failsWith(lasts(pool.withTransaction(Effect.ignore(sql`deaf`)), 1000), "CommitFailed")
      yield* TestClock.adjust("5 seconds")
      yield* sql`insert a`
      assert.deepStrictEqual(server.data, ["a"])
    }))
})
