import * as SqlPool from "@dbpool/sql/SqlPool"
import * as InterruptSweep from "@dbpool/testing/InterruptSweep"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { FakeServer, hang, refuse, rows, unsent } from "./server.js"
import { makePool, settle } from "./support.js"

/**
 * Runs something on a pool of one connection, interrupted at every single operation in turn. Afterwards nobody holds the
 * connection, it is clean, and either all of the work is kept or none.
 */
const survives = (
  work: (pool: SqlPool.SqlPool, server: FakeServer) => Effect.Effect<unknown, unknown>,
  options: SqlPool.Options = {},
  all: ReadonlyArray<string> = ["a", "b"],
  makeServer = () => new FakeServer()
) =>
  Effect.gen(function*() {
    const outcomes = { kept: 0, undone: 0 }
    const runs = yield* InterruptSweep.sweep({
      world: Effect.gen(function*() {
        const server = makeServer()
        const pool = yield* makePool(server, { maxConnections: 1, name: "swept", ...options })
        yield* pool.client`select 1`
        return { server, pool }
      }),
      effect: ({ pool, server }, { interrupt }) => interrupt(work(pool, server)),
      patience: "30 seconds",
      after: ({ pool, server }, { exit }) =>
        Effect.gen(function*() {
          yield* atRest(pool, server)
          const { leased, open, waiting } = yield* pool.stats
          assert.deepStrictEqual({ leased, open, waiting }, { leased: 0, open: died(server) ? open : 1, waiting: 0 })
          if (!died(server)) assert.strictEqual(server.last.condition(), "clean")
          if (Exit.isSuccess(exit) || server.data.length > 0) assert.deepStrictEqual(server.data, all)
          if (server.data.length === 0) outcomes.undone++
          else outcomes.kept++
          yield* Effect.timeout(pool.client`select 1`, "30 seconds")
        })
    })
    assert.isAbove(runs.length, 30)
    assert.isAbove(outcomes.undone, 10)
    assert.isAbove(outcomes.kept, 0)
  })

/** Gives the pool the time it needs for what was left to it, which may be a timer's; not for ever, if it should need that. */
const atRest = (pool: SqlPool.SqlPool, server: FakeServer) =>
  Effect.zipRight(settle, pool.stats).pipe(
    Effect.repeat({
      while: ({ leased }) => leased > 0 || (!died(server) && server.last.condition() !== "clean"),
      schedule: Schedule.intersect(Schedule.spaced("1 millis"), Schedule.recurs(2000))
    })
  )

/** a connection that died is only replaced when somebody needs another */
const died = (server: FakeServer): boolean => server.last.broken !== undefined

describe("an interrupt at every single operation of", () => {
  it.live("a transaction", () =>
    survives((pool) => pool.withTransaction(Effect.zipRight(pool.client`insert a`, pool.client`insert b`))))

  it.live("a transaction that begins with its first statement", () =>
    survives(
      (pool) => pool.withTransaction(Effect.zipRight(pool.client`insert a`, pool.client`insert b`)),
      {},
      ["a", "b"],
      () => new FakeServer().beginsLate()
    ))

  it.live("a transaction that begins with a savepoint, and one that begins with a stream", () =>
    survives(
      (pool, server) =>
        Effect.suspend(() => {
          server.on("many", rows({ n: 1 }, { n: 2 }))
          const { client: sql } = pool
          const nested = pool.withTransaction(Effect.zipRight(pool.withTransaction(sql`insert a`), sql`insert b`))
          const streams = pool.withTransaction(Stream.runDrain(sql`many`.stream))
          return Effect.zipRight(streams, nested)
        }),
      {},
      ["a", "b"],
      () => new FakeServer().beginsLate()
    ))

  it.live("a transaction in a transaction", () =>
    survives((pool) =>
      pool.withTransaction(Effect.zipRight(pool.client`insert a`, pool.withTransaction(pool.client`insert b`)))
    ))

  it.live("a transaction with a timeout, repeated after a deadlock", () =>
    survives((pool, server) =>
      Effect.suspend(() => {
        server.on("insert a", refuse("Deadlock"), 1)
        return Effect.zipRight(pool.client`insert a`, pool.client`insert b`).pipe(
          pool.transaction({ timeout: "1 minute", retry: Schedule.recurs(1) })
        )
      })
    ))

  it.live("a transaction that undoes a savepoint and goes on", () =>
    survives((pool) => {
      const { client: sql } = pool
      const inner = pool.withTransaction(Effect.zipRight(sql`insert x`, Effect.fail("no")))
      return pool.withTransaction(Effect.all([sql`insert a`, Effect.exit(inner), sql`insert b`]))
    }))

  it.live("a lease in a scope, with a transaction by hand", () =>
    survives((pool) =>
      Effect.scoped(
        Effect.flatMap(
          pool.acquire,
          ({ connection }) =>
            Effect.forEach(["BEGIN", "insert a", "insert b", "COMMIT"], (text) => connection.query(text))
        )
      )
    ))

  it.live("a stream in a transaction", () =>
    survives((pool, server) =>
      Effect.suspend(() => {
        server.on("many", rows({ n: 1 }, { n: 2 }))
        const { client: sql } = pool
        return pool.withTransaction(Effect.all([sql`insert a`, Stream.runDrain(sql`many`.stream), sql`insert b`]))
      })
    ))

  it.live("a statement that is sent once more", () =>
    survives(
      (pool, server) =>
        Effect.suspend(() => {
          server.on("insert a", unsent, 1)
          return pool.client`insert a`
        }),
      {},
      ["a"]
    ))

  it.live("a transaction whose connection turns out to be stale before BEGIN", () =>
    survives(
      (pool, server) =>
        Effect.suspend(() => {
          server.last.stale = true
          return pool.withTransaction(Effect.zipRight(pool.client`insert a`, pool.client`insert b`))
        }),
      { validateOn: ["transaction"], validateAfterIdle: 0 }
    ))

  it.live("a transaction that undoes a savepoint whose statement timed out, on a pool that resets sessions", () =>
    survives(
      (pool, server) => {
        const { client: sql } = pool
        server.on("slow", hang)
        const inner = pool.withTransaction(Effect.zipRight(sql`insert x`, SqlPool.withStatementTimeout(sql`slow`, 3)))
        return pool.withTransaction(Effect.all([sql`insert a`, Effect.exit(inner), sql`insert b`]))
      },
      { reset: "session", setup: ["SET ours"] }
    ))
})
