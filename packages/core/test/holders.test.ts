import * as PoolHolder from "@dbpool/core/PoolHolder"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { failsWith, hold, makePool, settle, start, use } from "./support.js"

describe("holders", () => {
  it.scoped("are those who hold a connection now, longest first: which fiber, in which span, for how long", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make)
      assert.deepStrictEqual(yield* pool.holders, [])
      const first = yield* start(Effect.withSpan(pool.use(() => Effect.never), "report"))
      yield* TestClock.adjust("2 seconds")
      const held = yield* hold(pool)
      const session = yield* start(Effect.withSpan(pool.session(Effect.zipRight(use(pool), Effect.never)), "migrate"))
      yield* TestClock.adjust("1 second")
      const [one, two, three] = yield* pool.holders
      assert.deepStrictEqual(one, {
        fiberId: first.id(),
        span: "report",
        heldMillis: 3000,
        connectionId: 1,
        activity: undefined
      })
      assert.deepStrictEqual([two!.span, two!.heldMillis, two!.connectionId], [undefined, 1000, 2])
      assert.isTrue(Equal.equals(two!.fiberId, yield* Effect.fiberId))
      assert.deepStrictEqual(three, {
        fiberId: session.id(),
        span: "migrate",
        heldMillis: 1000,
        connectionId: 3,
        activity: undefined
      })
      yield* held.end
      yield* Fiber.interruptAll([first, session])
      assert.deepStrictEqual(yield* pool.holders, [])
    }))

  it.scoped("are not those whose connection has died or was invalidated", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      const one = yield* hold(pool)
      const two = yield* hold(pool)
      yield* server.kill(one.connection)
      yield* two.lease.invalidate
      assert.deepStrictEqual(yield* pool.holders, [])
    }))

  it.scoped("count from the hand-over, when the connection came from another holder", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const held = yield* hold(pool)
      const waiter = yield* start(pool.use(() => Effect.never))
      yield* TestClock.adjust("5 seconds")
      yield* held.end
      yield* settle
      yield* TestClock.adjust("1 second")
      const holders = yield* pool.holders
      assert.deepStrictEqual(holders.map(({ fiberId, heldMillis }) => [fiberId, heldMillis]), [[waiter.id(), 1000]])
      yield* Fiber.interrupt(waiter)
    }))

  it.scoped("are told to those who waited for them in vain", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1, acquireTimeout: "2 seconds" })
      const holder = yield* start(Effect.withSpan(pool.use(() => Effect.never), "checkout"))
      const callers = yield* start(Effect.all([use(pool), use(pool)].map(Effect.exit), { concurrency: 2 }))
      yield* TestClock.adjust("2 seconds")
      for (const exit of yield* Fiber.join(callers)) {
        const { holders, message } = failsWith(exit, "AcquireTimeout")
        assert.deepStrictEqual(holders, [
          { fiberId: holder.id(), span: "checkout", heldMillis: 2000, connectionId: 1, activity: undefined }
        ])
        assert.include(message, `held by fiber #${holder.id().id} in span "checkout" for 2 s (connection 1)`)
      }
    }))

  it.scoped("say what they are doing, if the pool has been told how to find out", () =>
    Effect.gen(function*() {
      let doing: string | undefined = "running \"select 1\""
      const pool = yield* makePool(yield* SimulatedServer.make, {
        activity: (connection) => {
          if (doing === undefined) throw new Error("a hook that throws")
          return `${doing} on ${connection.id}`
        }
      })
      yield* hold(pool)
      const [holder] = yield* pool.holders
      assert.strictEqual(holder!.activity, "running \"select 1\" on 1")
      assert.match(PoolHolder.describe(holder!), /^fiber #\d+ for 0 ms \(connection 1, running "select 1" on 1\)$/)
      doing = undefined
      assert.strictEqual((yield* pool.holders)[0]!.activity, undefined)
    }))
})
