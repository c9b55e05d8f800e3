import * as Pool from "@dbpool/core/Pool"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/TestClock"
import { Admission } from "../src/internal/admission.js"
import { steadily } from "./steady.js"
import { failsWith, hold, makePool, optionsOf, refusal, settle, start, use, warm } from "./support.js"

describe("minConnections", () => {
  it.scoped("are opened without anybody asking, and opened again when they die", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { minConnections: 3 })
      yield* settle
      assert.strictEqual((yield* pool.stats).idle, 3)
      yield* server.kill(server.connections[1]!)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* pool.stats).idle, 3)
      assert.strictEqual(server.connections.length, 4)
    }))
})

describe("connectConcurrency", () => {
  const most = (connectConcurrency: number) =>
    steadily(Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "1 second" })
      const pool = yield* Pool.make({
        ...optionsOf(server),
        connectConcurrency,
        maxConnections: 20,
        acquireTimeout: "5 minutes"
      })
      const caller = pool.use(() => Effect.sleep("1 minute"))
      yield* Effect.all(Array.from({ length: 20 }, () => caller), { concurrency: "unbounded" })
      return server.maxConnecting
    }))

  it("bounds the connects under way at once", () => {
    assert.deepStrictEqual([1, 3, 8].map(most), [1, 3, 8])
  })

  it.scoped("is only reached by a queue that goes on waiting", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { connectConcurrency: 4, maxConnections: 20 })
      yield* warm(pool, 8)
      yield* server.always("connect", { takes: "1 second" })
      yield* Effect.forEach(Array.from({ length: 8 }), () => hold(pool))
      yield* Effect.forEach(Array.from({ length: 8 }), () => start(hold(pool)))
      const connecting = Effect.map(pool.stats, (stats) => stats.connecting)
      const seen = [yield* connecting]
      for (let i = 0; i < 4; i++) {
        yield* TestClock.adjust("25 millis")
        seen.push(yield* connecting)
      }
      assert.deepStrictEqual(seen, [1, 2, 3, 4, 4])
      yield* TestClock.adjust("10 seconds")
    }))

  it.scoped("a queue that was left does not pass on what it earned", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { connectConcurrency: 8, maxConnections: 20 })
      yield* warm(pool, 8)
      yield* server.always("connect", { takes: "3 seconds" })
      yield* Effect.forEach(Array.from({ length: 8 }), () => hold(pool))
      const impatient = yield* Effect.forEach(Array.from({ length: 8 }), () => start(use(pool)))
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* pool.stats).connecting, 5)
      yield* Fiber.interruptAll(impatient)
      yield* Effect.forEach(Array.from({ length: 8 }), () => start(use(pool)))
      yield* TestClock.adjust("25 millis")
      assert.strictEqual((yield* pool.stats).connecting, 5)
      yield* TestClock.adjust("1 minute")
    }))

  it("is earned step by step, however often anybody looks", () => {
    const admission = new Admission(5000, 4, 7000)
    for (let i = 0; i < 3; i++) admission.connected(0, admission.started(0))
    const allowed = [24, 25, 25, 25, 49, 50].map((now) => {
      admission.observeQueue(now, 0)
      return admission.allowance(now, 0, 1)
    })
    assert.deepStrictEqual(allowed, [1, 2, 2, 2, 2, 3])
    admission.observeQueue(60, undefined)
    assert.strictEqual(admission.allowance(60, 0, 1), 1)
  })
})

describe("a server that refuses more connections", () => {
  it.scoped("is told as TooManyConnections when the pool has none", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.limit(0)
      const pool = yield* makePool(server, { failFastAfter: "1 second" })
      const caller = yield* start(Effect.exit(use(pool)))
      yield* TestClock.adjust("1 second")
      const error = failsWith(yield* Fiber.join(caller), "TooManyConnections")
      assert.strictEqual(error.reason, "ServerRefused")
      assert.include(error.message, "too many connections")
    }))

  it.scoped("is not asked in a hurry when the schedule ends", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.limit(1)
      const pool = yield* makePool(server, { connectRetry: Schedule.recurs(0), acquireTimeout: "1 minute" })
      yield* hold(pool)
      yield* start(Effect.exit(use(pool)))
      yield* TestClock.adjust("50 seconds")
      assert.isAtMost(server.calls.connect, 13)
      yield* TestClock.adjust("10 seconds")
    }))
})

describe("a proxy in front of a server that is down", () => {
  it.scoped("is not believed after a failure: the connection must be valid, too", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("down") })
      const pool = yield* makePool(server, { failFastAfter: "1 second" })
      const caller = yield* start(Effect.exit(use(pool)))
      yield* settle
      yield* server.always("connect", {})
      yield* server.always("validate", { takes: "never" })
      yield* TestClock.adjust("1 second")
      failsWith(yield* Fiber.join(caller), "ConnectFailed")
      yield* server.always("validate", {})
      yield* TestClock.adjust("10 seconds")
      yield* use(pool)
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scoped("that takes connections and drops them unused is not stormed", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const dropped = Effect.tap(server.options.connect, (connection) =>
        Effect.fork(Effect.delay(server.kill(connection), "1 millis")))
      yield* makePool(server, { connect: dropped, minConnections: 2 })
      yield* TestClock.adjust("10 seconds")
      assert.isAtMost(server.calls.connect, 15)
    }))

  it.scoped("a connection cut after a long quiet time is no outage", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { minConnections: 1 })
      yield* TestClock.adjust("1 minute")
      yield* server.restart
      yield* settle
      assert.strictEqual(server.calls.connect, 2)
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))
})
