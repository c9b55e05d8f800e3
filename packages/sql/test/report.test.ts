import * as PoolHolder from "@dbpool/core/PoolHolder"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { makeOne, start } from "./support.js"

/** what the report on the one holder says that it does */
const doing = (pool: { readonly holders: Effect.Effect<ReadonlyArray<PoolHolder.Holder>> }) =>
  Effect.map(pool.holders, ([holder]) => holder?.activity)

describe("a report on who holds a connection", () => {
  it.scoped("names the statement that is running, or was the last one", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne()
      server.on("slow", { _tag: "hang" })
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          const slow = yield* start(connection.query("slow", [1]))
          assert.strictEqual(yield* doing(pool), "running \"slow\"")
          server.last.finish()
          yield* Fiber.join(slow)
          assert.strictEqual(yield* doing(pool), "last ran \"slow\"")
          const [holder] = yield* pool.holders
          assert.match(PoolHolder.describe(holder!), /\(connection 1, last ran "slow"\)$/)
        })
      )
    }))

  it.scoped("shows one line of it, and nothing that is quoted", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeOne()
      const shown = [
        ["select *\n  from  users", "select * from users"],
        ["alter user app password 'hunter2'", "alter user app password '…'"],
        ["select 'it''s', 'a \\' b', x", "select '…', '…', x"],
        ["do $body$ begin perform 'hunter2'; end $body$", "do '…'"],
        ["select $1, $2", "select $1, $2"],
        ["select 'never closed hunter2", "select '…'"],
        [`select ${"x, ".repeat(100)}`, `select ${"x, ".repeat(100)}`.slice(0, 120) + "…"]
      ]
      yield* pool.use((connection) =>
        Effect.forEach(shown, ([sql, expected]) =>
          Effect.gen(function*() {
            yield* connection.query(sql!)
            assert.strictEqual(yield* doing(pool), `last ran ${JSON.stringify(expected)}`)
          }))
      )
    }))
})
