import * as BlackHole from "@dbpool/testing/BlackHole"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as net from "node:net"
import type pg from "pg"
import { Canceller } from "../src/internal/cancel.js"
import {
  absent,
  eventually,
  failsWith,
  makePool,
  makeProxy,
  makeTable,
  pidOf,
  quiet,
  running,
  timed
} from "./support.js"

const slow = "select pg_sleep(30)"

describe("a statement that is interrupted", () => {
  it.scopedLive("returns at once, is cancelled on the server, and its connection is lent again", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool({ maxConnections: 1 })
      const ways = [
        sql.unsafe(slow),
        sql.unsafe(slow).values,
        pool.use((connection) => connection.query(slow)),
        pool.withTransaction(sql.unsafe(slow)),
        pool.withTransaction(pool.withTransaction(sql.unsafe(slow)))
      ] as ReadonlyArray<Effect.Effect<unknown, unknown>>
      for (const way of ways) {
        const fiber = yield* Effect.fork(way)
        const pid = yield* running(admin, app, "pg_sleep")
        const [took, exit] = yield* timed(Fiber.interrupt(fiber))
        assert.isBelow(took, 2000)
        assert.isTrue(Exit.isSuccess(exit) && Exit.isInterrupted(exit.value))
        assert.strictEqual((yield* pool.use((connection) => connection.query(pidOf)))[0]!.pid, pid)
        yield* quiet(admin, app)
      }
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("in a lease or a transaction is cancelled at once, though nobody needs the connection", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool()
      const interrupted = (statement: Effect.Effect<unknown, unknown>) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(statement)
          yield* running(admin, app, "pg_sleep")
          yield* Fiber.interrupt(fiber)
          yield* quiet(admin, app)
        })
      yield* pool.use((connection) => interrupted(connection.query(slow)))
      yield* Effect.scoped(
        Effect.flatMap(sql.reserve, (connection) => interrupted(connection.execute(slow, [], undefined)))
      )
      yield* Effect.exit(pool.withTransaction(interrupted(sql.unsafe(slow))))
    }))

  it.scopedLive("spoils its transaction, but not one that it was nested in", () =>
    Effect.gen(function*() {
      const { admin, app, names, pool, sql, table } = yield* makeTable()
      const insert = (id: number) => sql`insert into ${sql(table)} values (${id}, ${`n${id}`})`
      const interrupted = (self: Effect.Effect<unknown, unknown>) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(self)
          yield* running(admin, app, "pg_sleep")
          yield* Fiber.interrupt(fiber)
        })
      yield* failsWith(pool.withTransaction(Effect.zipRight(insert(1), interrupted(sql.unsafe(slow)))), "CommitFailed")
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* insert(2)
        yield* interrupted(pool.withTransaction(Effect.zipRight(insert(3), sql.unsafe(slow))))
        yield* insert(4)
      }))
      assert.deepStrictEqual(yield* names, ["n2", "n4"])
    }))

  it.scopedLive("never costs the next one on its connection, 500 times out of 500, under load", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 10 })
      let interrupts = 0
      const round = (first: Effect.Effect<unknown, unknown>, next: Effect.Effect<unknown, unknown>) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(first)
          const turns = yield* Random.nextIntBetween(0, 6)
          yield* Effect.repeatN(Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void))), turns)
          if (Exit.isInterrupted(yield* Fiber.interrupt(fiber))) interrupts++
          yield* next
        })
      const lease = pool.use((connection) =>
        round(connection.query("select $1::int", [1]), connection.query("select pg_sleep(0.004)"))
      )
      const worker = Effect.zipRight(round(sql`select 1`, sql`select pg_sleep(0.004)`), lease)
      const load = yield* Effect.forEach(
        Array.from({ length: 10 }),
        () => Effect.fork(Effect.forever(sql`select pg_sleep(0.001)`))
      )
      yield* Effect.whileLoop({
        while: () => interrupts < 500,
        body: () => Effect.replicateEffect(worker, 10, { concurrency: "unbounded" }),
        step: () => {}
      })
      // a cancel that hits one of these makes it fail
      for (const fiber of load) assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.strictEqual((yield* pool.stats).opened, 10)
    }))

  it.scopedLive("many at once: every connection is lent again", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 10 })
      const fibers = yield* Effect.replicateEffect(Effect.fork(sql.unsafe(slow)), 30)
      yield* eventually(pool.stats, ({ leased }) => leased === 10, "all of them run")
      yield* Fiber.interruptAll(fibers)
      yield* Effect.replicateEffect(sql`select 1`, 10, { concurrency: "unbounded" })
      assert.strictEqual((yield* pool.stats).opened, 10)
    }))
})

describe("a cancel", () => {
  it.scopedLive("that was lost on its way is repeated", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy((socket, n, pass) => n === 1 ? socket.destroy() : pass())
      const { admin, app, pool } = yield* makePool({ maxConnections: 1, ...proxy.address })
      const fiber = yield* Effect.fork(pool.use((connection) => connection.query(slow)))
      const pid = yield* running(admin, app, "pg_sleep")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* pool.use((connection) => connection.query(pidOf)))[0]!.pid, pid)
      assert.strictEqual(proxy.accepted(), 3)
    }))

  it.scopedLive("that cannot be delivered costs the connection: nobody else gets it", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy(() => {})
      const { admin, app, pool } = yield* makePool({ maxConnections: 1, ...proxy.address })
      const fiber = yield* Effect.fork(pool.use((connection) => connection.query("select pg_sleep(0.5)")))
      yield* running(admin, app, "pg_sleep")
      yield* proxy.refuse
      yield* Fiber.interrupt(fiber)
      yield* eventually(pool.stats, ({ open }) => open === 0, "the connection is closed")
      yield* absent(admin, app)
    }))

  it.scopedLive("that is never answered is waited for, but not for ever: then the connection is given up", () =>
    Effect.gen(function*() {
      const proxy = yield* makeProxy(() => {})
      const { admin, app, pool } = yield* makePool({
        ...proxy.address,
        maxConnections: 1,
        resetTimeout: "300 millis",
        closeTimeout: "300 millis"
      })
      const fiber = yield* Effect.fork(pool.use((connection) => connection.query("select pg_sleep(1)")))
      yield* running(admin, app, "pg_sleep")
      const [interrupted] = yield* timed(Fiber.interrupt(fiber))
      const [given] = yield* timed(eventually(pool.stats, ({ open }) => open === 0, "the connection is given up"))
      assert.isBelow(interrupted, 200)
      assert.isAbove(given, 200)
      assert.isBelow(given, 2000)
      assert.deepInclude((yield* pool.stats).retired, { unrestored: 1 })
      yield* absent(admin, app)
    }))

  it.scopedLive("whose socket cannot even be made costs the connection, and no later cancel", () =>
    Effect.gen(function*() {
      let broken = false
      const stream = () => {
        if (broken) throw new Error("no more sockets")
        return new net.Socket()
      }
      const { admin, app, pool } = yield* makePool({ maxConnections: 1, resetTimeout: "10 seconds", stream })
      const interrupted = (sql: string) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(pool.use((connection) => connection.query(sql)))
          yield* running(admin, app, "pg_sleep")
          yield* Fiber.interrupt(fiber)
        })
      for (let i = 0; i < 3; i++) {
        const [took] = yield* timed(Effect.gen(function*() {
          broken = false
          yield* pool.use((connection) => connection.query("select 1"))
          broken = true
          yield* interrupted("select pg_sleep(0.4)")
          yield* eventually(pool.stats, ({ open }) => open === 0, "the connection is closed")
          yield* absent(admin, app)
        }))
        assert.isBelow(took, 5000)
      }
      broken = false
      yield* interrupted(slow)
      yield* pool.use((connection) => connection.query("select 1"))
      assert.strictEqual((yield* pool.stats).opened, 4)
    }))

  it.scopedLive("takes its turn: two are under way at once, and those given up leave nothing behind", () =>
    Effect.gen(function*() {
      const hole = yield* BlackHole.make
      const connected = yield* Effect.acquireRelease(
        Effect.async<net.Socket>((resume) => {
          const socket = net.connect(hole.port, hole.host, () => resume(Effect.succeed(socket)))
        }),
        (socket) => Effect.sync(() => socket.destroy())
      )
      const client = { processID: 1, secretKey: 2 } as unknown as pg.Client
      const canceller = new Canceller()
      const done: Array<unknown> = []
      const stops = [1, 2, 3, 4].map((n) => canceller.request(client, connected, () => done.push(n)))
      yield* eventually(hole.accepted, (n) => n === 3, "two have called")
      stops[3]!()
      stops[0]!()
      yield* eventually(hole.accepted, (n) => n === 4, "the third calls")
      for (const stop of stops) stop()
      yield* eventually(hole.open, (n) => n === 1, "all but the connection itself are gone")
      assert.deepStrictEqual(done, [])
      assert.strictEqual(yield* hole.accepted, 4)
    }))

  it.scopedLive("leaves no listeners on the connection, and no more does anything else", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      const warnings: Array<Error> = []
      const listener = (warning: Error) => warnings.push(warning)
      process.on("warning", listener)
      for (let i = 0; i < 30; i++) {
        yield* Effect.exit(Effect.timeout(sql.unsafe(slow), "3 millis"))
        yield* Effect.exit(sql`selec 1`)
      }
      yield* sql`select 1`
      yield* Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))
      process.off("warning", listener)
      assert.deepStrictEqual(warnings, [])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})
