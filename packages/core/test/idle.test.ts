import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { hold, makePool, settle, start, use, warm } from "./support.js"

describe("idleTimeout", () => {
  it.scoped("closes a connection that nobody has used for so long, each in its own time", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { idleTimeout: "1 minute" })
      const a = yield* hold(pool)
      const b = yield* hold(pool)
      yield* a.end
      yield* TestClock.adjust("20 seconds")
      yield* b.end
      yield* TestClock.adjust("39 seconds")
      assert.strictEqual(server.open, 2)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([a.connection.open, b.connection.open], [false, true])
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(server.open, 0)
      assert.strictEqual((yield* pool.stats).retired.idleTimeout, 2)
    }))

  it.scoped("spares the one that is used", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { idleTimeout: "1 minute" })
      for (let i = 0; i < 5; i++) {
        assert.strictEqual(yield* use(pool), 1)
        yield* TestClock.adjust("50 seconds")
      }
    }))

  it.scoped("lets the pool shrink under light load, because the same connection is lent again and again", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { idleTimeout: "1 minute" })
      yield* warm(pool, 5)
      for (let i = 0; i < 4; i++) {
        yield* TestClock.adjust("20 seconds")
        yield* use(pool)
      }
      assert.strictEqual(server.open, 1)
    }))

  it.scoped("goes down to minConnections and no further", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        idleTimeout: "1 minute",
        minConnections: 2,
        maxLifetime: Duration.infinity
      })
      yield* warm(pool, 5)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* pool.stats).idle, 2)
      assert.strictEqual(server.calls.connect, 5)
    }))

  it.scoped("notices in time that a late connection has made an old one spare", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        idleTimeout: "1 minute",
        minConnections: 1,
        acquireTimeout: Duration.infinity
      })
      yield* settle
      yield* server.always("connect", { takes: "4 seconds" })
      const held = yield* hold(pool)
      const waiter = yield* start(use(pool))
      yield* held.end
      assert.strictEqual(yield* Fiber.join(waiter), 1)
      // nothing is spare yet; in 4 seconds there is one connection more than the minimum
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(server.open, 2)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(server.connections.map(({ open }) => open), [false, true])
    }))

  it.scoped("of infinity keeps them", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { idleTimeout: Duration.infinity, maxLifetime: Duration.infinity })
      yield* warm(pool, 3)
      yield* TestClock.adjust("7 days")
      assert.strictEqual(server.open, 3)
      assert.strictEqual(server.calls.connect, 3)
    }))

  it.scoped("is five minutes when nothing is said", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      yield* use(pool)
      yield* TestClock.adjust("299 seconds")
      assert.strictEqual(server.open, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(server.open, 0)
    }))
})
