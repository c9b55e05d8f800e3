import * as SqlPool from "@dbpool/sql/SqlPool"
import { refineErrors } from "@dbpool/sql/SqlPoolError"
import * as Failure from "@dbpool/testing/Failure"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { eventually, failsWith, failure, makePool, makeTable, pidOf, quiet, timed } from "./support.js"

describe("a statement that takes longer than its timeout", () => {
  it.scopedLive("fails in time, is cancelled on the server, and its connection is used again, however it was sent", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool({ maxConnections: 1, statementTimeout: "100 millis" })
      // the limit is for what follows: on a busy machine anything may take that long
      const unhurried = SqlPool.withStatementTimeout(sql.unsafe(pidOf), Duration.infinity)
      const pid = yield* unhurried
      const ways: ReadonlyArray<Effect.Effect<unknown, any>> = [
        sql`select pg_sleep(30)`,
        sql`select pg_sleep(30)`.unprepared,
        Stream.runDrain(sql`select pg_sleep(30)`.stream),
        // it answers at once, and then no more
        Stream.runDrain(sql`select case when i > 200 then pg_sleep(30) end from generate_series(1, 300) i`.stream),
        pool.use((connection) => connection.query("select pg_sleep(30)")),
        pool.withTransaction(sql`select pg_sleep(30)`)
      ]
      for (const way of ways) {
        const [took, exit] = yield* timed(refineErrors(way))
        const error = failure(exit)
        assert.strictEqual(error._tag, "StatementError")
        assert.strictEqual(error.reason, "StatementTimeout")
        assert.isAtLeast(took, 99)
        assert.isBelow(took, 5000)
      }
      assert.deepStrictEqual(yield* unhurried, pid)
      yield* quiet(admin, app)
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("never costs the next one, whether the cancel is early, late or just in time", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      let timeouts = 0
      for (let i = 0; i < 150; i++) {
        const exit = yield* Effect.exit(SqlPool.withStatementTimeout(sql`select pg_sleep(0.004)`, 1 + i % 8))
        if (Exit.isFailure(exit)) timeouts++
        assert.deepStrictEqual(yield* sql`select ${i}::int as i`, [{ i }] as never)
      }
      assert.isAbove(timeouts, 10)
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("in a transaction leaves only the rollback, though its error is handled", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable({ maxConnections: 1 })
      const slow = SqlPool.withStatementTimeout(sql`select pg_sleep(30)`, "50 millis")
      const error = yield* failsWith(
        pool.withTransaction(Effect.gen(function*() {
          yield* sql`insert into ${sql(table)} values (1, 'a')`
          yield* Effect.ignore(slow)
          yield* Effect.ignore(sql`insert into ${sql(table)} values (2, 'b')`)
        })),
        "CommitFailed"
      )
      assert.strictEqual(error.reason, "RolledBack")
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* sql`insert into ${sql(table)} values (3, 'c')`
        yield* Effect.ignore(pool.withTransaction(slow))
        yield* sql`insert into ${sql(table)} values (4, 'd')`
      }))
      assert.deepStrictEqual(yield* names, ["c", "d"])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})

describe("what the server ends", () => {
  it.scopedLive("`lockTimeout`: the statement alone, with a reason that can be repeated, and its connection goes on", () =>
    Effect.gen(function*() {
      const { admin, names, pool, sql, table } = yield* makeTable({ maxConnections: 2, lockTimeout: "50 millis" })
      yield* sql`insert into ${sql(table)} values (1, 'a')`
      const locked = Effect.acquireRelease(pool.acquire, () => Effect.void).pipe(
        Effect.tap(({ connection }) => connection.query("begin")),
        Effect.tap(({ connection }) => connection.query(`update ${table} set name = 'b'`))
      )
      const update = sql`update ${sql(table)} set name = 'c'`
      yield* Effect.scoped(Effect.gen(function*() {
        yield* locked
        for (const [way, isRetryable] of [[update, true], [pool.withTransaction(update), false]] as const) {
          const [took, exit] = yield* timed(refineErrors(way))
          const error = Failure.tagged(exit, "StatementError")
          assert.deepStrictEqual([error.reason, error.code, error.isRetryable], ["LockTimeout", "55P03", isRetryable])
          assert.isAtLeast(took, 49)
        }
      }))
      let attempts = 0
      const holder = yield* Effect.fork(
        Effect.scoped(Effect.zipRight(locked, eventually(Effect.sync(() => attempts), (n) => n > 1, "another attempt")))
      )
      yield* eventually(
        admin("select 1 from pg_locks l join pg_class c on c.oid = l.relation where c.relname = $1", [table]),
        (rows) => rows.length > 0,
        "the table is locked"
      )
      yield* Effect.suspend(() => {
        attempts++
        return update
      }).pipe(pool.transaction({ retry: Schedule.spaced("5 millis") }))
      yield* Fiber.join(holder)
      assert.deepStrictEqual(yield* names, ["c"])
      assert.strictEqual((yield* pool.stats).opened, 2)
    }))

  it.scopedLive("`idleInTransactionTimeout`: the connection, and whatever the transaction does next is ConnectionLost", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable({ idleInTransactionTimeout: "60 millis" })
      const insert = (id: number) => sql`insert into ${sql(table)} values (${id}, 'a')`
      const lost = Effect.map(pool.stats, ({ retired }) => retired.lost)
      const rests = Effect.flatMap(lost, (before) => eventually(lost, (now) => now > before, "the server cuts it"))
      const ways = [
        Effect.zipRight(insert(1), Effect.zipRight(rests, insert(2))),
        Effect.zipRight(insert(1), Effect.zipRight(rests, Effect.ignore(insert(2)))),
        Effect.zipRight(insert(1), rests),
        pool.withTransaction(Effect.zipRight(insert(1), rests))
      ]
      for (const way of ways) {
        const error = yield* failsWith(pool.withTransaction(way), "ConnectionLost")
        assert.isTrue(error.inTransaction)
        assert.include(error.message, "idle-in-transaction timeout")
      }
      const byHand = pool.use((connection) =>
        connection.query("begin").pipe(Effect.zipRight(rests), Effect.zipRight(connection.query("select 1")))
      )
      assert.isTrue((yield* failsWith(byHand, "ConnectionLost")).inTransaction)
      // no transaction, no limit
      yield* pool.use((connection) => Effect.zipRight(Effect.sleep("150 millis"), connection.query("select 1")))
      assert.deepStrictEqual(yield* names, [])
      assert.strictEqual(yield* lost, 5)
    }))

  it.scopedLive("`statement_timeout` as a parameter: StatementTimeout, whether or not the pool has a timeout, too", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({
        maxConnections: 1,
        statementTimeout: "20 seconds",
        parameters: { statement_timeout: 50 }
      })
      const error = yield* failsWith(refineErrors(sql`select pg_sleep(30)`), "StatementError")
      assert.deepStrictEqual([error.reason, error.code], ["StatementTimeout", "57014"])
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})
