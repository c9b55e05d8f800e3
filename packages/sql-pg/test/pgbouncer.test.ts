/** Through a real PgBouncer in transaction mode: each transaction may run on another backend. */
import type * as PgPool from "@dbpool/sql-pg/PgPool"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as PgBouncer from "@dbpool/testing/PgBouncer"
import * as PgServer from "@dbpool/testing/PgServer"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import pg from "pg"
import { eventually, failsWith, failure, makePool, makeTable, pidOf, quiet, running, server } from "./support.js"

const poolSize = 8

const through = (options: PgPool.PgPoolOptions = {}) =>
  Effect.map(PgBouncer.PgBouncer, ({ url }): PgPool.PgPoolOptions => ({
    url: Redacted.make(url),
    transactionPooling: true,
    ...options
  }))

/** how many clients of an application it has, from its console, which speaks the simple protocol only */
const clients = (app: string) =>
  Effect.flatMap(PgBouncer.PgBouncer, ({ url }) =>
    Effect.promise(async () => {
      const client = new pg.Client({ connectionString: url.replace(/[^/]*$/, "pgbouncer") })
      await client.connect()
      const { rows } = await client.query("show clients")
      await client.end()
      return rows.filter(({ application_name }) => application_name === app).length
    }))

const BouncerLive = PgBouncer.layer({ poolSize }).pipe(Layer.provide(Layer.scoped(PgServer.PgServer, server)))

layer(BouncerLive, { excludeTestServices: true, timeout: "2 minutes" })("behind a transaction pooler", (it) => {
  it.scoped(
    "200 fibers with transactions, statements and interrupts: nothing but what they asked for, and the books balance",
    () =>
      Effect.gen(function*() {
        const { admin, app, close, pool, sql, table } = yield* makeTable(yield* through({ maxConnections: 40 }))
        const booked = { committed: new Set<number>(), undone: new Set<number>(), unknown: new Set<number>() }
        let id = 0
        const insert = (id: number) => sql`insert into ${sql(table)} values (${id}, ${`n${id}`})`
        const transfer = (id: number) =>
          Effect.gen(function*() {
            yield* insert(id)
            const pause = yield* Random.nextIntBetween(0, 4)
            yield* sql`select pg_sleep(${pause / 1000}), ${id}::int`
            const rows = yield* sql`select id from ${sql(table)} where id = ${id}`
            assert.deepStrictEqual(rows, [{ id }])
            if (yield* Effect.map(Random.next, (p) => p < 0.2)) return yield* Effect.fail("undo")
          })
        const attempt = Effect.gen(function*() {
          const own = ++id
          const fiber = yield* Effect.fork(pool.withTransaction(transfer(own)))
          if (yield* Effect.map(Random.next, (p) => p < 0.2)) {
            yield* Effect.sleep(yield* Random.nextIntBetween(0, 20))
            const exit = yield* Fiber.interrupt(fiber)
            // the interrupt may have come when COMMIT was under way
            booked[Exit.isSuccess(exit) ? "committed" : "unknown"].add(own)
          } else {
            const exit = yield* Fiber.await(fiber)
            if (Exit.isSuccess(exit)) booked.committed.add(own)
            else {
              assert.strictEqual(failure(exit), "undo")
              booked.undone.add(own)
            }
          }
          // single statements, with parameters, some of them given up
          yield* Effect.timeoutOption(sql`select ${own}::int, pg_sleep(0.002)`, yield* Random.nextIntBetween(1, 60))
        })
        yield* Effect.replicateEffect(Effect.repeatN(attempt, 3), 200, { concurrency: "unbounded" })
        const rows = yield* admin(`select id from ${table}`)
        const kept = new Set(rows.map(({ id }) => id as number))
        assert.strictEqual(booked.committed.size + booked.undone.size + booked.unknown.size, 800)
        assert.isAbove(booked.unknown.size, 50)
        assert.deepStrictEqual([...booked.committed].filter((id) => !kept.has(id)), [])
        assert.deepStrictEqual([...booked.undone].filter((id) => kept.has(id)), [])
        assert.strictEqual(kept.size, rows.length)
        assert.strictEqual((yield* pool.stats).connectFailures, 0)
        const backends = yield* admin("select pid from pg_stat_activity where application_name = $1", [app])
        assert.isAtMost(backends.length, poolSize)
        // the last of what was interrupted may have taken all connections along
        yield* sql`select 1`
        assert.isAbove(yield* clients(app), 0)
        yield* close
        yield* eventually(clients(app), (n) => n === 0, "the proxy has no client of ours")
      }),
    60_000
  )

  it.scoped("an interrupted statement ends on the server, and its connection is not lent again", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool(yield* through({ maxConnections: 1 }))
      const ways: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        sql`select pg_sleep(30)`,
        pool.use((connection) => connection.query("select pg_sleep(30)")),
        pool.withTransaction(sql`select pg_sleep(30)`),
        Stream.runDrain(sql`select pg_sleep(30) from generate_series(1, 1000)`.stream)
      ]
      for (const [n, way] of ways.entries()) {
        const fiber = yield* Effect.fork(way)
        yield* running(admin, app, "pg_sleep")
        yield* Fiber.interrupt(fiber)
        yield* pool.use((connection) => connection.query("select 1"))
        yield* quiet(admin, app)
        assert.deepInclude(yield* pool.stats, { opened: n + 2, open: 1, connectFailures: 0 })
      }
      assert.strictEqual((yield* pool.stats).retired.unrestored, ways.length)
    }))

  it.scoped("a lease or transaction cannot go on after an interrupted statement of it, and says so", () =>
    Effect.gen(function*() {
      const { admin, app, names, pool, sql, table } = yield* makeTable(yield* through({ maxConnections: 1 }))
      const interrupted = Effect.gen(function*() {
        const fiber = yield* Effect.fork(sql`select pg_sleep(30)`)
        yield* running(admin, app, "pg_sleep")
        yield* Fiber.interrupt(fiber)
      })
      const insert = sql`insert into ${sql(table)} values (1, 'a')`
      yield* failsWith(
        pool.withTransaction(Effect.zipRight(insert, Effect.zipRight(interrupted, sql`select 1`))),
        "StatementError"
      )
      yield* failsWith(
        pool.use((connection) =>
          Effect.zipRight(
            Effect.timeoutOption(connection.query("select pg_sleep(30)"), "50 millis"),
            connection.query("select 1")
          )
        ),
        "NoSuchConnection"
      )
      assert.deepStrictEqual(yield* names, [])
      yield* SqlPool.refineErrors(insert)
      assert.deepStrictEqual(yield* names, ["a"])
    }))

  it.scoped("is told nothing at login that it does not know; what it is asked for in vain is fatal, and named", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool(yield* through({ parameters: { TimeZone: "Asia/Kathmandu" } }))
      assert.deepStrictEqual(yield* pool.use((c) => c.values("show timezone")), [["Asia/Kathmandu"]])
      const error = yield* failsWith(
        makePool(yield* through({ parameters: { lock_timeout: 1000 }, initializeTimeout: "20 seconds" })),
        "ConnectFailed"
      )
      assert.isTrue(error.fatal)
      assert.include(error.message, "lock_timeout")
    }))

  it.scoped("lockTimeout and idleInTransactionTimeout are set by each transaction, and end with it", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable(
        yield* through({ maxConnections: 1, lockTimeout: "60 millis", idleInTransactionTimeout: "600 millis" })
      )
      const settings = sql`select current_setting('lock_timeout'), current_setting('transaction_isolation'),
        current_setting('idle_in_transaction_session_timeout')`.values
      const before = yield* settings
      const inside = pool.transaction({ isolation: "serializable", accessMode: "read only" })(settings)
      assert.deepStrictEqual(yield* inside, [["60ms", "serializable", "600ms"]])
      assert.deepStrictEqual(yield* settings, before)
      const insert = sql`insert into ${sql(table)} values (1, 'a')`
      const direct = yield* makePool()
      const locked = direct.pool.withTransaction(Effect.zipRight(
        direct.sql`lock table ${sql(table)}`,
        Effect.exit(pool.withTransaction(insert))
      ))
      assert.strictEqual((yield* failsWith(Effect.flatten(locked), "StatementError")).reason, "LockTimeout")
      const cut = eventually(pool.stats, ({ retired }) => retired.lost === 1, "the transaction is cut")
      const idle = Effect.zipRight(insert, cut)
      assert.isTrue((yield* failsWith(pool.withTransaction(idle), "ConnectionLost")).inTransaction)
      assert.deepStrictEqual(yield* names, [])
    }))

  it.scoped("that is not said to be one refuses the setting that the pool can do without, and gets it no more", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool(yield* through({ transactionPooling: false, preparedStatements: 0 }))
      yield* Effect.scoped(Effect.replicateEffect(pool.acquire, 3))
      assert.deepInclude(yield* pool.stats, { opened: 3, connectFailures: 0 })
    }))

  it.scoped("notify works, and a stream keeps its backend to its end", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool(yield* through())
      yield* pool.notify("channel", "payload")
      const rows = yield* Stream.runCollect(
        sql<{ readonly pid: number }>`select pg_backend_pid() as pid from generate_series(1, 1000)`.stream
      )
      assert.strictEqual(new Set([...rows].map(({ pid }) => pid)).size, 1)
      const pids = yield* pool.withTransaction(
        Effect.replicateEffect(Effect.map(sql.unsafe(pidOf), ([row]) => (row as { readonly pid: number }).pid), 5)
      )
      assert.strictEqual(new Set(pids).size, 1)
      yield* eventually(pool.stats, ({ leased }) => leased === 0, "everything is back")
    }))
})

layer(
  PgBouncer.layer({ poolMode: "session" }).pipe(Layer.provide(Layer.scoped(PgServer.PgServer, server))),
  { excludeTestServices: true, timeout: "2 minutes" }
)("behind a session pooler", (it) => {
  const direct = through({ transactionPooling: undefined, maxConnections: 3 })

  it.scoped("statements stay prepared, and settings stay set", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool(yield* direct)
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          yield* connection.query("set lock_timeout to 1234")
          yield* Effect.repeatN(connection.query("select $1::int", [1]), 4)
          assert.deepStrictEqual(yield* connection.values("select statement from pg_prepared_statements"), [
            ["select $1::int"]
          ])
          assert.deepStrictEqual(yield* connection.values("show lock_timeout"), [["1234ms"]])
        })
      )
    }))

  it.scoped("a channel can be listened to", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool(yield* direct)
      const heard = yield* Stream.runCollect(
        pool.listen("through").pipe(
          Stream.tap(({ _tag }) => _tag === "Listening" ? pool.notify("through", "the proxy") : Effect.void),
          Stream.take(2)
        )
      )
      assert.deepStrictEqual([...heard].map((element) => element._tag === "Notification" && element.payload), [
        false,
        "the proxy"
      ])
    }))

  it.scoped("an interrupted statement costs neither its connection nor the next one, 200 times", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ ...yield* direct, maxConnections: 1 })
      for (let n = 0; n < 200; n++) {
        const fiber = yield* Effect.fork(sql`select ${n}::int`)
        yield* Effect.repeatN(Effect.yieldNow(), n % 8)
        yield* Fiber.interrupt(fiber)
        yield* sql`select pg_sleep(0.004)`
      }
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})
