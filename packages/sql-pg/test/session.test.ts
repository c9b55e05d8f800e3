import { refineErrors } from "@dbpool/sql/SqlPoolError"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { eventually, failsWith, kill, makePool, pidOf, timed } from "./support.js"

interface Pid {
  readonly pid: number
}

describe("a session", () => {
  it.scopedLive("runs statements, leases and transactions on one backend, those of children included", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 3 })
      const statement = Effect.map(sql<Pid>`select pg_backend_pid() as pid`, ([row]) => row!.pid)
      const lease = Effect.map(pool.use((connection) => connection.query<Pid>(pidOf)), ([row]) => row!.pid)
      const transaction = sql.withTransaction(Effect.zip(statement, lease))
      const pids = yield* Effect.all([statement, lease, transaction, Effect.timeout(statement, "10 seconds")], {
        concurrency: "unbounded"
      }).pipe(pool.session)
      assert.strictEqual(new Set(pids.flat()).size, 1)
      assert.strictEqual((yield* pool.stats).leased, 0)
    }))

  it.scopedLive("keeps what belongs to the connection: locks, settings, temporary tables", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 3 })
      yield* Effect.gen(function*() {
        yield* sql`create temporary table kept (id int)`
        yield* sql.withTransaction(sql`insert into kept values (1)`)
        assert.deepStrictEqual(yield* sql`select id from kept`, [{ id: 1 }] as never)
      }).pipe(pool.session)
    }))

  it.scopedLive("lets statements beside each other wait for their turn, inside a transaction too", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 3 })
      const both = Effect.all([
        sql`select pg_sleep(0.1), 1 as n`,
        pool.use((connection) => connection.query("select 2 as n"))
      ], { concurrency: "unbounded" })
      const rows = yield* pool.session(sql.withTransaction(both))
      assert.deepStrictEqual(rows.map(([row]) => (row as unknown as { readonly n: number }).n), [1, 2])
    }))

  it.scopedLive("goes on after a statement of it was interrupted, without waiting for its end", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 3 })
      const [took, pids] = yield* timed(
        Effect.gen(function*() {
          const before = yield* sql<Pid>`select pg_backend_pid() as pid`
          yield* Effect.ignore(Effect.timeout(sql`select pg_sleep(30)`, "50 millis"))
          return [before, yield* sql<Pid>`select pg_backend_pid() as pid`]
        }).pipe(pool.session)
      )
      const [before, after] = yield* pids
      assert.deepStrictEqual(before, after)
      assert.isBelow(Duration.toSeconds(took), 10)
    }))

  it.scopedLive("whose backend is killed cannot go on: SessionLost", () =>
    Effect.gen(function*() {
      const { admin, pool, sql } = yield* makePool({ maxConnections: 3 })
      yield* Effect.gen(function*() {
        const [row] = yield* sql<Pid>`select pg_backend_pid() as pid`
        yield* kill(admin, row!.pid)
        yield* eventually(pool.stats, ({ retired }) => retired.lost === 1, "the pool notices")
        yield* failsWith(refineErrors(sql`select 1`), "SessionLost")
      }).pipe(pool.session)
      assert.deepStrictEqual(yield* sql`select 1 as one`, [{ one: 1 }] as never)
    }))
})
