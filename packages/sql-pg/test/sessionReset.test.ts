import * as PgPool from "@dbpool/sql-pg/PgPool"
import * as Reactivity from "@effect/experimental/Reactivity"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { failsWith, makePool, makeTable, pidOf, server, unique } from "./support.js"

/** what a holder can leave behind, and how the next one would see it */
const traces = [
  ["set statement_timeout = '7s'", "select 1 where current_setting('statement_timeout') = '7s'"],
  ["create temporary table left_behind (n int)", "select 1 from pg_class where relname = 'left_behind'"],
  ["select pg_advisory_lock(4711)", "select 1 from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"],
  ["listen left_behind", "select 1 from pg_listening_channels()"],
  ["prepare left_behind as select 1", "select 1 from pg_prepared_statements where name = 'left_behind'"],
  ["declare left_behind cursor with hold for select 1", "select 1 from pg_cursors where name = 'left_behind'"]
] as const

/** which of them the next borrower of the connection sees */
const seen = (options: PgPool.PgPoolOptions) =>
  Effect.gen(function*() {
    const { pool } = yield* makePool({ ...options, maxConnections: 1 })
    const found = (trace: string) =>
      Effect.map(pool.use((connection) => connection.query(trace)), (rows) => rows.length > 0)
    const pid = yield* pool.use((connection) => connection.query(pidOf))
    yield* pool.use((connection) => Effect.forEach(traces, ([leave]) => connection.query(leave)))
    const left = yield* Effect.forEach(traces, ([, trace]) => found(trace))
    assert.deepStrictEqual(yield* pool.use((connection) => connection.query(pidOf)), pid)
    return left
  })

describe("reset on PostgreSQL", () => {
  it.scopedLive("\"session\" forgets settings, temporary tables, locks, LISTEN, prepared statements and cursors", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* seen({ reset: "session" }), traces.map(() => false))
      assert.deepStrictEqual(yield* seen({}), traces.map(() => true))
    }))

  it.scopedLive("\"session\" keeps what setup has set, and what the connection was opened with", () =>
    Effect.gen(function*() {
      const { app, pool, sql } = yield* makePool({
        maxConnections: 1,
        reset: "session",
        setup: ["set time zone 'Asia/Tokyo'", "set lock_timeout = '3s'"]
      })
      const settings = sql`select current_setting('application_name') as app, current_setting('timezone') as zone,
        current_setting('lock_timeout') as lock, current_setting('work_mem') as mem`
      const [before] = yield* settings
      yield* pool.use((connection) =>
        Effect.forEach(
          ["set application_name = 'theirs'", "set time zone 'UTC'", "reset lock_timeout", "set work_mem = '65MB'"],
          (text) => connection.query(text)
        )
      )
      assert.deepStrictEqual(yield* settings, [before!])
      assert.deepInclude(before, { app, zone: "Asia/Tokyo", lock: "3s" })
    }))

  it.scopedLive("\"session\" goes on after what a holder left running, in a transaction", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable({ maxConnections: 1, reset: "session" })
      for (let i = 0; i < 20; i++) {
        yield* pool.use((connection) =>
          connection.query("begin").pipe(
            Effect.zipRight(connection.query(`insert into ${table} values (${i}, 'lost')`)),
            Effect.zipRight(Effect.forkDaemon(connection.query("select pg_sleep(30)"))),
            Effect.zipRight(Effect.sleep("5 millis"))
          )
        )
        yield* sql`select 1`
      }
      assert.deepStrictEqual(yield* names, [])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("\"always-rollback\" is quiet where there is nothing to roll back", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1, reset: "always-rollback" })
      for (let i = 0; i < 3; i++) yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})

describe("setup on PostgreSQL", () => {
  it.scopedLive("that the server refuses is told at once, with the server's reason", () =>
    Effect.gen(function*() {
      const { url } = yield* server
      const error = yield* failsWith(
        PgPool.make({
          url: Redacted.make(url),
          applicationName: unique("app"),
          setup: ["set nonsense_that_is_no_setting = 1", "select"]
        }).pipe(Effect.provide(Reactivity.layer)),
        "ConnectFailed"
      )
      assert.isTrue(error.fatal)
      assert.include(error.message, "nonsense_that_is_no_setting")
    }))
})
