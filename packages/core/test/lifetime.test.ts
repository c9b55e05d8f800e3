import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import type { TestOptions } from "./support.js"
import { hold, makePool, refusal, settle, start, use, warm } from "./support.js"

const keep: TestOptions = { idleTimeout: Duration.infinity, validate: undefined }

/** what the pool draws: where in the jitter its connections expire softly, 0 being latest */
const draws = (...values: [number, ...Array<number>]) => Effect.withRandom(Random.fixed(values))

describe("maxLifetime, soft", () => {
  it.scoped("falls at random into the last part of the lifetime, per connection", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...keep, maxLifetime: "100 seconds", lifetimeJitter: 0.5 }).pipe(
        draws(0, 0.5, 1)
      )
      yield* warm(pool, 3)
      const open = () => server.connections.slice(0, 3).map((connection) => connection.open)
      yield* TestClock.adjust("48 seconds")
      assert.deepStrictEqual(open(), [true, true, true])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(open(), [true, true, false])
      yield* TestClock.adjust("25 seconds")
      assert.deepStrictEqual(open(), [true, false, false])
      yield* TestClock.adjust("25 seconds")
      assert.deepStrictEqual(open(), [false, false, false])
      assert.strictEqual((yield* pool.stats).retired.maxLifetime, 3)
    }))

  it.scoped("with a jitter of zero is the lifetime itself", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...keep, maxLifetime: "100 seconds", lifetimeJitter: 0 }).pipe(draws(1))
      yield* use(pool)
      yield* TestClock.adjust("99 seconds")
      assert.isTrue(server.connections[0]!.open)
      yield* TestClock.adjust("1 second")
      assert.isFalse(server.connections[0]!.open)
    }))

  it.scoped("below the maximum opens the successor before it closes the old one", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...keep, maxLifetime: "100 seconds", lifetimeJitter: 0.5 }).pipe(draws(1))
      yield* use(pool)
      yield* server.always("connect", { takes: "4 seconds" })
      yield* TestClock.adjust("50 seconds")
      const { connecting, idle } = yield* pool.stats
      assert.deepStrictEqual({ connecting, idle }, { connecting: 1, idle: 1 })
      assert.strictEqual(yield* use(pool), 1)
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(server.connections.map(({ open }) => open), [false, true])
      assert.strictEqual(yield* use(pool), 2)
    }))

  it.scoped("at the maximum closes one first, one at a time", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        ...keep,
        maxConnections: 3,
        minConnections: 3,
        maxLifetime: "100 seconds",
        lifetimeJitter: 0.5
      }).pipe(draws(1))
      yield* settle
      yield* warm(pool, 3)
      yield* server.always("connect", { takes: "2 seconds" })
      const idle: Array<number> = []
      yield* TestClock.adjust("48 seconds")
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust("1 second")
        idle.push((yield* pool.stats).idle)
      }
      assert.strictEqual(Math.min(...idle), 2)
      assert.strictEqual(idle.at(-1), 3)
      assert.deepStrictEqual(server.connections.map(({ open }) => open), [false, false, false, true, true, true])
    }))

  it.scoped("does not end a lease: the connection is closed when it comes back, if its successor is there", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...keep, maxLifetime: "100 seconds", lifetimeJitter: 0.5 }).pipe(draws(1))
      yield* use(pool)
      yield* server.always("connect", { takes: "4 seconds" })
      yield* TestClock.adjust("50 seconds")
      const held = yield* hold(pool)
      yield* TestClock.adjust("4 seconds")
      assert.isTrue(held.connection.open)
      yield* held.end
      yield* settle
      assert.deepStrictEqual(server.connections.map(({ open }) => open), [false, true])
    }))

  it.scoped("does not matter while somebody waits", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        ...keep,
        maxConnections: 1,
        maxLifetime: "100 seconds",
        lifetimeJitter: 0.5
      }).pipe(draws(1))
      const held = yield* hold(pool)
      yield* TestClock.adjust("60 seconds")
      const waiter = yield* start(hold(pool))
      const last = yield* start(use(pool))
      yield* held.end
      const next = yield* Fiber.join(waiter)
      assert.strictEqual(next.connection.id, 1)
      yield* next.end
      assert.strictEqual(yield* Fiber.join(last), 1)
      yield* settle
      assert.deepStrictEqual(server.connections.map(({ open }) => open), [false, true])
    }))

  it.scoped("waits while a connection is being validated for somebody", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        idleTimeout: Duration.infinity,
        maxConnections: 2,
        validateTimeout: "5 seconds",
        maxLifetime: "100 seconds",
        lifetimeJitter: 0.5
      }).pipe(draws(1))
      yield* warm(pool, 2)
      yield* TestClock.adjust("48 seconds")
      yield* server.always("validate", { takes: "4 seconds" })
      yield* server.always("connect", { takes: "4 seconds" })
      const caller = yield* start(use(pool))
      yield* TestClock.adjust("2 seconds")
      const { idle, reserved } = yield* pool.stats
      assert.deepStrictEqual({ idle, reserved }, { idle: 1, reserved: 1 })
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(caller)
    }))

  it.scoped("keeps the connection while the server takes no new ones", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...keep, maxLifetime: "100 seconds", lifetimeJitter: 0.5 }).pipe(draws(1))
      yield* use(pool)
      yield* server.limit(1)
      yield* TestClock.adjust("70 seconds")
      assert.strictEqual(yield* use(pool), 1)
      yield* server.limit(Infinity)
    }))

  it.scoped("is tried again when the connect fails, so that an outage which nobody else notices comes to an end", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxUses: 2 })
      yield* use(pool)
      yield* server.next("connect", { fails: refusal("connection refused") })
      yield* use(pool)
      yield* settle
      assert.deepInclude(yield* pool.health, { _tag: "Degraded", reason: "outage" })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* pool.health)._tag, "Ready")
      assert.strictEqual(yield* use(pool), 2)
      assert.strictEqual(server.calls.connect, 3)
    }))
})

describe("maxLifetime, hard", () => {
  it.scoped("closes an idle connection", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...keep, maxLifetime: "100 seconds" }).pipe(draws(0))
      yield* use(pool)
      yield* server.limit(1)
      yield* TestClock.adjust("100 seconds")
      assert.isFalse(server.connections[0]!.open)
      yield* TestClock.adjust("10 seconds")
    }))

  it.scoped("never lends it again: neither to a waiter nor to the next caller", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...keep, maxConnections: 1, maxLifetime: "100 seconds" }).pipe(draws(0))
      const first = yield* hold(pool)
      const waiter = yield* start(hold(pool, { timeout: "10 minutes" }))
      yield* TestClock.adjust("100 seconds")
      yield* first.end
      const second = yield* Fiber.join(waiter)
      assert.strictEqual(second.connection.id, 2)
      yield* TestClock.adjust("100 seconds")
      yield* second.end
      assert.strictEqual(yield* use(pool), 3)
    }))

  it.scoped("is counted from the end of the connect", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "4 seconds" })
      const pool = yield* makePool(server, { ...keep, maxLifetime: "100 seconds", lifetimeJitter: 0 }).pipe(draws(0))
      const caller = yield* start(use(pool))
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.join(caller)
      yield* TestClock.adjust("99 seconds")
      assert.isTrue(server.connections[0]!.open)
      yield* TestClock.adjust("1 second")
      assert.isFalse(server.connections[0]!.open)
      yield* TestClock.adjust("10 seconds")
    }))

  it.scoped("of infinity retires none", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...keep, maxLifetime: Duration.infinity })
      yield* warm(pool, 3)
      yield* TestClock.adjust("10 days")
      assert.strictEqual(yield* use(pool), server.connections.at(-1)!.id)
      assert.strictEqual(server.calls.connect, 3)
    }))
})
