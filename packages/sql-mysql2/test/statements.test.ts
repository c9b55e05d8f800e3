import type { QueryError } from "@dbpool/sql/SqlPoolError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { eventually, failsWith, makePool, makeTable } from "./support.js"

describe("a statement", () => {
  it.scopedLive("answers with rows as objects, as arrays, or with the driver's own result", () =>
    Effect.gen(function*() {
      const { pool, sql, table } = yield* makeTable()
      assert.deepStrictEqual(yield* sql`select 1 as a, ${"x"} as b`, [{ a: 1, b: "x" }])
      assert.deepStrictEqual(yield* sql`select 1 as a, ${"x"} as b`.values, [[1, "x"]])
      assert.deepStrictEqual(yield* sql`select * from ${sql(table)}`, [])
      assert.deepStrictEqual(yield* sql`select * from ${sql(table)}`.raw, [])
      assert.deepStrictEqual(yield* sql`insert into ${sql(table)} values (1, 'a'), (2, 'b')`, [])
      const header = yield* pool.use((connection) => connection.raw(`delete from ${table}`))
      assert.strictEqual((header as { readonly affectedRows: number }).affectedRows, 2)
    }))

  it.scopedLive("that cannot be prepared is sent as a text, the second time at once", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      const questions = Effect.map(
        sql<{ readonly Value: string }>`show session status like 'Com_stmt_prepare'`.unprepared,
        ([row]) => Number(row!.Value)
      )
      yield* pool.use((connection) => connection.query("prepare kept from 'select 7 as n'"))
      const before = yield* questions
      yield* pool.use((connection) => connection.query("prepare kept from 'select 7 as n'"))
      assert.strictEqual(yield* questions, before + 1)
      assert.deepStrictEqual(yield* pool.use((connection) => connection.query("execute kept")), [{ n: 7 }])
    }))

  it.scopedLive("with several statements in its text is refused, unless it is sent unprepared", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable({ maxConnections: 1 })
      const text = `insert into ${table} values (1, 'a'); select name from ${table}`
      for (const way of [pool.use((connection) => connection.query(text)), sql.unsafe(text)]) {
        const { cause } = yield* Effect.flip(way as Effect.Effect<unknown, { readonly cause: unknown }>)
        assert.include(String(cause), "syntax")
      }
      const stacked = "prepare p from 'select 1'; drop table if exists no_such_table"
      assert.strictEqual(
        (yield* failsWith(pool.use((connection) => connection.query(stacked)), "StatementError")).reason,
        "Syntax"
      )
      assert.deepStrictEqual(yield* names, [])
      assert.deepStrictEqual<unknown>(yield* sql.unsafe(text).unprepared, [[], [{ name: "a" }]])
      assert.deepStrictEqual<unknown>(
        yield* pool.use((connection) => connection.values("select 1; select 2", [], { unprepared: true })),
        [[[1]], [[2]]]
      )
    }))

  it.scopedLive("that fails in the middle of several says so, and the connection goes on", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable({ maxConnections: 1 })
      const text = `insert into ${table} values (1, 'a'); selec; insert into ${table} values (2, 'b')`
      const error = yield* failsWith(
        pool.use((connection) => connection.query(text, [], { unprepared: true })),
        "StatementError"
      )
      assert.strictEqual(error.reason, "Syntax")
      assert.deepStrictEqual(yield* names, ["a"])
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("that calls a procedure gives the rows of each of its results", () =>
    Effect.gen(function*() {
      const { admin, sql, table } = yield* makeTable()
      yield* admin(`create procedure ${table}_p(n int) begin select n as a; select n + 1 as b; end`)
      yield* Effect.addFinalizer(() => admin(`drop procedure ${table}_p`))
      const rows = yield* sql.unsafe(`call ${table}_p(?)`, [5])
      assert.deepStrictEqual<unknown>(rows, [[{ a: 5 }], [{ b: 6 }], []])
    }))

  it.scopedLive("whose parameters cannot be sent fails without being sent, and the connection goes on", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      const circular: Record<string, unknown> = {}
      circular.self = circular
      const unsendable = [
        undefined,
        circular,
        () => 1,
        Symbol("s"),
        { digits: 1n },
        NaN,
        -Infinity,
        new Date(NaN),
        new Map(),
        new Float32Array(2),
        { toJSON: () => undefined }
      ]
      // prepared for the first time, once more, and not at all
      yield* sql`select ${1} as b`
      for (const [name, unprepared] of [["a", false], ["b", false], ["a", true]] as const) {
        for (const value of unsendable) {
          const error = yield* failsWith(
            pool.use((connection) => connection.query(`select ? as ${name}`, [value], { unprepared })),
            "StatementError"
          )
          assert.strictEqual(error.reason, "Unknown")
        }
        yield* failsWith(
          pool.use((connection) => connection.query("select ? as a, ? as b", [1], { unprepared })),
          "StatementError"
        )
        const nonsense = { not: "an array" } as unknown as Array<unknown>
        yield* failsWith(pool.use((connection) => connection.query("select 1", nonsense)), "StatementError")
      }
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("whose rows cannot be read fails, and its connection is given up, for more would come", () =>
    Effect.gen(function*() {
      const typeCast = () => {
        throw new Error("what is that?")
      }
      const { pool } = yield* makePool({ maxConnections: 1, initialize: "lazy", poolConfig: { typeCast } })
      const text = "select 'a' union all select 'b'"
      const error = yield* failsWith(
        pool.use((connection) => connection.query(text, [], { unprepared: true })),
        "StatementError"
      )
      assert.include(error.message, "what is that?")
    }))

  it.scopedLive("is not executed with fewer or more values than it takes, however often it was with as many", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool({ maxConnections: 1, initialize: "lazy" })
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          for (const values of [[1], [1, 2], [1, 2], [], [1, 2, 3], [1, 2]]) {
            for (const way of ["query", "values"] as const) {
              const run: Effect.Effect<unknown, QueryError> = connection[way]("select ? as a, ? as b", values)
              const result = yield* Effect.either(run)
              assert.strictEqual(result._tag, values.length === 2 ? "Right" : "Left", `${values.length} values`)
              if (result._tag === "Left") assert.include(result.left.message, "for 2 placeholders")
            }
          }
        })
      )
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("whose rows cannot be read does not give its connection to those who wait", () =>
    Effect.gen(function*() {
      const typeCast = (field: { readonly name: string }, next: () => unknown) => {
        if (field.name === "bad") throw new Error("what is that?")
        return next()
      }
      const { pool, sql } = yield* makePool({ maxConnections: 1, initialize: "lazy", poolConfig: { typeCast } })
      const [bad, good] = yield* Effect.all([
        Effect.either(sql`select 'a' as bad union all select 'b'`),
        sql`select 1 as good`
      ], { concurrency: "unbounded" })
      assert.strictEqual(bad._tag, "Left")
      assert.deepStrictEqual(good, [{ good: 1 }])
      assert.strictEqual((yield* pool.stats).retired.lost, 1)
    }))
})

describe("a parameter", () => {
  it.scopedLive("means the same prepared and unprepared", () =>
    Effect.gen(function*() {
      const { admin, pool, table } = yield* makeTable()
      yield* admin(`alter table ${table} add column (b blob, d datetime(3), j json, n bigint unsigned, f double)`)
      const values = [
        "it's \\ \"quoted\" % _ \0 \n ünï ☃ 😀",
        Buffer.from([0, 39, 92, 255]),
        new Date(2024, 1, 29, 12, 34, 56, 789),
        { a: ["x'", null], "b\\": 1 },
        18446744073709551615n,
        -1.5e-7
      ]
      const row = (unprepared: boolean, id: number) =>
        pool.use((connection) =>
          Effect.gen(function*() {
            yield* connection.query(
              `insert into ${table} (id, name, b, d, j, n, f) values (?, ?, ?, ?, ?, ?, ?) -- is it ?`,
              [id, ...values],
              { unprepared }
            )
            const [row] = yield* connection.values(
              `select name, b, d, j, n, f, 'a?' from ${table} where id = ? and n = ? and ${"`f`"} /* ? */ is not null`,
              [id, 18446744073709551615n],
              { unprepared }
            )
            return row
          })
        )
      const expected = [...values.slice(0, 4), "18446744073709551615", -1.5e-7, "a?"]
      assert.deepStrictEqual(yield* row(false, 1), expected)
      assert.deepStrictEqual(yield* row(true, 2), expected)
      const flags = "select ? is null as a, ? as b, ? as c"
      for (const unprepared of [false, true]) {
        const rows = yield* pool.use((connection) => connection.values(flags, [null, true, false], { unprepared }))
        assert.deepStrictEqual(rows.map((row) => row.map(Number)), [[1, 1, 0]])
      }
    }))

  it.scopedLive("written into a text cannot break out of it, whatever the session takes a backslash for", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool({ maxConnections: 1 })
      const evil = ["\\", "\\'", "'; drop table x -- ", "' or '1'='1", "\\' or 1=1 -- ", "''", "a\\\\'b"]
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          for (const mode of ["", "NO_BACKSLASH_ESCAPES"]) {
            yield* connection.query(`set sql_mode = '${mode}'`)
            for (const text of evil) {
              const rows = yield* connection.values("select ? as a, 'it''s ?', ?", [text, text], { unprepared: true })
              assert.deepStrictEqual(rows, [[text, "it's ?", text]])
            }
          }
        })
      )
    }))
})

describe("a transaction", () => {
  it.scopedLive("runs in the isolation level and access mode asked for, and leaves none behind", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql, table } = yield* makeTable({ maxConnections: 1 })
      yield* sql`insert into ${sql(table)} values (1, 'a')`
      // the server looks again only when nobody has asked for 100 ms
      const runsIn = (level: string) =>
        Effect.zipRight(
          sql`select * from ${sql(table)}`,
          eventually(
            Effect.delay("150 millis")(admin(
              `select trx_isolation_level as level from information_schema.innodb_trx
               join information_schema.processlist on trx_mysql_thread_id = id where user = ?`,
              [app]
            )),
            ([row]) => row?.level === level,
            `a transaction runs in ${level}`
          )
        )
      yield* runsIn("SERIALIZABLE").pipe(pool.transaction({ isolation: "serializable" }))
      yield* runsIn("REPEATABLE READ").pipe(pool.transaction({}))
      yield* runsIn("READ COMMITTED").pipe(pool.transaction({ isolation: "read committed", accessMode: "read write" }))
      const refused = yield* failsWith(
        sql`delete from ${sql(table)}`.pipe(pool.transaction({ accessMode: "read only" })),
        "StatementError"
      )
      assert.deepStrictEqual([refused.reason, refused.code], ["ReadOnly", "1792"])
      yield* sql`delete from ${sql(table)}`
      const unknown = yield* failsWith(Effect.void.pipe(pool.transaction({ deferrable: true })), "InvalidTransaction")
      assert.strictEqual(unknown.option, "deferrable")
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("whose statement fails goes on: MySQL undoes the statement, not the transaction", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable()
      const insert = (id: number) => sql`insert into ${sql(table)} values (${id}, ${`n${id}`})`
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* insert(1)
        yield* Effect.ignore(insert(1))
        yield* Effect.ignore(pool.withTransaction(Effect.zipRight(insert(2), Effect.fail("no"))))
        yield* pool.withTransaction(insert(3))
      }))
      assert.deepStrictEqual(yield* names, ["n1", "n3"])
    }))

  it.scopedLive("of a session that does not commit by itself is no one's: the next one commits again", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable({ maxConnections: 1 })
      yield* pool.use((connection) =>
        Effect.zipRight(
          connection.query("set autocommit = 0"),
          connection.query(`insert into ${table} values (1, 'a')`)
        )
      )
      yield* pool.use((connection) => connection.query("set autocommit = 0"))
      yield* sql`insert into ${sql(table)} values (2, 'b')`
      assert.deepStrictEqual(yield* names, ["b"])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})
