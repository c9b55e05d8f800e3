import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { eventually, failsWith, idOf, kill, makePool, makeTable } from "./support.js"

/** what a holder may leave in a session */
const leave = [
  "set @leak = 42",
  "set session transaction isolation level serializable",
  "create temporary table tmp (n int)"
]

const left = "select @leak as leak"

/** by the name that the variable has there */
const level = "show session variables where variable_name in ('tx_isolation', 'transaction_isolation')"

describe("what a holder leaves in its session", () => {
  it.scopedLive("is gone for the next one when `reset` is \"session\", and the connection is the same", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1, reset: "session", setup: ["set @prepared = 7"] })
      const [before] = yield* sql.unsafe(idOf)
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          for (const text of leave) yield* connection.query(text)
          yield* connection.query("select ? as a", [1])
          yield* connection.query("set autocommit = 0")
          yield* connection.query("begin")
        })
      )
      const [row] = yield* sql.unsafe(`${left}, @prepared as prepared`)
      assert.deepStrictEqual(row, { prepared: 7, leak: null })
      const [{ Value }] = yield* sql.unsafe<any>(level)
      assert.strictEqual(Value, "REPEATABLE-READ")
      assert.strictEqual(
        (yield* failsWith(pool.use((c) => c.query("select * from tmp")), "StatementError")).code,
        "1146"
      )
      assert.deepStrictEqual<unknown>(yield* sql`select ${"again"} as a`, [{ a: "again" }])
      const [after] = yield* sql.unsafe(idOf)
      assert.deepStrictEqual(after, before)
    }))

  it.scopedLive("keeps the character set of the connection, whatever that of the server is", () =>
    Effect.gen(function*() {
      const { admin, sql } = yield* makePool({ maxConnections: 1, reset: "session" })
      yield* Effect.acquireRelease(
        admin("set global character_set_client = latin1, global character_set_results = latin1"),
        () => admin("set global character_set_client = utf8mb4, global character_set_results = utf8mb4")
      )
      for (let i = 0; i < 3; i++) {
        assert.deepStrictEqual<unknown>(yield* sql`select ${"☃ ü"} as a, 'ü☃' as b`, [{ a: "☃ ü", b: "ü☃" }])
        assert.deepStrictEqual<unknown>(yield* sql`select ${"☃ ü"} as a, 'ü☃' as b`.unprepared, [{ a: "☃ ü", b: "ü☃" }])
        const [row] =
          yield* sql`select @@character_set_client as c, @@character_set_results as r, @@collation_connection as k`
        assert.deepStrictEqual(row, { c: "utf8mb4", r: "utf8mb4", k: "utf8mb4_unicode_ci" })
      }
    }))

  it.scopedLive("is there for the next one by default, which costs no round trip", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      yield* pool.use((connection) => connection.query("set @leak = 42"))
      assert.deepStrictEqual<unknown>(yield* sql`select @leak as leak`, [{ leak: 42 }])
    }))
})

describe("a session", () => {
  it.scopedLive("runs statements, leases and transactions on one connection, those of children included", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 3 })
      const statement = Effect.map(sql.unsafe<{ readonly id: number }>(idOf), ([row]) => row!.id)
      const lease = Effect.map(
        pool.use((connection) => connection.query<{ readonly id: number }>(idOf)),
        ([row]) => row!.id
      )
      const transaction = sql.withTransaction(Effect.zip(statement, lease))
      const ids = yield* Effect.all([statement, lease, transaction, Effect.timeout(statement, "10 seconds")], {
        concurrency: "unbounded"
      }).pipe(pool.session)
      assert.strictEqual(new Set(ids.flat()).size, 1)
      assert.strictEqual((yield* pool.stats).leased, 0)
    }))

  it.scopedLive("whose connection is killed cannot go on", () =>
    Effect.gen(function*() {
      const { admin, pool, sql } = yield* makePool({ maxConnections: 3 })
      const exit = yield* Effect.exit(
        Effect.gen(function*() {
          const [row] = yield* sql.unsafe<{ readonly id: number }>(idOf)
          yield* kill(admin, row!.id)
          yield* eventually(pool.stats, ({ retired }) => retired.lost === 1, "the pool notices")
          yield* sql`select 1`
        }).pipe(pool.session)
      )
      assert.isTrue(Exit.isFailure(exit))
      yield* sql`select 1`
    }))
})

describe("a prepared statement", () => {
  const count = (name: string) => `show session status like '${name}'`

  it.scopedLive("is prepared once on a connection, and no more are kept than `preparedStatements`", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool({ maxConnections: 1, preparedStatements: 3 })
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          const asked = (name: string) =>
            Effect.map(connection.query(count(name), [], { unprepared: true }), ([row]) => Number(row!.Value))
          for (let i = 0; i < 5; i++) yield* connection.query("select ? as again", [`${i}`])
          assert.strictEqual(yield* asked("com_stmt_prepare"), 1)
          assert.strictEqual(yield* asked("com_stmt_execute"), 5)
          for (let i = 0; i < 10; i++) yield* connection.query(`select ? as n${i}`, [`${i}`])
          const [prepared, closed] = [yield* asked("com_stmt_prepare"), yield* asked("com_stmt_close")]
          assert.deepStrictEqual([prepared, closed], [11, 8])
        })
      )
    }))

  it.scopedLive("that the server has forgotten is prepared again, in a transaction too", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable({ maxConnections: 1 })
      const insert = (id: number) => sql`insert into ${sql(table)} values (${id}, ${`n${id}`})`
      // closes what is prepared on the server, and tells nobody
      const forget = pool.use((connection) =>
        Effect.forEach(Array.from({ length: 20 }, (_, i) => i + 1), (id) => connection.query("do ?", [id]))
      )
      yield* insert(1)
      yield* forget
      yield* pool.withTransaction(Effect.zipRight(insert(2), insert(3)))
      assert.deepStrictEqual(yield* names, ["n1", "n2", "n3"])
    }))

  it.scopedLive("survives a change of its table", () =>
    Effect.gen(function*() {
      const { admin, sql, table } = yield* makeTable({ maxConnections: 1 })
      yield* admin(`insert into ${table} values (1, 'a')`)
      const all = sql.unsafe(`select * from ${table} where id = ?`, [1])
      assert.deepStrictEqual<unknown>(yield* all, [{ id: 1, name: "a" }])
      yield* admin(`alter table ${table} add column more int default 5`)
      assert.deepStrictEqual<unknown>(yield* all, [{ id: 1, name: "a", more: 5 }])
    }))

  it.scopedLive("for which the server has no room takes that of others of its connection", () =>
    Effect.gen(function*() {
      const { admin, pool, sql } = yield* makePool({ maxConnections: 1 })
      const kept = yield* admin("show global status like 'prepared_stmt_count'")
      yield* sql`select ${1} as a`
      yield* sql`select ${1} as b`
      const limit = Number(kept[0].Value) + 2
      yield* Effect.acquireRelease(
        admin(`set global max_prepared_stmt_count = ${limit}`),
        () => admin("set global max_prepared_stmt_count = 16382")
      )
      assert.deepStrictEqual<unknown>(yield* sql`select ${1} as c`, [{ c: 1 }])
      assert.deepStrictEqual<unknown>(yield* sql`select ${1} as a`, [{ a: 1 }])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})
