import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { eventually, failsWith, idOf, makePool, makeTable, quiet, running, sessions, timed } from "./support.js"

/** rows with `n` from 1 to so many, at most 1000 */
const series = (rows: number) =>
  `with recursive s as (select 1 as n union all select n + 1 from s where n < ${rows}) select n from s`

/** a million rows of so many bytes, which the server makes one by one */
const flood = (bytes: number) => {
  const thousand = `(${series(1000)})`
  return `select repeat('x', ${bytes}) as wide from ${thousand} a, ${thousand} b`
}

describe("a stream", () => {
  it.scopedLive("gives every row, in order, over many batches, and none of an empty result", () =>
    Effect.gen(function*() {
      const { pool, sql, table } = yield* makeTable()
      const rows = yield* Stream.runCollect(sql.unsafe<{ readonly n: number }>(series(1000)).stream)
      assert.deepStrictEqual(Chunk.toArray(rows).map(({ n }) => n), Array.from({ length: 1000 }, (_, i) => i + 1))
      for (const text of [`select * from ${table}`, `delete from ${table}`]) {
        const none = yield* Stream.runCollect(pool.stream((connection) => connection.stream(text)))
        assert.strictEqual(none.length, 0)
      }
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("has back-pressure: the server waits for the consumer, and little of the rest is in memory", () =>
    Effect.gen(function*() {
      const { admin, app, sql } = yield* makePool()
      const before = process.memoryUsage().arrayBuffers
      let most = 0
      const [took, exit] = yield* timed(
        sql.unsafe(flood(4000)).stream.pipe(
          Stream.rechunk(1),
          Stream.take(300),
          Stream.runForEach(() =>
            Effect.zipRight(
              Effect.sleep("1 millis"),
              Effect.sync(() => {
                most = Math.max(most, process.memoryUsage().arrayBuffers - before)
              })
            )
          )
        )
      )
      assert.strictEqual(exit._tag, "Success")
      assert.isBelow(took, 10_000)
      assert.isBelow(most, 50e6)
      yield* quiet(admin, app)
    }))

  it.scopedLive("that ends early with little left gives its connection back without a cancel", () =>
    Effect.gen(function*() {
      const { admin, app, sql } = yield* makePool({ maxConnections: 1 })
      const [before] = yield* sql.unsafe(idOf)
      for (const take of [0, 1, 128, 129, 999]) {
        yield* Stream.runDrain(Stream.take(sql.unsafe(series(1000)).stream, take))
        const [after] = yield* sql.unsafe(idOf)
        assert.deepStrictEqual(after, before)
      }
      assert.strictEqual((yield* sessions(admin, app)).length, 1)
    }))

  it.scopedLive("that ends early with much left has it cancelled, and the connection is lent again", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool({ maxConnections: 1 })
      const [before] = yield* sql.unsafe(idOf)
      const [took] = yield* timed(Effect.zipRight(
        Stream.runDrain(Stream.take(sql.unsafe(flood(1000)).stream, 1)),
        Effect.map(sql.unsafe(idOf), ([after]) => assert.deepStrictEqual(after, before))
      ))
      assert.isBelow(took, 5000)
      assert.strictEqual((yield* sessions(admin, app)).length, 2)
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("that is interrupted while the server works is cancelled there", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool({ maxConnections: 1 })
      const fiber = yield* Effect.fork(Stream.runDrain(sql`select sleep(30)`.stream))
      const id = yield* running(admin, app, "sleep")
      const [took] = yield* timed(Fiber.interrupt(fiber))
      assert.isBelow(took, 2000)
      yield* quiet(admin, app)
      const [row] = yield* pool.use((connection) => connection.query(idOf))
      assert.strictEqual(row!.id, id)
    }))

  it.scopedLive("fails with the server's error, before the first row or after many, and the connection goes on", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      const failing = (text: string) =>
        failsWith(Stream.runDrain(pool.stream((connection) => connection.stream(text))), "StatementError")
      assert.strictEqual((yield* failing("selec 1")).reason, "Syntax")
      let seen = 0
      const failsAt500 = `select if(n < 500, n, (select 1 union select 2)) as n from (${series(1000)}) t`
      const error = yield* failsWith(
        pool.stream((connection) => connection.stream(failsAt500)).pipe(
          Stream.runForEach(() => Effect.sync(() => seen++))
        ),
        "StatementError"
      )
      assert.strictEqual(error.code, "1242")
      assert.strictEqual(seen, 499)
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("whose parameter cannot be sent fails and does not crash", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      const circular: Record<string, unknown> = {}
      circular.self = circular
      for (const value of [circular, undefined]) {
        const unsendable = pool.stream((connection) => connection.stream("select ? as a", [value]))
        yield* failsWith(Stream.runDrain(unsendable), "StatementError")
      }
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("in a transaction sees its writes, and leaves it usable when abandoned", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable()
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* sql.unsafe(`insert into ${table} select n, concat('a', n) from (${series(300)}) t`)
        assert.strictEqual(yield* Stream.runCount(sql`select * from ${sql(table)}`.stream), 300)
        yield* Stream.runDrain(Stream.take(sql`select * from ${sql(table)}`.stream, 1))
        yield* sql`delete from ${sql(table)} where id > 1`
      }))
      assert.deepStrictEqual(yield* names, ["a1"])
    }))

  it.scopedLive("transforms names, chunk by chunk", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool({ transformResultNames: (name) => name.toUpperCase() })
      const rows = yield* Stream.runCollect(sql.unsafe(series(2)).stream)
      assert.deepStrictEqual<unknown>(Chunk.toArray(rows), [{ N: 1 }, { N: 2 }])
    }))

  it.scopedLive("holds its connection until it ends, and no longer", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      const leased = yield* sql.unsafe(series(3)).stream.pipe(
        Stream.mapEffect(() => Effect.map(pool.stats, (stats) => stats.leased)),
        Stream.runCollect
      )
      assert.deepStrictEqual(Chunk.toArray(leased), [1, 1, 1])
      yield* eventually(pool.stats, (stats) => stats.leased === 0, "it is given back")
    }))
})
