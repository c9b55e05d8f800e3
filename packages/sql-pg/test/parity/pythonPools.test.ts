/**
 * What the tests of eventlet's db_pool, psycopg2.pool and psycopg_pool ask of a real PostgreSQL.
 */
import * as PoolMap from "@dbpool/core/PoolMap"
import * as PgPool from "@dbpool/sql-pg/PgPool"
import { refineErrors } from "@dbpool/sql/SqlPoolError"
import * as Reactivity from "@effect/experimental/Reactivity"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import {
  backends,
  eventually,
  failsWith,
  kill,
  makeAdmin,
  makePool,
  makeTable,
  pidOf,
  server,
  unique
} from "../support.js"

interface Pid {
  readonly pid: number
}

describe("db_pool", () => {
  it.scopedLive("runs a query; one that fails leaves the connection usable", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool({ maxConnections: 1 })
      const pid = yield* sql<Pid>`select pg_backend_pid() as pid`
      yield* failsWith(refineErrors(sql`this is no sql`), "StatementError")
      assert.deepStrictEqual(yield* sql<Pid>`select pg_backend_pid() as pid`, pid)
    }))

  it.scopedLive("gives back a connection that is clean: what was not committed is not there", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable({ maxConnections: 1 })
      yield* pool.use((connection) =>
        Effect.zipRight(connection.query("begin"), connection.query(`insert into ${table} values (1, 'lost')`))
      )
      assert.deepStrictEqual(yield* sql`select * from ${sql(table)}`, [])
      assert.deepStrictEqual(yield* names, [])
    }))

  it.scopedLive("shows what was committed to other connections", () =>
    Effect.gen(function*() {
      const { pool, sql, table } = yield* makeTable({ maxConnections: 2 })
      yield* pool.use((one) =>
        pool.use((other) =>
          Effect.gen(function*() {
            yield* one.query("begin")
            yield* one.query(`insert into ${table} values (1, 'seen')`)
            assert.lengthOf(yield* other.query(`select * from ${table}`), 0)
            yield* one.query("commit")
            assert.lengthOf(yield* other.query(`select * from ${table}`), 1)
          })
        )
      )
      assert.lengthOf(yield* sql`select * from ${sql(table)}`, 1)
    }))

  it.scopedLive("a slow query keeps no other fiber from running", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool({ maxConnections: 2 })
      const slow = yield* Effect.fork(sql`select pg_sleep(0.5)`)
      let turns = 0
      while ((yield* Fiber.poll(slow))._tag === "None") {
        turns++
        yield* sql`select 1`
      }
      yield* Fiber.join(slow)
      assert.isAbove(turns, 1)
    }))

  it.scopedLive("sets an isolation level for a transaction", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      const level = sql<{ readonly transaction_isolation: string }>`show transaction_isolation`
      const [inside] = yield* level.pipe(pool.transaction({ isolation: "serializable" }))
      assert.strictEqual(inside!.transaction_isolation, "serializable")
      assert.notStrictEqual((yield* level)[0]!.transaction_isolation, "serializable")
    }))

  it.scopedLive("DatabaseConnector: a pool for every database of a host, under one maximum for the server", () =>
    Effect.gen(function*() {
      const { url } = yield* server
      const admin = yield* makeAdmin
      const [one, other] = [unique("one"), unique("other")]
      for (const name of [one, other]) {
        yield* admin(`create database ${name}`)
        yield* Effect.addFinalizer(() => admin(`drop database ${name} with (force)`))
      }
      const app = unique("connector")
      const at = (database: string) => Data.struct({ host: new URL(url).hostname, database })
      yield* Effect.scoped(Effect.gen(function*() {
        const connector = yield* PoolMap.make({
          default: { url: Redacted.make(url), applicationName: app, initialize: "lazy" as const },
          overrides: ({ database }: { readonly host: string; readonly database: string }) => ({ database }),
          make: (settings: PgPool.PgPoolOptions) => PgPool.make(settings),
          maxConnections: 2
        })
        const current = (database: string) =>
          connector.use(at(database), ({ client: sql }) => sql`select current_database() as name`)
        for (let i = 0; i < 3; i++) {
          for (const name of [one, other]) assert.deepStrictEqual(yield* current(name), [{ name }] as never)
        }
        yield* Effect.forEach([one, other, one, other, one, other], current, { concurrency: 6 })
        assert.isAtMost((yield* backends(admin, app)).length, 2)
      }))
      yield* eventually(backends(admin, app), (rows) => rows.length === 0, "both pools are closed")
    }).pipe(Effect.provide(Reactivity.layer)))
})

describe("psycopg2", () => {
  it.scopedLive("a lease commits each statement by itself, or all together at its end", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable()
      yield* pool.use((connection) => connection.query(`insert into ${table} values (1, 'autocommit')`))
      yield* Effect.exit(
        pool.withTransaction(
          Effect.zipRight(sql`insert into ${sql(table)} values (2, 'rolled back')`, Effect.fail("no"))
        )
      )
      yield* pool.withTransaction(sql`insert into ${sql(table)} values (3, 'committed')`)
      assert.deepStrictEqual(yield* names, ["autocommit", "committed"])
    }))

  it.scopedLive("gives rows as objects or as arrays", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool()
      const text = "select 1 as id, 'a' as name"
      assert.deepStrictEqual(yield* pool.use((connection) => connection.query(text)), [{ id: 1, name: "a" }])
      assert.deepStrictEqual(yield* pool.use((connection) => connection.values(text)), [[1, "a"]])
    }))

  it.scopedLive("better: settings of one user do not reach the next, where the pool is told so", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool({ maxConnections: 1, reset: "session" })
      const [before] = yield* sql`show work_mem`
      yield* sql`set work_mem = '77MB'`
      assert.deepStrictEqual(yield* sql`show work_mem`, [before] as never)
    }))
})

describe("psycopg_pool", () => {
  it.scopedLive("replaces a connection that was killed while it was out", () =>
    Effect.gen(function*() {
      const { admin, pool, sql } = yield* makePool({ maxConnections: 1 })
      const exit = yield* Effect.exit(pool.use((connection) =>
        Effect.gen(function*() {
          const [row] = yield* connection.query<Pid>(pidOf)
          yield* kill(admin, row!.pid)
          yield* connection.query("select 1")
        })
      ))
      assert.isTrue(Exit.isFailure(exit))
      yield* sql`select 1`
    }))

  it.scopedLive("checks a connection without leaving a transaction open", () =>
    Effect.gen(function*() {
      const { admin, app, pool } = yield* makePool({ maxConnections: 1, validateAfterIdle: 0 })
      yield* pool.use((connection) => connection.query("select 1"))
      assert.strictEqual(yield* pool.check, 0)
      assert.deepStrictEqual((yield* backends(admin, app)).map(({ state }) => state), ["idle"])
    }))

  it.scopedLive("drain replaces every old connection, those in use when they come back", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool({ maxConnections: 2 })
      const pid = pool.use((connection) => Effect.map(connection.query<Pid>(pidOf), ([row]) => row!.pid))
      const [held, idle] = yield* pool.use((connection) =>
        Effect.gen(function*() {
          const [row] = yield* connection.query<Pid>(pidOf)
          const other = yield* pid
          yield* pool.drain({ hard: true })
          return [row!.pid, other]
        })
      )
      const later = yield* Effect.all([pid, pid, pid], { concurrency: 3 })
      assert.notIncludeMembers(later, [held!, idle!])
    }))
})
