import * as SqlPool from "@dbpool/sql/SqlPool"
import { refineErrors } from "@dbpool/sql/SqlPoolError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { failsWith, failure, makePool, makeTable, pidOf, quiet, timed } from "./support.js"

describe("a statement that takes longer than its timeout", () => {
  it.scopedLive("fails in time, is cancelled on the server, and its connection is used again, however it was sent", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool({ maxConnections: 1, statementTimeout: "100 millis" })
      const pid = yield* sql.unsafe(pidOf)
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
      assert.deepStrictEqual(yield* sql.unsafe(pidOf), pid)
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
      const { names, pool, sql, table } = yield* makeTable({ maxConnections: 1, statementTimeout: "50 millis" })
      const error = yield* failsWith(
        pool.withTransaction(Effect.gen(function*() {
          yield* sql`insert into ${sql(table)} values (1, 'a')`
          yield* Effect.ignore(sql`select pg_sleep(30)`)
          yield* Effect.ignore(sql`insert into ${sql(table)} values (2, 'b')`)
        })),
        "CommitFailed"
      )
      assert.strictEqual(error.reason, "RolledBack")
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* sql`insert into ${sql(table)} values (3, 'c')`
        yield* Effect.ignore(pool.withTransaction(sql`select pg_sleep(30)`))
        yield* sql`insert into ${sql(table)} values (4, 'd')`
      }))
      assert.deepStrictEqual(yield* names, ["c", "d"])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})
