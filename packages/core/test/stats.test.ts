import * as PoolStats from "@dbpool/core/PoolStats"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { hold, makePool, settle, start, use } from "./support.js"

describe("stats", () => {
  it.scoped("say what the pool is doing right now", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 8, minConnections: 1, validateAfterIdle: "1 second" })
      const one = yield* hold(pool)
      const two = yield* hold(pool)
      const three = yield* hold(pool)
      const four = yield* hold(pool)
      const five = yield* hold(pool)
      yield* one.end
      yield* TestClock.adjust("2 seconds")
      for (const operation of ["connect", "validate", "cancel", "reset", "close"] as const) {
        yield* server.always(operation, { takes: "800 millis" })
      }
      yield* two.connection.leave("busy")
      yield* three.connection.leave("dirty")
      yield* two.end
      yield* three.end
      yield* four.lease.invalidate
      yield* start(use(pool))
      yield* start(use(pool))
      const { cancelling, closing, connecting, idle, leased, open, reserved, resetting, waiting } = yield* pool.stats
      assert.deepStrictEqual(
        { closing, cancelling, connecting, idle, leased, open, reserved, resetting, waiting },
        {
          closing: 1,
          cancelling: 1,
          connecting: 1,
          idle: 0,
          leased: 1,
          open: 6,
          reserved: 1,
          resetting: 1,
          waiting: 2
        }
      )
      assert.strictEqual(five.connection.id, 5)
      yield* TestClock.adjust("5 seconds")
    }))

  it.scoped("count what it has done", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      yield* use(pool)
      yield* use(pool)
      const held = yield* hold(pool)
      const waiter = yield* start(use(pool))
      yield* held.end
      yield* Fiber.join(waiter)
      const { acquired, name, opened, reused, waited } = yield* pool.stats
      assert.deepStrictEqual(
        { acquired, name, opened, reused, waited },
        // the first one had to wait for its connection to be opened
        { acquired: 4, name: "test", opened: 1, reused: 3, waited: 2 }
      )
    }))

  it.scoped("never count backwards, not even when a hand-off comes too late", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const held = yield* hold(pool)
      const waiter = yield* start(use(pool))
      yield* held.end
      const before = yield* pool.stats
      yield* Fiber.interrupt(waiter)
      const after = yield* pool.stats
      assert.isAtLeast(after.acquired, before.acquired)
      assert.isAtLeast(after.reused, before.reused)
    }))

  it.scoped("do not count an attempt that failed as a connection that was closed", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "never" })
      const pool = yield* makePool(server, { connectTimeout: "1 second", failFastAfter: 0 })
      yield* start(Effect.exit(use(pool)))
      yield* TestClock.adjust("1 second")
      yield* settle
      const { closed, connectFailures, opened, refused: { ConnectFailed: failures } } = yield* pool.stats
      assert.deepStrictEqual({ closed, connectFailures, failures, opened }, {
        closed: 0,
        connectFailures: 1,
        failures: 1,
        opened: 0
      })
    }))

  it.scoped("add up how long callers waited, holders held, and connects took", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.next("connect", { takes: "300 millis" })
      const pool = yield* makePool(server, { maxConnections: 1 })
      const first = yield* start(hold(pool))
      yield* TestClock.adjust("300 millis")
      const held = yield* Fiber.join(first)
      const waiter = yield* start(use(pool))
      const late = yield* start(Effect.exit(use(pool, { timeout: "1 second" })))
      yield* TestClock.adjust("2 seconds")
      yield* held.end
      yield* Fiber.join(waiter)
      yield* Fiber.join(late)
      const { connectMillis, heldMillis, waitedMillis } = yield* pool.stats
      assert.deepStrictEqual([connectMillis, heldMillis, waitedMillis], [300, 2000, 300 + 2000 + 1000])
    }))

  it.scoped("tell what happened since an earlier snapshot, without forgetting anything", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      yield* use(pool)
      const earlier = yield* pool.stats
      const held = yield* hold(pool)
      yield* Effect.exit(use(pool, { whenExhausted: "fail" }))
      yield* held.end
      yield* pool.evictIdle
      const later = yield* pool.stats
      const between = PoolStats.since(later, earlier)
      assert.deepInclude(between, { name: "test", acquired: 1, reused: 1, opened: 0, idle: later.idle })
      assert.deepStrictEqual([between.refused.TooManyConnections, between.retired.evicted], [1, 1])
      assert.deepStrictEqual(PoolStats.since(later)(later).acquired, 0)
      assert.deepInclude(yield* pool.stats, { acquired: 2, opened: 1 })
    }))

  it.scoped("fit into a line", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 3 })
      yield* hold(pool)
      assert.strictEqual(
        PoolStats.summary(yield* pool.stats),
        "1 of 3 open (1 leased, 0 idle, 0 connecting), 0 waiting"
      )
    }))
})
