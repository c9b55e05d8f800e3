import * as PgPool from "@dbpool/sql-pg/PgPool"
import { connectionOf } from "@dbpool/sql/Driver"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { PgConnection } from "../src/internal/connection.js"
import { classify } from "../src/internal/errors.js"
import { allows } from "../src/internal/sharing.js"
import { backends, eventually, failsWith, kill, makePool, makeTable, quiet, running, server } from "./support.js"

const shared = { sharing: { maxLeases: 50 } }
const one = { ...shared, maxConnections: 1 }

const range = (n: number) => Array.from({ length: n }, (_, i) => i + 1)

/** what the fibers sent, without waiting for the answers */
const sent = Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))

describe("which statements may share a connection", () => {
  const alone: ReadonlyArray<string> = [
    "begin",
    "BEGIN; select 1",
    "start transaction",
    "set search_path = x",
    "reset all",
    "discard all",
    "listen a",
    "prepare p as select 1",
    "execute p",
    "declare c cursor with hold for select 1",
    "copy t from stdin",
    "copy (select 1) to stdout",
    "create temporary table t (n int)",
    "call p()",
    "do $$ begin end $$",
    "explain analyze select 1",
    "vacuum",
    "/* a comment */ begin",
    "-- a comment\nset x = 1",
    "select 1; begin",
    "selectively",
    ""
  ]
  for (const sql of alone) {
    it(`not ${JSON.stringify(sql)}`, () => assert.isFalse(allows(sql)))
  }

  const together: ReadonlyArray<string> = [
    "select 1",
    "\n  SELECT $1::int;  \n",
    "insert into t values ($1) returning id",
    "update t set n = 1",
    "Delete from t",
    "merge into t using s on true when matched then delete",
    "with a as (select 1) select * from a",
    "values (1), (2)",
    "table t",
    "select(1)"
  ]
  for (const sql of together) {
    it(`${JSON.stringify(sql)}`, () => assert.isTrue(allows(sql)))
  }
})

describe("statements that share a connection", () => {
  it.scopedLive("work as they do alone: without parameters, with a name, as arrays and raw", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool(one)
      const results = yield* Effect.all([
        sql`select 1 as one`,
        sql`select ${2}::int as two`.values,
        sql`select 3 as three`.raw,
        sql`select ${"x"}::text as x`.withoutTransform,
        sql`select 5 as five`.unprepared
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(results.slice(0, 2), [[{ one: 1 }], [[2]]] as never)
      assert.deepInclude(results[2], { command: "SELECT", rows: [{ three: 3 }] })
      assert.deepStrictEqual(results.slice(3), [[{ x: "x" }], [{ five: 5 }]] as never)
    }))

  it.scopedLive("several in one text run on a connection of their own, as before", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool(one)
      assert.deepStrictEqual(
        yield* sql.unsafe("select 1 as one; select 2 as two"),
        [[{ one: 1 }], [{ two: 2 }]] as never
      )
    }))

  it.scopedLive("are prepared once and used by all, and survive DDL that changes their result", () =>
    Effect.gen(function*() {
      const { pool, sql, table } = yield* makeTable(one)
      const ask = sql`select * from ${sql(table)} where id > ${0}`
      const asks = Effect.replicateEffect(ask, 40, { concurrency: "unbounded" })
      for (const extra of ["a", "b", "c"]) {
        yield* sql`insert into ${sql(table)} (id) values (${extra.charCodeAt(0)})`
        const answers = yield* asks
        assert.strictEqual(new Set(answers.map((rows) => JSON.stringify(rows))).size, 1)
        yield* sql.unsafe(`alter table ${table} add column ${extra} int`)
        for (const rows of yield* asks) assert.property(rows[0], extra)
      }
      const [named] = yield* pool.use((connection) =>
        Effect.sync(() => (connectionOf(connection) as PgConnection).prepared.size)
      )
      assert.isAtMost(named, 5)
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("names that push each other out leave nothing behind in the client", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ ...one, preparedStatements: 2 })
      const ask = (i: number) => sql.unsafe<any>(`select $1::int + ${i % 5} as n`, [i])
      const answers = yield* Effect.forEach(range(500), ask, { concurrency: 50 })
      assert.deepStrictEqual(answers.map(([row]) => row.n), range(500).map((i) => i + i % 5))
      const parsed = yield* pool.use((connection) =>
        Effect.sync(() => {
          const { client } = connectionOf(connection) as PgConnection
          return Object.keys((client as any).connection.parsedStatements).length
        })
      )
      assert.isAtMost(parsed, 4)
    }))

  it.scopedLive("a parameter or a value that this side cannot handle fails its own statement", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({
        ...one,
        types: {
          getTypeParser: () => (value: string) => {
            if (value === "13") throw new Error("unlucky")
            return value
          }
        } as never
      })
      const circular: Record<string, unknown> = {}
      circular.self = circular
      const results = yield* Effect.all(
        [
          ...range(5).map((n) => sql`select ${n}::int as n`),
          sql`select ${13}::int as n`,
          sql.unsafe("select $1::json as n", [circular]),
          ...range(5).map((n) => sql`select ${n}::int as n`)
        ].map((ask) => Effect.either(SqlPool.refineErrors(ask))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(results.map(({ _tag }) => _tag), [
        ...range(5).map(() => "Right" as const),
        "Left",
        "Left",
        ...range(5).map(() => "Right" as const)
      ])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("with `reset: \"session\"` the session is cleared when the last of them has ended", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool({ ...one, reset: "session", setup: ["set extra_float_digits = 1"] })
      for (let i = 0; i < 3; i++) {
        yield* Effect.replicateEffect(sql`select ${1}::int`, 10, { concurrency: "unbounded" })
        assert.deepStrictEqual(yield* sql`show extra_float_digits`, [{ extra_float_digits: "1" }] as never)
      }
    }))

  it.scopedLive("with `validateOn: [\"statement\"]` the first is preceded by a validation, and the others are not", () =>
    Effect.gen(function*() {
      const { admin, pool, sql } = yield* makePool({ ...one, validateOn: ["statement"], validateAfterIdle: "1 millis" })
      const asks = Effect.replicateEffect(sql<any>`select pg_backend_pid() as pid`, 20, { concurrency: "unbounded" })
      const [[row]] = (yield* asks) as any
      yield* Effect.sleep("5 millis")
      yield* asks
      yield* kill(admin, row.pid)
      yield* asks
      assert.strictEqual((yield* pool.stats).opened, 2)
    }))
})

describe("what slips onto a connection that others share", () => {
  const slips: ReadonlyArray<readonly [sql: string, what: string]> = [
    ["begin", "begun a transaction"],
    ["set statement_timeout = 12345", "SET has changed the session"],
    ["listen something", "LISTEN has changed the session"],
    ["declare c cursor with hold for select 1", "DECLARE has changed the session"]
  ]
  for (const [slip, what] of slips) {
    it.scopedLive(`${slip}: all in flight fail, may have been executed, and the connection is retired`, () =>
      Effect.gen(function*() {
        const { admin, names, pool, table } = yield* makeTable({ maxConnections: 1 })
        const insert = (id: number) => [`insert into ${table} values ($1, $2)`, [id, `n${id}`]] as const
        const exits = yield* pool.use((lease) =>
          Effect.gen(function*() {
            const connection = connectionOf(lease) as PgConnection
            const done = yield* connection.share(...insert(1), "object")
            assert.deepStrictEqual(done, [])
            const fibers = yield* Effect.forEach(
              [insert(2), [slip, []] as const, insert(3), insert(4)],
              ([sql, params]) => Effect.fork(Effect.exit(connection.share(sql, params, "object")))
            )
            return yield* Effect.forEach(fibers, Fiber.join)
          })
        )
        // what the server had answered before is done
        assert.isTrue(Exit.isSuccess(exits[0]!))
        for (const exit of exits.slice(1)) {
          const error = Cause.squash((exit as Exit.Failure<any, unknown>).cause)
          assert.include((error as Error).message, what)
          assert.deepStrictEqual(classify(error), { _tag: "lost" })
        }
        const { open, retired } = yield* pool.stats
        assert.deepStrictEqual({ open, lost: retired.lost }, { open: 0, lost: 1 })
        assert.include(yield* names, "n1")
        if (slip === "begin") assert.deepStrictEqual(yield* names, ["n1", "n2"])
        yield* admin("select 1")
      }))
  }
})

describe("a statement that nobody waits for any more", () => {
  it.scopedLive("is not cancelled while somebody waits behind it, and is when nobody does", () =>
    Effect.gen(function*() {
      const { admin, app, sql } = yield* makePool(one)
      const slow = yield* Effect.fork(sql`select pg_sleep(30)`)
      yield* running(admin, app, "pg_sleep")
      const behind = yield* Effect.fork(sql`select 1 as one`)
      yield* sent
      yield* Fiber.interrupt(slow)
      yield* Effect.sleep("200 millis")
      yield* running(admin, app, "pg_sleep")
      yield* Fiber.interrupt(behind)
      yield* quiet(admin, app)
      assert.deepStrictEqual(yield* sql`select 2 as two`, [{ two: 2 }] as never)
    }))

  it.scopedLive("ends with its pool, on the server too", () =>
    Effect.gen(function*() {
      const { admin, app, close, sql } = yield* makePool(one)
      const slow = yield* Effect.fork(Effect.exit(sql`select pg_sleep(30)`))
      yield* running(admin, app, "pg_sleep")
      const behind = yield* Effect.fork(Effect.exit(sql`select 1 as one`))
      yield* sent
      yield* close
      assert.isTrue(Exit.isFailure(yield* Fiber.join(slow)))
      yield* Fiber.join(behind)
      yield* eventually(backends(admin, app), (rows) => rows.length === 0, "nothing is left")
    }))
})

describe("a connection that dies while it is shared", () => {
  it.scopedLive("repeats what was not sent, and what is idempotent, and nothing else", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool(one)
      const ask = (n: number) => sql<any>`select pg_sleep(0.2), ${n}::int as n`
      const fibers = yield* Effect.forEach(range(4), (n) =>
        Effect.fork(Effect.exit(SqlPool.refineErrors(n % 2 === 0 ? SqlPool.idempotent(ask(n)) : ask(n)))))
      const pid = yield* running(admin, app, "pg_sleep")
      yield* sent
      yield* kill(admin, pid)
      const exits = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(
        exits.map((exit) =>
          Exit.isSuccess(exit) ? "done" : (Cause.squash(exit.cause) as { _tag: string })._tag
        ),
        ["ConnectionLost", "done", "ConnectionLost", "done"]
      )
      assert.strictEqual((yield* pool.stats).opened, 2)
    }))
})

describe("the option", () => {
  const url = Effect.map(server, ({ url }) => Redacted.make(url))

  it.scopedLive("is refused by name when it is wrong, or behind a transaction pooler", () =>
    Effect.gen(function*() {
      const option = (options: PgPool.PgPoolOptions) =>
        Effect.map(
          failsWith(Layer.build(PgPool.layer({ initialize: "lazy", ...options })), "InvalidPoolConfig"),
          (e) => [
            e.option,
            e.requirement
          ]
        )
      assert.deepStrictEqual(yield* option({ sharing: { maxLeases: 0 } }), [
        "sharing.maxLeases",
        "must be an integer of at least 1, not 0"
      ])
      assert.strictEqual((yield* option({ sharing: { maxLeases: "5" as never } }))[0], "sharing.maxLeases")
      for (const sharing of [true, {}, null]) {
        assert.deepStrictEqual(yield* option({ sharing: sharing as never }), ["sharing", "must be { maxLeases }"])
      }
      assert.strictEqual((yield* option({ sharing: { maxLeases: 5 }, transactionPooling: true }))[0], "sharing")
    }))

  it.scopedLive("can come from the configuration", () =>
    Effect.gen(function*() {
      const layer = PgPool.layerConfig({
        url: yield* url,
        maxConnections: 1,
        sharing: Config.map(Config.integer("SHARED_BY"), (maxLeases) => ({ maxLeases }))
      })
      const waiting = Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const pool = yield* SqlPool.SqlPool
        const all = yield* Effect.fork(
          Effect.replicateEffect(sql`select pg_sleep(0.05)`, 5, { concurrency: "unbounded" })
        )
        yield* sent
        const stats = yield* pool.stats
        yield* Fiber.join(all)
        return stats.waiting
      }).pipe(Effect.provide(layer))
      const withLeases = (n: string) =>
        Effect.withConfigProvider(waiting, ConfigProvider.fromMap(new Map([["SHARED_BY", n]])))
      assert.strictEqual(yield* withLeases("3"), 2)
      assert.strictEqual(yield* withLeases("5"), 0)
    }))
})
