import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { eventually, failsWith, makePool, makeProxy, makeTable, pidOf, quiet, running, timed } from "./support.js"

describe("a stream", () => {
  it.scopedLive("gives every row, in order, over many batches, and none of an empty result", () =>
    Effect.gen(function*() {
      const { pool, sql, table } = yield* makeTable()
      const rows = yield* Stream.runCollect(sql<{ readonly n: number }>`select generate_series(1, 1000) as n`.stream)
      assert.deepStrictEqual(Chunk.toArray(rows).map(({ n }) => n), Array.from({ length: 1000 }, (_, i) => i + 1))
      for (const text of [`select * from ${table}`, `delete from ${table}`, ""]) {
        const none = yield* Stream.runCollect(pool.stream((connection) => connection.stream(text)))
        assert.strictEqual(none.length, 0)
      }
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("has back-pressure: the server does not work ahead of the consumer", () =>
    Effect.gen(function*() {
      const { admin, app, sql } = yield* makePool()
      const endless = sql`select generate_series(1, 1000000000)`.stream
      let seen = 0
      const [took] = yield* timed(Stream.runForEach(Stream.take(endless, 1000), () =>
        Effect.sync(() => {
          seen++
        })))
      assert.strictEqual(seen, 1000)
      assert.isBelow(took, 2000)
      yield* quiet(admin, app)
    }))

  it.scopedLive("that ends early gives its connection back, which is lent again without a cancel", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy(() => {})
      const { sql } = yield* makePool({ maxConnections: 1, ...proxy.address })
      const [before] = yield* sql<{ readonly pid: number }>`select pg_backend_pid() as pid`
      for (const take of [0, 1, 128, 129]) {
        yield* Stream.runDrain(Stream.take(sql`select generate_series(1, 1000)`.stream, take))
        const [after] = yield* sql<{ readonly pid: number }>`select pg_backend_pid() as pid`
        assert.deepStrictEqual(after, before)
      }
      assert.strictEqual(proxy.accepted(), 1)
    }))

  it.scopedLive("that is interrupted while the server works is cancelled there", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool({ maxConnections: 1 })
      const fiber = yield* Effect.fork(Stream.runDrain(sql`select pg_sleep(30) from generate_series(1, 5)`.stream))
      const pid = yield* running(admin, app, "pg_sleep")
      const [took] = yield* timed(Fiber.interrupt(fiber))
      assert.isBelow(took, 2000)
      yield* quiet(admin, app)
      const [row] = yield* pool.use((connection) => connection.query(pidOf))
      assert.strictEqual(row!.pid, pid)
    }))

  it.scopedLive("fails with the server's error, before the first row or after many, and the connection goes on", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      const failing = (text: string) =>
        failsWith(Stream.runDrain(pool.stream((connection) => connection.stream(text))), "StatementError")
      assert.strictEqual((yield* failing("selec 1")).reason, "Syntax")
      assert.strictEqual((yield* failing("select 1 / (500 - n) from generate_series(1, 1000) n")).code, "22012")
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("whose parameter cannot be serialised fails and does not crash", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      const circular: Record<string, unknown> = {}
      circular.self = circular
      const unsendable = pool.stream((connection) => connection.stream("select $1::json", [circular]))
      assert.include((yield* failsWith(Stream.runDrain(unsendable), "StatementError")).message, "circular")
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("of a COPY, which has no rows, fails and does not crash", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable({ maxConnections: 1 })
      yield* sql`insert into ${sql(table)} values (1, 'a')`
      for (const [way, message] of [["from stdin", "nothing to send"], ["to stdout", "no rows"]] as const) {
        const copy = pool.stream((connection) => connection.stream(`copy ${table} ${way}`))
        assert.include((yield* failsWith(Stream.runDrain(copy), "StatementError")).message, message)
        assert.deepStrictEqual(yield* sql`select 1 as one`, [{ one: 1 }] as never)
      }
      assert.deepStrictEqual(yield* names, ["a"])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("in a transaction sees its writes, and leaves it usable when abandoned", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable()
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* sql`insert into ${sql(table)} select n, 'a' || n from generate_series(1, 300) n`
        assert.strictEqual(yield* Stream.runCount(sql`select * from ${sql(table)}`.stream), 300)
        yield* Stream.runDrain(Stream.take(sql`select * from ${sql(table)}`.stream, 1))
        yield* sql`delete from ${sql(table)} where id > 1`
      }))
      assert.deepStrictEqual(yield* names, ["a1"])
    }))

  it.scopedLive("that reads ahead leaves its transaction usable too, unless the server takes long", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool({ maxConnections: 1 })
      const asleep = eventually(
        admin("select pid from pg_stat_activity where application_name = $1 and wait_event = 'PgSleep'", [app]),
        (rows) => rows.length === 1,
        "the server sleeps"
      )
      /** a transaction in which a stream is ended while the server reads the next batch for so long */
      const transaction = (seconds: number) =>
        Effect.exit(pool.withTransaction(
          sql`select case when n = 129 then pg_sleep(${seconds}) end from generate_series(1, 1000) n`.stream.pipe(
            Stream.bufferChunks({ capacity: 1 }),
            Stream.mapEffect(() => asleep),
            Stream.take(1),
            Stream.runDrain,
            Effect.zipRight(sql`select 1`)
          )
        ))
      const exits = yield* Effect.replicateEffect(transaction(0.05), 10)
      // on a busy machine they may take longer
      assert.isAbove(exits.filter(Exit.isSuccess).length, 5)
      const [took, exit] = yield* timed(transaction(30))
      yield* failsWith(Effect.flatten(exit), "StatementError")
      assert.isBelow(took, 5000)
      yield* quiet(admin, app)
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("transforms names, chunk by chunk", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool({ transformResultNames: (name) => name.toUpperCase() })
      const rows = yield* Stream.runCollect(sql`select generate_series(1, 2) as n`.stream)
      assert.deepStrictEqual(Chunk.toArray(rows), [{ N: 1 }, { N: 2 }])
    }))

  it.scopedLive("holds its connection until it ends, and no longer", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      const leased = yield* sql`select generate_series(1, 3)`.stream.pipe(
        Stream.mapEffect(() => Effect.map(pool.stats, (stats) => stats.leased)),
        Stream.runCollect
      )
      assert.deepStrictEqual(Chunk.toArray(leased), [1, 1, 1])
      yield* eventually(pool.stats, (stats) => stats.leased === 0, "it is given back")
    }))
})
