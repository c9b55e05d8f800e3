import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import type { TestOptions } from "./support.js"
import { hold, makePool, settle, start, use, warm } from "./support.js"

const lasting: TestOptions = { idleTimeout: Duration.infinity, maxLifetime: Duration.infinity }

describe("maxIdle", () => {
  it.scoped("closes what comes back beyond it", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, maxIdle: 2 })
      yield* warm(pool, 4)
      yield* settle
      assert.strictEqual((yield* pool.stats).idle, 2)
      assert.strictEqual(server.open, 2)
    }))

  it.scoped("of zero keeps nothing, and hands on to those who wait", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, maxIdle: 0, maxConnections: 1 })
      const held = yield* hold(pool)
      const waiting = yield* start(use(pool))
      yield* held.end
      assert.strictEqual(yield* Fiber.join(waiting), 1)
      yield* settle
      assert.strictEqual(server.open, 0)
      assert.strictEqual(yield* use(pool), 2)
    }))
})

describe("maxUses", () => {
  it.scoped("has a connection replaced after so many leases", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, maxUses: 3 })
      const ids: Array<number> = []
      for (let i = 0; i < 7; i++) {
        ids.push(yield* use(pool))
        yield* settle
      }
      assert.deepStrictEqual(ids, [1, 1, 1, 2, 2, 2, 3])
    }))

  it.scoped("goes on lending it while somebody waits", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, maxUses: 1, maxConnections: 1 })
      const held = yield* hold(pool)
      const waiting = yield* start(Effect.all([use(pool), use(pool)], { concurrency: 2 }))
      yield* held.end
      assert.deepStrictEqual(yield* Fiber.join(waiting), [1, 1])
      yield* settle
      assert.strictEqual(yield* use(pool), 2)
    }))
})

describe("order", () => {
  it.scoped("lifo lends the connection that was used last", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, lasting)
      yield* warm(pool, 3)
      assert.deepStrictEqual(yield* Effect.replicateEffect(use(pool), 4), [3, 3, 3, 3])
    }))

  it.scoped("fifo lends the one that has rested longest", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, order: "fifo" })
      yield* warm(pool, 3)
      assert.deepStrictEqual(yield* Effect.replicateEffect(use(pool), 4), [1, 2, 3, 1])
    }))
})

describe("keepaliveInterval", () => {
  it.scoped("validates what is kept although idle, one after the other", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("validate", { takes: "1 second" })
      const pool = yield* makePool(server, { ...lasting, minConnections: 2, keepaliveInterval: "1 minute" })
      yield* settle
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual((yield* pool.stats).reserved, 1)
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(server.calls.validate, 2)
      assert.strictEqual((yield* pool.stats).idle, 2)
      yield* TestClock.adjust("5 minutes")
      assert.isAtLeast(server.calls.validate, 10)
    }))

  it.scoped("drops one that is dead, and has it replaced", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* makePool(server, { ...lasting, minConnections: 1, keepaliveInterval: "1 minute" })
      yield* settle
      yield* server.kill(server.connections[0]!, { unheard: true })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(server.connections.map(({ open }) => open), [false, true])
    }))

  it.scoped("does not make a connection look used", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        maxLifetime: Duration.infinity,
        idleTimeout: "5 minutes",
        minConnections: 1,
        keepaliveInterval: "1 minute"
      })
      yield* warm(pool, 3)
      yield* TestClock.adjust("6 minutes")
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))

  it.scoped("leaves a pool that keeps nothing alone", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, keepaliveInterval: "1 minute" })
      yield* use(pool)
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(server.calls.validate, 0)
    }))
})
