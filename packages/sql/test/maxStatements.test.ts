import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { FakeServer } from "./server.js"
import { makePool, settle } from "./support.js"

const makeWorn = (maxStatements: number) =>
  Effect.gen(function*() {
    const server = new FakeServer()
    const pool = yield* makePool(server, { maxConnections: 1, maxStatements })
    return { pool, server, sql: pool.client }
  })

describe("maxStatements", () => {
  it.scoped("replaces a connection that has run so many statements", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeWorn(3)
      for (let i = 0; i < 7; i++) {
        yield* sql`select 1`
        yield* settle
      }
      assert.deepStrictEqual(server.connections.map(({ id }) => server.sentOn(id).length), [3, 3, 1])
      assert.strictEqual((yield* pool.stats).retired.worn, 2)
    }))

  it.scoped("counts statements of leases, streams and transactions, and never cuts one short", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeWorn(2)
      yield* pool.use((connection) =>
        Effect.all([connection.query("insert a"), connection.query("insert b"), connection.query("insert c")])
      )
      yield* settle
      yield* sql.withTransaction(Effect.all([sql`insert d`, sql`insert e`, sql`insert f`]))
      yield* settle
      yield* Stream.runDrain(sql`select 1`.stream)
      yield* Stream.runDrain(sql`select 2`.stream)
      yield* settle
      yield* sql`select 3`
      assert.deepStrictEqual(server.data, ["a", "b", "c", "d", "e", "f"])
      assert.strictEqual(server.connections.length, 4)
    }))
})
