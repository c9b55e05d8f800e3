import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { makePool, makeTable } from "./support.js"

describe("a number", () => {
  it.scopedLive("beyond 2^53 comes as a text, with all its digits; below as a number", () =>
    Effect.gen(function*() {
      const { admin, pool, table } = yield* makeTable()
      yield* admin(`drop table ${table}; create table ${table}
        (id int primary key, s bigint, u bigint unsigned, d decimal(60, 20), n decimal(10, 2), name text)`)
      yield* admin(`insert into ${table} values
        (1, 9223372036854775807, 18446744073709551615, 1234567890123456789012345678901234567890.12345678901234567890, 1.10, ''),
        (2, -9223372036854775808, 0, -0.00000000000000000001, -0.01, ''),
        (3, 9007199254740993, 9007199254740993, 1, 1, ''),
        (4, -9007199254740991, 9007199254740991, 0, 0, '')`)
      const expected = [
        [
          "9223372036854775807",
          "18446744073709551615",
          "1234567890123456789012345678901234567890.12345678901234567890",
          "1.10"
        ],
        ["-9223372036854775808", 0, "-0.00000000000000000001", "-0.01"],
        ["9007199254740993", "9007199254740993", "1.00000000000000000000", "1.00"],
        [-9007199254740991, 9007199254740991, "0.00000000000000000000", "0.00"]
      ]
      for (const unprepared of [false, true]) {
        const rows = yield* pool.use((connection) =>
          connection.values(`select s, u, d, n from ${table} order by id`, [], { unprepared })
        )
        assert.deepStrictEqual<unknown>(rows, expected)
      }
    }))

  it.scopedLive("given as a bigint or a text keeps its digits on the way in, in comparisons too", () =>
    Effect.gen(function*() {
      const { admin, pool, table } = yield* makeTable()
      yield* admin(`drop table ${table}; create table ${table} (id bigint primary key, name text)`)
      yield* admin(`insert into ${table} values (9007199254740992, 'even'), (9007199254740993, 'odd')`)
      for (const unprepared of [false, true]) {
        const found = yield* pool.use((connection) =>
          connection.values(`select name from ${table} where id = ?`, [9007199254740993n], { unprepared })
        )
        assert.deepStrictEqual(found, [["odd"]])
        const sums = yield* pool.use((connection) =>
          connection.values(
            "select cast(? as decimal(65, 30)), cast(? as unsigned), ? + 0, ? - 0",
            ["12345678901234567890123456789.000000000000000000000000000001", 18446744073709551615n, -(2n ** 63n), 7n],
            { unprepared }
          )
        )
        assert.deepStrictEqual<unknown>(sums, [[
          "12345678901234567890123456789.000000000000000000000000000001",
          "18446744073709551615",
          "-9223372036854775808",
          7
        ]])
      }
    }))

  it.scopedLive("that the server gave to a new row keeps its digits", () =>
    Effect.gen(function*() {
      const { admin, pool, table } = yield* makeTable()
      yield* admin(`drop table ${table}; create table ${table}
        (id bigint unsigned auto_increment primary key, name text) auto_increment = 9007199254740993`)
      const header = yield* pool.use((connection) => connection.raw(`insert into ${table} (name) values ('a')`))
      assert.strictEqual(String((header as { readonly insertId: unknown }).insertId), "9007199254740993")
    }))
})

describe("a date", () => {
  it.scopedLive("is in the time zone of the program, or in the one that is set; a TIME is a text", () =>
    Effect.gen(function*() {
      const moment = new Date(Date.UTC(2024, 1, 29, 23, 30, 0, 123))
      const text =
        "select cast(? as datetime(3)) as d, date_format(?, '%Y-%m-%d %H:%i') as t, time('25:00:01') as long_time"
      for (
        const [timezone, shown] of [
          ["Z", "2024-02-29 23:30"],
          ["+08:00", "2024-03-01 07:30"],
          [undefined, undefined]
        ] as const
      ) {
        const { pool } = yield* makePool(timezone === undefined ? {} : { poolConfig: { timezone } })
        for (const unprepared of [false, true]) {
          const [row] = yield* pool.use((connection) => connection.query(text, [moment, moment], { unprepared }))
          assert.deepStrictEqual(row!.d, moment)
          assert.strictEqual(row!.long_time, "25:00:01")
          if (shown !== undefined) assert.strictEqual(row!.t, shown)
        }
      }
    }))

  it.scopedLive("is a text where the program wants it so", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool({ poolConfig: { dateStrings: true } })
      const [row] = yield* sql`select cast('2024-02-29 01:02:03.456' as datetime(3)) as a, date('2024-02-29') as b`
      assert.deepStrictEqual(row, { a: "2024-02-29 01:02:03.456", b: "2024-02-29" })
    }))
})

describe("JSON", () => {
  it.scopedLive("comes parsed from a JSON column, and as a text where the program wants it so", () =>
    Effect.gen(function*() {
      const { admin, sql, table } = yield* makeTable()
      yield* admin(`drop table ${table}; create table ${table} (id int primary key, name text, j json)`)
      const value = { a: [1, "ü", null], b: { c: true } }
      yield* sql`insert into ${sql(table)} ${sql.insert({ id: 1, name: "", j: JSON.stringify(value) })}`
      assert.deepStrictEqual<unknown>(yield* sql`select j from ${sql(table)}`, [{ j: value }])
      assert.deepStrictEqual<unknown>(yield* sql`select j from ${sql(table)}`.unprepared, [{ j: value }])
      const { sql: texts } = yield* makePool({ poolConfig: { jsonStrings: true } })
      const [row] = yield* texts<{ readonly j: string }>`select j from ${texts(table)}`
      assert.deepStrictEqual(JSON.parse(row!.j), value)
    }))
})
