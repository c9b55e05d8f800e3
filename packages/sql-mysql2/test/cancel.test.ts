import * as TcpProxy from "@dbpool/testing/TcpProxy"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import { eventually, failsWith, idOf, makePool, makeTable, quiet, running, server, sessions, timed } from "./support.js"

// MySQL takes the end of a sleep for its result, unless there is more to do
const slow = "select 1 from dual where sleep(30) = 0"

describe("a statement that is interrupted", () => {
  it.scopedLive("returns at once, is ended on the server, and its connection is lent again", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool({ maxConnections: 1 })
      const ways = [
        sql.unsafe(slow),
        sql.unsafe(slow).values,
        sql.unsafe(slow).unprepared,
        pool.use((connection) => connection.query(slow)),
        pool.withTransaction(sql.unsafe(slow)),
        pool.withTransaction(pool.withTransaction(sql.unsafe(slow)))
      ] as ReadonlyArray<Effect.Effect<unknown, unknown>>
      for (const way of ways) {
        const fiber = yield* Effect.fork(way)
        const id = yield* running(admin, app, "sleep")
        const [took, exit] = yield* timed(Fiber.interrupt(fiber))
        assert.isBelow(took, 2000)
        assert.isTrue(Exit.isSuccess(exit) && Exit.isInterrupted(exit.value))
        assert.strictEqual((yield* pool.use((connection) => connection.query(idOf)))[0]!.id, id)
        yield* quiet(admin, app)
      }
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("in a lease or a transaction is ended at once, though nobody needs the connection", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool()
      const interrupted = (statement: Effect.Effect<unknown, unknown>) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(statement)
          yield* running(admin, app, "sleep")
          yield* Fiber.interrupt(fiber)
          yield* quiet(admin, app)
        })
      yield* pool.use((connection) => interrupted(connection.query(slow)))
      yield* Effect.scoped(
        Effect.flatMap(sql.reserve, (connection) => interrupted(connection.execute(slow, [], undefined)))
      )
      yield* Effect.exit(pool.withTransaction(interrupted(sql.unsafe(slow))))
    }))

  it.scopedLive("while it waits for a lock spoils its transaction, of which nothing is kept", () =>
    Effect.gen(function*() {
      const { admin, app, names, pool, sql, table } = yield* makeTable()
      yield* sql`insert into ${sql(table)} values (1, 'a')`
      const holding = yield* Deferred.make<void>()
      const holder = yield* Effect.fork(pool.withTransaction(
        Effect.all([
          sql`select * from ${sql(table)} where id = 1 for update`,
          Deferred.succeed(holding, undefined),
          Effect.never
        ])
      ))
      yield* Deferred.await(holding)
      const spoiled = pool.withTransaction(Effect.gen(function*() {
        yield* sql`insert into ${sql(table)} values (2, 'b')`
        const waiter = yield* Effect.fork(sql`update ${sql(table)} set name = 'waiter' where id = 1`)
        yield* running(admin, app, "waiter")
        yield* Fiber.interrupt(waiter)
      }))
      assert.strictEqual((yield* failsWith(spoiled, "CommitFailed")).reason, "RolledBack")
      yield* Fiber.interrupt(holder)
      assert.deepStrictEqual(yield* names, ["a"])
    }))

  it.scopedLive(
    "never costs the next one: the cancel is over before it is sent, 500 times out of 500",
    () =>
      Effect.gen(function*() {
        const { pool, sql } = yield* makePool({ maxConnections: 1 })
        const round = (
          first: Effect.Effect<unknown, unknown>,
          next: Effect.Effect<unknown, unknown>
        ) =>
          Effect.gen(function*() {
            const fiber = yield* Effect.fork(first)
            const turns = yield* Random.nextIntBetween(0, 4)
            yield* Effect.repeatN(Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void))), turns)
            yield* Fiber.interrupt(fiber)
            yield* next
          })
        yield* Effect.repeatN(round(sql`select 1`, sql`select sleep(0.002)`), 249)
        yield* pool.use((connection) =>
          Effect.repeatN(round(connection.query("select 1"), connection.query("select sleep(0.002)")), 249)
        )
        assert.strictEqual((yield* pool.stats).opened, 1)
      }),
    30_000
  )

  it.scopedLive("many at once: every connection is lent again, and one connection cancelled them all", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool({ maxConnections: 10 })
      const fibers = yield* Effect.replicateEffect(Effect.fork(sql.unsafe(slow)), 30)
      yield* eventually(pool.stats, ({ leased }) => leased === 10, "all of them run")
      yield* Fiber.interruptAll(fibers)
      yield* Effect.replicateEffect(sql`select 1`, 10, { concurrency: "unbounded" })
      assert.strictEqual((yield* pool.stats).opened, 10)
      assert.strictEqual((yield* sessions(admin, app)).length, 11)
    }))

  it.scopedLive("before it was sent is not sent at all", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable({ maxConnections: 1 })
      for (let id = 0; id < 50; id++) {
        // the text is new, and has to be prepared first
        const text = `insert into ${table} values (${id}, 'a')`
        yield* pool.use((connection) =>
          Effect.gen(function*() {
            const fiber = yield* Effect.fork(connection.query(text))
            yield* Effect.yieldNow()
            yield* Fiber.interrupt(fiber)
          })
        )
        yield* sql`select 1`
      }
      assert.deepStrictEqual(yield* names, [])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})

describe("a cancel", () => {
  it.scopedLive("that cannot be delivered costs the connection: nobody else gets it", () =>
    Effect.gen(function*() {
      const proxy = yield* TcpProxy.make(yield* server)
      const { admin, app, pool } = yield* makePool({ maxConnections: 1, host: proxy.host, port: proxy.port })
      const fiber = yield* Effect.fork(pool.use((connection) => connection.query("select sleep(0.5)")))
      yield* running(admin, app, "sleep")
      yield* proxy.stop
      yield* Fiber.interrupt(fiber)
      yield* eventually(pool.stats, ({ open }) => open === 0, "the connection is closed")
      yield* proxy.start
    }))

  it.scopedLive("is not sent to another server that is behind the same address by now", () =>
    Effect.gen(function*() {
      const { admin, app, pool } = yield* makePool({ maxConnections: 1 })
      const error = yield* Effect.flip(pool.use((connection) =>
        Effect.gen(function*() {
          // the server has another name from here on
          const before = yield* admin("select @@server_id as id")
          yield* admin(`set global server_id = ${before[0].id + 1}`)
          yield* Effect.addFinalizer(() => admin(`set global server_id = ${before[0].id}`))
          const fiber = yield* Effect.fork(connection.query("select sleep(0.5)"))
          yield* running(admin, app, "sleep")
          yield* Fiber.interrupt(fiber)
          yield* connection.query("select 1")
        })
      ))
      assert.include(String(error), "another server")
    }))

  it.scopedLive("works by the password that a connection was opened with last", () =>
    Effect.gen(function*() {
      const { admin, app, sql } = yield* makePool({ maxConnections: 1 })
      const fiber = yield* Effect.fork(sql.unsafe(slow))
      yield* running(admin, app, "sleep")
      yield* Fiber.interrupt(fiber)
      yield* quiet(admin, app)
      const [, canceller] = yield* sessions(admin, app)
      yield* admin(`kill ${canceller!.id}`)
      yield* eventually(sessions(admin, app), (rows) => rows.length === 1, "the connection that cancels is gone")
      const again = yield* Effect.fork(sql.unsafe(slow))
      yield* running(admin, app, "sleep")
      yield* Fiber.interrupt(again)
      yield* quiet(admin, app)
    }))

  it.scopedLive("by somebody else is a StatementError: Cancelled", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool({ maxConnections: 1 })
      const fiber = yield* Effect.fork(Effect.exit(pool.use((connection) => connection.query(slow))))
      yield* admin(`kill query ${yield* running(admin, app, "sleep")}`)
      const error = yield* failsWith(Effect.flatten(Fiber.join(fiber)), "StatementError")
      assert.strictEqual(error.reason, "Cancelled")
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})
