import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { hold, makePool, settle, start, use, warm } from "./support.js"

describe("a connection that dies by itself", () => {
  it.scoped("while idle is closed and never lent", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      yield* use(pool)
      yield* server.kill(server.connections[0]!)
      assert.strictEqual((yield* pool.stats).idle, 0)
      assert.strictEqual(yield* use(pool), 2)
      assert.strictEqual((yield* pool.stats).retired.lost, 1)
    }))

  it.scoped("while lent frees its slot at once, for those who wait", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      yield* use(pool)
      const held = yield* hold(pool)
      const waiter = yield* start(use(pool))
      yield* server.kill(held.connection)
      assert.strictEqual(yield* Fiber.join(waiter), 2)
      assert.strictEqual(held.connection.closed, 0)
      yield* held.end
      yield* settle
      assert.strictEqual(held.connection.closed, 1)
    }))

  it.scoped("while being validated lets the waiter go on to the next one", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      yield* use(pool)
      yield* TestClock.adjust("10 seconds")
      yield* server.always("validate", { takes: "never" })
      const waiter = yield* start(use(pool))
      assert.strictEqual((yield* pool.stats).reserved, 1)
      yield* server.kill(server.connections[0]!)
      assert.strictEqual(yield* Fiber.join(waiter), 2)
    }))

  it.scoped("while being restored is closed without waiting for the restore", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      yield* server.always("reset", { takes: "4 seconds" })
      yield* pool.use((connection) => connection.leave("dirty"))
      const waiter = yield* start(use(pool))
      yield* server.kill(server.connections[0]!)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(waiter), 2)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(server.connections[0]!.closed, 1)
    }))

  it.scoped("while it is being opened was never opened", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      let deaths = 1
      const pool = yield* makePool(server, {
        onLost: (_, lost) => {
          if (deaths-- > 0) lost(new Error("cut"))
        }
      })
      const caller = yield* start(use(pool))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(caller), 2)
      const { connectFailures, opened } = yield* pool.stats
      assert.deepStrictEqual({ connectFailures, opened }, { connectFailures: 1, opened: 1 })
    }))

  it.scoped("between the hand-off and the borrower's interruption is not handed to anybody else", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      const held = yield* hold(pool)
      const first = yield* start(use(pool))
      const second = yield* start(use(pool))
      yield* held.end
      yield* server.kill(held.connection)
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(second), 2)
    }))

  it.scoped("may say so more than once", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      const held = yield* hold(pool)
      yield* server.kill(held.connection)
      yield* server.kill(held.connection)
      yield* held.end
      yield* server.kill(held.connection)
      yield* settle
      yield* server.kill(held.connection)
      assert.strictEqual((yield* pool.stats).retired.lost, 1)
    }))

  it.scoped("together with all others is replaced by as many as are needed", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { minConnections: 2 })
      yield* warm(pool, 5)
      yield* server.restart
      yield* TestClock.adjust("1 second")
      const { idle, open, retired: { lost } } = yield* pool.stats
      assert.deepStrictEqual({ idle, lost, open }, { idle: 2, lost: 5, open: 2 })
    }))
})
