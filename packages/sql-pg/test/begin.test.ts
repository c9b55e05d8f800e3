/** BEGIN and the first statement of a transaction, in one round trip. */
import { connectionOf } from "@dbpool/sql/Driver"
import { refineErrors } from "@dbpool/sql/SqlPoolError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { PgConnection } from "../src/internal/connection.js"
import { wireOf } from "../src/internal/wire.js"
import { failsWith, makePool, makeTable } from "./support.js"

/** how often the server says that it is ready during something, on the only connection of a pool */
const roundTrips = (pool: Effect.Effect.Success<ReturnType<typeof makePool>>["pool"]) =>
  Effect.map(
    pool.use((connection) => Effect.sync(() => connectionOf(connection) as PgConnection)),
    ({ client }) => {
      let count = 0
      wireOf(client).on("readyForQuery", () => {
        count++
      })
      return <A, E, R>(self: Effect.Effect<A, E, R>) =>
        Effect.suspend(() => {
          const before = count
          return Effect.map(self, (a) => [a, count - before] as const)
        })
    }
  )

for (const preparedStatements of [0, 100]) {
  describe(`the first statement of a transaction, with preparedStatements: ${preparedStatements}`, () => {
    const one = { maxConnections: 1, preparedStatements }

    it.scopedLive("takes its BEGIN along, whatever it looks like, and is what it would be by itself", () =>
      Effect.gen(function*() {
        const { pool, sql } = yield* makePool(one)
        const counted = yield* roundTrips(pool)
        const inTransaction = sql`select now() <> statement_timestamp() as "in"`
        for (let times = 0; times < 3; times++) {
          const [rows, trips] = yield* counted(sql.withTransaction(sql`select ${7}::int as n`))
          assert.deepStrictEqual(rows, [{ n: 7 }])
          assert.strictEqual(trips, 2)
        }
        assert.deepStrictEqual(yield* counted(sql.withTransaction(sql`select 1 as n`)), [[{ n: 1 }], 2])
        assert.deepStrictEqual(yield* counted(sql.withTransaction(sql`select 1 as n`.values)), [[[1]], 2])
        assert.deepStrictEqual(yield* counted(sql.withTransaction(sql`select ${1}::int`.values)), [[[1]], 2])
        assert.deepStrictEqual(
          yield* counted(sql.withTransaction(sql.unsafe("select 1 as a; select 2 as b"))),
          [[[{ a: 1 }], [{ b: 2 }]] as never, 2]
        )
        assert.deepStrictEqual(yield* counted(sql.withTransaction(sql.unsafe(""))), [[], 2])
        assert.deepStrictEqual(yield* counted(sql.withTransaction(sql.unsafe("-- nothing"))), [[], 2])
        const raw = yield* sql.withTransaction(sql`select ${5}::int as n`.raw)
        assert.deepInclude(raw, { command: "SELECT", rowCount: 1, rows: [{ n: 5 }] })
        const [rows] = yield* sql.withTransaction(Effect.zipRight(sql`select pg_sleep(0.002)`, inTransaction))
        assert.deepStrictEqual(rows, { in: true })
      }))

    it.scopedLive("that fails says so as it would by itself, and runs again as if it had not", () =>
      Effect.gen(function*() {
        const { admin, pool, sql, table } = yield* makeTable(one)
        const wrong = yield* failsWith(refineErrors(sql.withTransaction(sql.unsafe("select nope"))), "StatementError")
        assert.strictEqual(wrong.reason, "Syntax")
        assert.strictEqual((wrong.cause as { readonly position: string }).position, "8")
        const typo = yield* failsWith(refineErrors(sql.withTransaction(sql.unsafe("selct 1"))), "StatementError")
        assert.strictEqual((typo.cause as { readonly position: string }).position, "1")
        const far = yield* failsWith(
          refineErrors(sql.withTransaction(sql.unsafe("select nope where 1 = $1::int", [1]))),
          "StatementError"
        )
        assert.strictEqual((far.cause as { readonly position: string }).position, "8")
        const insert = (id: number) => pool.withTransaction(sql`insert into ${sql(table)} values (${id}, 'a')`)
        for (const id of [1, 2, 3]) yield* insert(id)
        yield* admin(`alter table ${table} rename to ${table}_away`)
        for (let times = 0; times < 3; times++) {
          const missing = yield* failsWith(insert(4), "StatementError")
          assert.strictEqual(missing.code, "42P01")
          assert.isTrue(missing.inTransaction)
        }
        yield* admin(`alter table ${table}_away rename to ${table}`)
        for (const id of [4, 5, 6]) yield* insert(id)
        assert.strictEqual((yield* failsWith(insert(6), "StatementError")).reason, "UniqueViolation")
        assert.deepStrictEqual(yield* admin(`select count(*)::int as n from ${table}`), [{ n: 6 }])
        assert.strictEqual((yield* pool.stats).opened, 1)
      }))

    it.scopedLive("that never left this side leaves the transaction open for the next one", () =>
      Effect.gen(function*() {
        const { names, pool, sql, table } = yield* makeTable(one)
        const circular: Record<string, unknown> = {}
        circular["self"] = circular
        yield* pool.withTransaction(Effect.gen(function*() {
          const json = yield* failsWith(refineErrors(sql.unsafe("select $1::json", [circular])), "StatementError")
          assert.include(json.message, "circular")
          yield* sql`insert into ${sql(table)} values (1, 'a')`
          yield* Effect.exit(sql.withTransaction(Effect.zipRight(sql`delete from ${sql(table)}`, Effect.fail("no"))))
        }))
        assert.deepStrictEqual(yield* names, ["a"])
      }))
  })
}

describe("the beginning of a transaction", () => {
  it.scopedLive("carries its options, and the settings that a transaction pooler needs", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({
        maxConnections: 1,
        transactionPooling: true,
        lockTimeout: "3 seconds",
        idleInTransactionTimeout: "4 seconds"
      })
      const counted = yield* roundTrips(pool)
      const settings = (first: Effect.Effect<unknown, unknown>) =>
        Effect.zipRight(
          first,
          sql`select current_setting('transaction_isolation') || ' ' || current_setting('transaction_read_only') || ' '
            || current_setting('lock_timeout') || ' ' || current_setting('idle_in_transaction_session_timeout') as is`
        ).pipe(pool.transaction({ isolation: "repeatable read", accessMode: "read only" }), counted)
      const expected = [[{ is: "repeatable read on 3s 4s" }], 3]
      assert.deepStrictEqual(yield* settings(sql`select 1`), expected as never)
      assert.deepStrictEqual(yield* settings(sql`select ${1}::int`), expected as never)
      assert.deepStrictEqual(yield* sql`show lock_timeout`, [{ lock_timeout: "0" }])
    }))

  it.scopedLive("goes ahead of a stream; without a statement there is none, and nothing to end", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      const counted = yield* roundTrips(pool)
      const rows = Stream.runCollect(sql`select n from generate_series(1, 300) n`.stream)
      assert.lengthOf(yield* sql.withTransaction(rows), 300)
      assert.deepStrictEqual(yield* counted(sql.withTransaction(Effect.succeed(1))), [1, 0])
      assert.deepStrictEqual(yield* counted(Effect.flip(sql.withTransaction(Effect.fail("no")))), ["no", 0])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("runs nothing when a part of it is refused", () =>
    Effect.gen(function*() {
      const { names, pool, table } = yield* makeTable({ maxConnections: 1 })
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          const driver = connectionOf(connection) as PgConnection
          const before = ["BEGIN", "SET LOCAL no_such_setting = 1"]
          for (const [sql, params] of [["1, 'a'", []], ["$1, 'b'", [2]]] as const) {
            const text = `insert into ${table} values (${sql})`
            const error = yield* Effect.flip(driver.execute(text, params, "object", undefined, false, before))
            assert.include(String(error), "no_such_setting")
            yield* driver.rollback
          }
        })
      )
      assert.deepStrictEqual(yield* names, [])
    }))

  it.scopedLive("with a prepared statement that the server has forgotten is StalePlan, and can be repeated", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      const statement = sql`select ${1}::int as n`
      yield* Effect.repeatN(statement, 2)
      const forget = pool.use((connection) =>
        (connectionOf(connection) as PgConnection).execute("select 1; deallocate all", [], "object")
      )
      yield* forget
      const plan = pool.withTransaction(statement)
      const outcome = yield* Effect.either(plan)
      if (outcome._tag === "Left") assert.deepInclude(outcome.left, { _tag: "StatementError", reason: "StalePlan" })
      yield* Effect.repeatN(plan, 2)
      yield* forget
      const [row] = yield* statement.pipe(pool.transaction({ retry: Schedule.recurs(1) }))
      assert.deepStrictEqual(row, { n: 1 })
    }))
})
