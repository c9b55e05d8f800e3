import * as AvaticaServer from "@dbpool/testing/AvaticaServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TypedValue } from "../src/internal/schema.js"
import { bind } from "../src/internal/values.js"
import { failsWith, makePool, shared, unique } from "./support.js"

interface Case {
  readonly type: string
  /** written as a parameter, and what is read back if that is something else */
  readonly values: ReadonlyArray<readonly [given: unknown, read?: unknown]>
}

const day = (iso: string) => new Date(`${iso}T00:00:00Z`)

const common: ReadonlyArray<Case> = [
  { type: "boolean", values: [[true], [false]] },
  { type: "tinyint", values: [[-128], [127]] },
  { type: "smallint", values: [[-32768], [32767]] },
  { type: "int", values: [[-2147483648], [0], [2147483647], ["17", 17]] },
  {
    type: "bigint",
    values: [
      [9223372036854775807n],
      [-9223372036854775808n],
      [0n],
      [42, 42n],
      [Number.MAX_SAFE_INTEGER, 9007199254740991n],
      ["9223372036854775806", 9223372036854775806n]
    ]
  },
  {
    type: "double",
    values: [[0.1], [-1.5e300], [5e-324], [3], [1e21], [Number.MAX_VALUE]]
  },
  {
    type: "decimal(38, 10)",
    values: [
      ["1234567890123456789012345678.0123456789"],
      ["-0.0000000001", "-1E-10"],
      ["1", "1.0000000000"],
      [2.5, "2.5000000000"],
      [123456789012345678901234567n, "123456789012345678901234567.0000000000"]
    ]
  },
  { type: "varchar(1000)", values: [["text"], [""], ["ünïcödé 漢字 🙂"], ["x".repeat(1000)], [7, "7"], [9n, "9"]] },
  { type: "char(5)", values: [["abc", "abc  "]] },
  {
    type: "varbinary(1000)",
    values: [[Uint8Array.from({ length: 256 }, (_, i) => i)], [new Uint8Array(0)], [
      Buffer.from("buffer"),
      new Uint8Array(Buffer.from("buffer"))
    ]]
  },
  {
    type: "date",
    values: [
      ["2026-03-01"],
      ["1969-12-31"],
      ["1900-02-28"],
      ["9999-12-31"],
      [day("2024-02-29"), "2024-02-29"],
      [new Date("2024-02-29T23:59:59.999Z"), "2024-02-29"]
    ]
  },
  { type: "time(3)", values: [["00:00:00"], ["23:59:59"], [new Date("1970-01-01T12:34:56Z"), "12:34:56"]] },
  {
    type: "timestamp(3)",
    values: [
      [new Date("2026-03-01T12:34:56.789Z")],
      [new Date("1969-12-31T23:59:59.999Z")],
      [new Date("9999-12-31T23:59:59.999Z")],
      ["2026-03-01 12:34:56.789", new Date("2026-03-01T12:34:56.789Z")]
    ]
  }
]

const both = Effect.gen(function*() {
  const hsqldb = yield* shared
  const h2 = yield* AvaticaServer.make({ engine: "h2" })
  return [
    ["hsqldb", yield* makePool(hsqldb.url)],
    ["h2", yield* makePool(h2.url, { user: "" })]
  ] as const
})

describe("values go to the server and back:", () => {
  it.scopedLive("every type as it is, and NULL", () =>
    Effect.gen(function*() {
      for (const [engine, { sql }] of yield* both) {
        for (const { type, values } of common) {
          const table = unique("vals")
          yield* sql.unsafe(`create table ${table} (id int primary key, v ${type})`)
          const rows = [...values, [null] as const, [undefined, null] as const]
          for (const [i, [given]] of rows.entries()) {
            yield* sql.unsafe(`insert into ${table} values (?, ?)`, [i, given])
          }
          const expected = rows.map((row) => row.length === 2 ? row[1] : row[0])
          const read = (yield* sql.unsafe(`select v from ${table} order by id`).values).map(([v]) => v)
          assert.deepStrictEqual(read, expected, `${type} on ${engine}`)
          // and through the statement's own parameters, in a result with parameters
          const again = yield* sql.unsafe(`select v from ${table} where id >= ? order by id`, [0]).values
          assert.deepStrictEqual(again.map(([v]) => v), expected, `${type} on ${engine}, prepared`)
        }
      }
    }))

  it.scopedLive("REAL by the bits of its float", () =>
    Effect.gen(function*() {
      for (const [engine, { sql }] of yield* both) {
        const table = unique("vals")
        // HSQLDB's REAL is a DOUBLE
        yield* sql.unsafe(`create table ${table} (id int primary key, v real)`)
        const values = [0, 1.5, -0.25, 3.4028234663852886e38, Math.fround(0.1)]
        for (const [i, value] of values.entries()) yield* sql.unsafe(`insert into ${table} values (?, ?)`, [i, value])
        const rows = yield* sql.unsafe(`select v from ${table} order by id`).values
        assert.deepStrictEqual(rows.map(([v]) => v), values, engine)
      }
    }))

  it("-0 with its sign, for databases that keep it", () => {
    const { double } = TypedValue.decode(TypedValue.encode(bind(-0, { parameterType: 8, typeName: "DOUBLE" }, 1)))
    assert.isTrue(Object.is(double, -0))
  })

  it.scopedLive("not-a-number and the infinities", () =>
    Effect.gen(function*() {
      const [, [, { sql }]] = yield* both
      const table = unique("vals")
      yield* sql.unsafe(`create table ${table} (id int primary key, v double)`)
      const values = [NaN, Infinity, -Infinity]
      for (const [i, value] of values.entries()) yield* sql.unsafe(`insert into ${table} values (?, ?)`, [i, value])
      const rows = yield* sql.unsafe(`select v from ${table} order by id`).values
      assert.deepStrictEqual(rows.map(([v]) => v), values)
    }))

  it.scopedLive("arrays of numbers, texts, booleans and nothing", () =>
    Effect.gen(function*() {
      for (const [engine, { sql }] of yield* both) {
        const cases: ReadonlyArray<readonly [string, ReadonlyArray<ReadonlyArray<unknown>>]> = [
          ["int array", [[1, 2, -3], [], [7, null, 9]]],
          ["bigint array", [[9223372036854775807n, -1n]]],
          ["varchar(10) array", [["a", "b"], ["", "ü"]]],
          ["boolean array", [[true, false]]],
          ["double array", [[0.5, -1.25]]]
        ]
        for (const [type, values] of cases) {
          const table = unique("vals")
          yield* sql.unsafe(`create table ${table} (id int primary key, v ${type})`)
          for (const [i, value] of values.entries()) yield* sql.unsafe(`insert into ${table} values (?, ?)`, [i, value])
          yield* sql.unsafe(`insert into ${table} values (100, null)`)
          const rows = yield* sql.unsafe(`select v from ${table} order by id`).values
          assert.deepStrictEqual(rows.map(([v]) => v), [...values, null], `${type} on ${engine}`)
        }
      }
    }))

  it.scopedLive("a timestamp with a time zone as a text", () =>
    Effect.gen(function*() {
      const [[, { sql }]] = yield* both
      const rows = yield* sql`values timestamp '2026-01-01 00:00:00+02:00'`.values
      assert.match(String(rows[0]?.[0]), /^2026-01-01T00:00(:00)?\+02:00$/)
    }))

  it.scopedLive("no day or time that does not exist is made another one: the server says that there is none", () =>
    Effect.gen(function*() {
      for (const [engine, { pool, sql }] of yield* both) {
        const table = unique("vals")
        yield* sql.unsafe(`create table ${table} (d date, t time)`)
        for (
          const [column, given] of [["d", "2026-02-30"], ["d", "2026-13-01"], ["t", "25:00:00"], ["t", "12:60:00"]]
        ) {
          yield* failsWith(
            pool.use((connection) => connection.query(`insert into ${table} (${column}) values (?)`, [given])),
            "StatementError"
          )
        }
        assert.deepStrictEqual(yield* sql.unsafe(`select * from ${table}`).values, [], engine)
        assert.strictEqual((yield* pool.stats).opened, 1, engine)
      }
    }))

  it.scopedLive("a date beyond JavaScript's own cannot be read, but as a text", () =>
    Effect.gen(function*() {
      const [, [, { pool, sql }]] = yield* both
      const far = "date '999999-12-31'"
      const error = yield* failsWith(
        pool.use((connection) => connection.query(`select ${far} as d`)),
        "StatementError"
      )
      assert.include(error.message, "beyond")
      assert.deepStrictEqual(yield* sql.unsafe(`select cast(${far} as varchar)`).values, [["999999-12-31"]])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("not at all, with the position of the culprit, what no column takes", () =>
    Effect.gen(function*() {
      const [[, { pool }]] = yield* both
      const table = unique("vals")
      yield* pool.use((connection) => connection.query(`create table ${table} (id int primary key, v decimal(10, 2))`))
      const refused = (value: unknown) =>
        Effect.map(
          failsWith(
            pool.use((connection) => connection.query(`insert into ${table} values (?, ?)`, [1, value])),
            "StatementError"
          ),
          ({ message }) => message
        )
      assert.include(yield* refused({ a: 1 }), "parameter 2 is an object")
      assert.include(yield* refused(() => 1), "parameter 2 is a function")
      assert.include(yield* refused(Symbol("x")), "parameter 2 is a symbol")
      assert.include(yield* refused(new Date("never")), "parameter 2 is an invalid Date")
      assert.include(yield* refused(NaN), "parameter 2 is NaN, which is no decimal")
      assert.deepStrictEqual(yield* pool.use((connection) => connection.values(`select * from ${table}`)), [])
    }))
})

describe("a server outside of UTC", () => {
  it.scopedLive("shifts timestamps after the first frame: known, and why its JVM has to be in UTC", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ timeZone: "Asia/Shanghai" })
      const { sql } = yield* makePool(server.url, { frameSize: 1 })
      const rows = yield* sql`values (timestamp '2026-01-01 00:00:00'), (timestamp '2026-01-01 00:00:00')`.values
      const [first, second] = rows.map(([at]) => (at as Date).toISOString())
      assert.strictEqual(first, "2026-01-01T00:00:00.000Z")
      assert.strictEqual(second, "2025-12-31T16:00:00.000Z")
      // one frame is not shifted, nor is a text
      const whole = yield* makePool(server.url, { frameSize: 100 })
      const same = yield* whole.sql`values (timestamp '2026-01-01 00:00:00'), (timestamp '2026-01-01 00:00:00')`.values
      assert.deepStrictEqual(same.map(([at]) => (at as Date).toISOString()), [first, first])
    }))
})
