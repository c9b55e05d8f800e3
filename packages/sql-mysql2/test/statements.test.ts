import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { failsWith, makePool, makeTable } from "./support.js"

describe("a statement", () => {
  it.scopedLive("answers with rows as objects, as arrays, or with the driver's own result", () =>
    Effect.gen(function*() {
      const { pool, sql, table } = yield* makeTable()
      assert.deepStrictEqual(yield* sql`select 1 as a, ${"x"} as b`, [{ a: 1, b: "x" }])
      assert.deepStrictEqual(yield* sql`select 1 as a, ${"x"} as b`.values, [[1, "x"]])
      assert.deepStrictEqual(yield* sql`select * from ${sql(table)}`, [])
      assert.deepStrictEqual(yield* sql`insert into ${sql(table)} values (1, 'a'), (2, 'b')`, [])
      const header = yield* pool.use((connection) => connection.raw(`delete from ${table}`))
      assert.strictEqual((header as { readonly affectedRows: number }).affectedRows, 2)
    }))

  it.scopedLive("x", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool()
      yield* failsWith(pool.use((c) => c.query("selec 1")), "StatementError")
    }))
})
