import type { Condition } from "@dbpool/core/Pool"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import type { TestPool } from "./support.js"
import { makePool, settle, start, use } from "./support.js"

const leave = (pool: TestPool, condition: Condition) => pool.use((connection) => connection.leave(condition))

describe("a connection that comes back", () => {
  it.scoped("clean is lent again as it is", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      yield* leave(pool, "clean")
      assert.strictEqual(yield* use(pool), 1)
      assert.deepStrictEqual([server.calls.cancel, server.calls.reset], [0, 0])
    }))

  it.scoped("dirty is reset before anybody else gets it, and not by the one who left it so", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("reset", { takes: "1 second" })
      const pool = yield* makePool(server, { maxConnections: 1 })
      // returns without the clock moving: the pool resets, not the caller
      yield* leave(pool, "dirty")
      assert.strictEqual((yield* pool.stats).resetting, 1)
      const next = yield* start(pool.use((connection) => Effect.succeed(connection.condition)))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(next), "clean")
      assert.strictEqual(server.calls.reset, 1)
    }))

  it.scoped("busy is cancelled first, and then reset", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("cancel", { takes: "1 second" })
      yield* server.always("reset", { takes: "1 second" })
      const pool = yield* makePool(server, { maxConnections: 1 })
      const interrupted = yield* start(
        pool.use((connection) => Effect.zipRight(connection.leave("busy"), Effect.never))
      )
      yield* Fiber.interrupt(interrupted)
      const next = yield* start(use(pool))
      assert.strictEqual((yield* pool.stats).cancelling, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* pool.stats).resetting, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(next), 1)
    }))

  it.scoped("busy, and clean once cancelled, needs no reset", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        cancel: (connection) => connection.leave("clean")
      })
      yield* leave(pool, "busy")
      yield* settle
      assert.strictEqual(yield* use(pool), 1)
      assert.strictEqual(server.calls.reset, 0)
    }))

  it.scoped("broken is closed, and counted as lost", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      yield* use(pool)
      yield* leave(pool, "broken")
      yield* settle
      assert.strictEqual(server.connections[0]!.closed, 1)
      assert.strictEqual((yield* pool.stats).retired.lost, 1)
      assert.strictEqual(yield* use(pool), 2)
    }))

  it.scoped("is closed when condition throws", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      let broken = false
      const pool = yield* makePool(server, {
        condition: () => {
          if (broken) throw new Error("a bug")
          return "clean"
        }
      })
      yield* use(pool)
      broken = true
      yield* use(pool)
      broken = false
      yield* settle
      assert.strictEqual(server.connections[0]!.closed, 1)
      assert.strictEqual(yield* use(pool), 2)
    }))

  it.scoped("is always clean when there is no condition", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { condition: undefined })
      yield* leave(pool, "broken")
      assert.strictEqual(yield* use(pool), 1)
    }))

  it.scoped("is closed when it needs what is not there: a reset, a cancel", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { reset: undefined, cancel: undefined })
      yield* leave(pool, "dirty")
      yield* settle
      yield* leave(pool, "busy")
      yield* settle
      assert.deepStrictEqual(server.connections.map(({ closed }) => closed), [1, 1])
    }))

  it.scoped("is closed when its reset or cancel fails, dies, or leaves it as it was", () =>
    Effect.gen(function*() {
      for (const outcome of [Effect.fail("no"), Effect.die("a bug"), Effect.void]) {
        const server = yield* SimulatedServer.make
        const pool = yield* makePool(server, { reset: () => outcome, cancel: () => outcome })
        yield* leave(pool, "dirty")
        yield* settle
        yield* leave(pool, "busy")
        yield* settle
        assert.deepStrictEqual(server.connections.map(({ closed }) => closed), [1, 1])
      }
    }))
})

describe("resetTimeout", () => {
  it.scoped("bounds a reset and a cancel; then the connection is closed", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { resetTimeout: "3 seconds" })
      yield* server.always("reset", { takes: "never" })
      yield* server.always("cancel", { takes: "never" })
      yield* leave(pool, "dirty")
      yield* leave(pool, "busy")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(server.open, 2)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(server.open, 0)
    }))
})

describe("closeTimeout and destroy", () => {
  it.scoped("a close that takes longer is destroyed, and its slot is free", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1, closeTimeout: "2 seconds" })
      yield* use(pool)
      yield* server.always("close", { takes: "never", stubborn: true })
      yield* leave(pool, "broken")
      const next = yield* start(use(pool))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* pool.stats).closing, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(next), 2)
      assert.strictEqual(server.connections[0]!.destroyed, 1)
      assert.strictEqual((yield* pool.stats).abandoned, 1)
    }))

  it.scoped("a destroy that throws, or is not there, changes nothing about it", () =>
    Effect.gen(function*() {
      const throwing = () => {
        throw new Error("a bug")
      }
      for (const destroy of [undefined, throwing]) {
        const server = yield* SimulatedServer.make
        const pool = yield* makePool(server, { maxConnections: 1, destroy })
        yield* use(pool)
        yield* server.always("close", { takes: "5 seconds" })
        yield* leave(pool, "broken")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* use(pool), 2)
        yield* TestClock.adjust("4 seconds")
        assert.strictEqual(server.connections[0]!.closed, 1)
      }
    }))
})
