import type { AcquireError } from "@dbpool/core/PoolError"
import type { QueryError } from "@dbpool/sql/SqlPoolError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as pg from "pg"
import { failsWith, makePool, makeTable } from "./support.js"

describe("a statement", () => {
  it.scopedLive("gives rows as objects, as arrays, or the driver's own result", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool()
      const select = sql`select ${1}::int as a, ${"x"}::text as b`
      assert.deepStrictEqual(yield* select, [{ a: 1, b: "x" }])
      assert.deepStrictEqual(yield* select.values, [[1, "x"]])
      const raw = (yield* select.raw) as pg.QueryResult
      assert.deepStrictEqual([raw.command, raw.rowCount, raw.fields.map(({ name }) => name)], ["SELECT", 1, ["a", "b"]])
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          const [text, params] = ["select $1::int as a", [7]] as const
          assert.deepStrictEqual(yield* connection.query<{ readonly a: number }>(text, params), [{ a: 7 }])
          assert.deepStrictEqual(yield* connection.values(text, params), [[7]])
          assert.strictEqual(((yield* connection.raw(text, params)) as pg.QueryResult).rowCount, 1)
          assert.deepStrictEqual(yield* connection.query("select 1 as one"), [{ one: 1 }])
        })
      )
    }))

  it.scopedLive("that returns nothing gives no rows", () =>
    Effect.gen(function*() {
      const { pool, sql, table } = yield* makeTable()
      assert.deepStrictEqual(yield* sql`delete from ${sql(table)}`, [])
      assert.deepStrictEqual(yield* sql`delete from ${sql(table)}`.values, [])
      assert.deepStrictEqual(yield* pool.use((connection) => connection.query("")), [])
    }))

  it.scopedLive("unprepared may be several in one text, each with its rows", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool({ transformResultNames: (name) => name.toUpperCase() })
      const rows: unknown = yield* sql.unsafe("select 1 as a; select 2 as b; set local timezone = 'UTC'").unprepared
      assert.deepStrictEqual(rows, [[{ A: 1 }], [{ B: 2 }], []])
    }))

  it.scopedLive("transforms the names in results, in nested JSON too, unless told otherwise", () =>
    Effect.gen(function*() {
      const camel = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
      const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
      const { sql } = yield* makePool({ transformResultNames: camel, transformQueryNames: snake })
      const select = sql`select ${1}::int as ${sql("fooBar")}, '{"in_side": 2}'::json as ${sql("someJson")}`
      assert.deepStrictEqual(yield* select, [{ fooBar: 1, someJson: { inSide: 2 } }])
      assert.deepStrictEqual(yield* sql`select 1 as foo_bar`.withoutTransform, [{ foo_bar: 1 }])
      const plain = sql.withoutTransforms()
      assert.deepStrictEqual(yield* plain`select 1 as ${plain("foo_bar")}`, [{ foo_bar: 1 }])
      assert.strictEqual((yield* plain.withTransaction(plain`select 1 as foo_bar`))[0]!["foo_bar" as never], 1)
      const { sql: shallow } = yield* makePool({ transformResultNames: camel, transformJson: false })
      assert.deepStrictEqual(yield* shallow`select '{"in_side": 2}'::json as a_b`, [{ aB: { in_side: 2 } }])
    }))

  it.scopedLive("is parsed by the type parsers of the option", () =>
    Effect.gen(function*() {
      const types = { getTypeParser: () => (value: unknown) => `<${value}>` }
      const { sql } = yield* makePool({ types: types as never })
      assert.deepStrictEqual(yield* sql`select 1 as a`, [{ a: "<1>" }])
    }))

  it.scopedLive("whose parameter cannot be serialised is refused, and the connection goes on", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool({ maxConnections: 1 })
      const circular: Record<string, unknown> = {}
      circular.self = circular
      const pids = yield* Effect.forEach([1, 2, 3], () =>
        Effect.gen(function*() {
          const error = yield* failsWith(
            pool.use((connection) => connection.query("select $1::json", [circular])),
            "StatementError"
          )
          assert.strictEqual(error.reason, "Unknown")
          assert.include(error.message, "circular")
          return (yield* pool.use((connection) => connection.query("select pg_backend_pid() as pid")))[0]!.pid
        }))
      assert.strictEqual(new Set(pids).size, 1)
      const nonsense = { not: "an array" } as unknown as Array<unknown>
      yield* failsWith(pool.use((connection) => connection.query("select 1", nonsense)), "StatementError")
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("whose rows a type parser refuses fails, and the connection goes on", () =>
    Effect.gen(function*() {
      const refuse = (): never => {
        throw new Error("what is that?")
      }
      // the parser itself, and what looks for one
      for (const getTypeParser of [() => refuse, refuse]) {
        const { pool, sql } = yield* makePool({ maxConnections: 1, types: { getTypeParser } as never })
        const ways: ReadonlyArray<Effect.Effect<unknown, AcquireError | QueryError>> = [
          pool.use((connection) => connection.query("select 1")),
          pool.use((connection) => connection.query("select $1::int", [1])),
          Stream.runDrain(pool.stream((connection) => connection.stream("select generate_series(1, 300)")))
        ]
        for (const way of ways) {
          assert.include((yield* failsWith(way, "StatementError")).message, "what is that?")
        }
        assert.deepStrictEqual(yield* sql`do 'begin end'`, [])
        assert.strictEqual((yield* pool.stats).opened, 1)
      }
    }))

  it.scopedLive("runs in the transaction's isolation level and access mode, deferrable if asked for", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool()
      const [row] = yield* sql`
        select current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as readonly`
        .pipe(pool.transaction({ isolation: "repeatable read", accessMode: "read only" }))
      assert.deepStrictEqual(row, { level: "repeatable read", readonly: "on" } as never)
      const deferrable = sql`show transaction_deferrable`
      const serializable = { isolation: "serializable", accessMode: "read only" } as const
      for (const [asked, shown] of [[true, "on"], [false, "off"]] as const) {
        const rows = yield* deferrable.pipe(pool.transaction({ ...serializable, deferrable: asked }))
        assert.deepStrictEqual(rows, [{ transaction_deferrable: shown }] as never)
      }
    }))
})
