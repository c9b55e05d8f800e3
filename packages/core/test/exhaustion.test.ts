import * as AcquireOptions from "@dbpool/core/AcquireOptions"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { failsWith, hold, makePool, start, use } from "./support.js"

describe("whenExhausted", () => {
  it.scoped("\"fail\" fails at once when every connection is taken", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 2, whenExhausted: "fail" })
      yield* hold(pool)
      const held = yield* hold(pool)
      const error = failsWith(yield* Effect.exit(use(pool)), "TooManyConnections")
      assert.strictEqual(error.reason, "Exhausted")
      assert.strictEqual(error.stats.leased, 2)
      assert.strictEqual((yield* pool.stats).refused.TooManyConnections, 1)
      yield* held.end
      assert.strictEqual(yield* use(pool), 2)
    }))

  it.scoped("\"fail\" lets a caller wait for its own connection to be opened, and no more than that", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "1 second" })
      const pool = yield* makePool(server, { maxConnections: 2, whenExhausted: "fail" })
      const callers = yield* Effect.forEach([1, 2], () => start(hold(pool)))
      failsWith(yield* Effect.exit(use(pool)), "TooManyConnections")
      yield* TestClock.adjust("3 seconds")
      assert.lengthOf(yield* Fiber.joinAll(callers), 2)
    }))

  it.scoped("can be said per call and per region, both ways", () =>
    Effect.gen(function*() {
      const strict = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1, whenExhausted: "fail" })
      const held = yield* hold(strict)
      const waiting = yield* start(use(strict, { whenExhausted: "wait" }))
      const region = yield* start(use(strict).pipe(AcquireOptions.within({ whenExhausted: "wait" })))
      yield* held.end
      yield* Fiber.joinAll([waiting, region])

      const patient = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      yield* hold(patient)
      failsWith(yield* Effect.exit(use(patient, { whenExhausted: "fail" })), "TooManyConnections")
      failsWith(
        yield* Effect.exit(use(patient).pipe(AcquireOptions.within({ whenExhausted: "fail" }))),
        "TooManyConnections"
      )
    }))

  it.scoped("tryAcquire fails at once", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      yield* hold(pool)
      failsWith(yield* Effect.exit(Effect.scoped(pool.tryAcquire)), "TooManyConnections")
    }))

  it.scoped("counts a connection that is being restored as taken", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("reset", { takes: "1 second" })
      const pool = yield* makePool(server, { maxConnections: 1 })
      yield* pool.use((connection) => connection.leave("dirty"))
      failsWith(yield* Effect.exit(Effect.scoped(pool.tryAcquire)), "TooManyConnections")
    }))
})

describe("maxWaiting", () => {
  it.scoped("bounds those who wait for a connection to be given back", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1, maxWaiting: 2 })
      const held = yield* hold(pool)
      const waiting = yield* Effect.forEach([1, 2], () => start(use(pool)))
      const error = failsWith(yield* Effect.exit(use(pool)), "TooManyConnections")
      assert.strictEqual(error.reason, "WaitersFull")
      assert.strictEqual(error.stats.waiting, 2)
      yield* held.end
      yield* Fiber.joinAll(waiting)
    }))

  it.scoped("holds for those too who ask to wait", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, {
        maxConnections: 1,
        maxWaiting: 1,
        whenExhausted: "fail"
      })
      yield* hold(pool)
      yield* start(Effect.exit(use(pool, { whenExhausted: "wait", timeout: "1 second" })))
      const error = failsWith(yield* Effect.exit(use(pool, { whenExhausted: "wait" })), "TooManyConnections")
      assert.strictEqual(error.reason, "WaitersFull")
      yield* TestClock.adjust("1 second")
    }))

  it.scoped("does not count those for whom there is room to connect", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "1 second" })
      const pool = yield* makePool(server, { maxConnections: 3, maxWaiting: 0 })
      const callers = yield* Effect.forEach([1, 2, 3], () => start(hold(pool)))
      failsWith(yield* Effect.exit(use(pool)), "TooManyConnections")
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.joinAll(callers)
    }))
})

describe("a server that accepts no more connections", () => {
  it.scoped("lowers the maximum for those who would not wait, until it accepts more again", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.limit(2)
      const pool = yield* makePool(server, { maxConnections: 5, whenExhausted: "fail" })
      yield* hold(pool)
      const held = yield* hold(pool)
      // this one finds out, waits as long as it may, and then gets the reason
      const third = yield* start(Effect.exit(use(pool, { timeout: "50 millis" })))
      const error = failsWith(yield* Effect.exit(use(pool)), "TooManyConnections")
      assert.strictEqual(error.reason, "Exhausted")
      yield* TestClock.adjust("50 millis")
      assert.include(failsWith(yield* Fiber.join(third), "AcquireTimeout").message, "too many connections")
      yield* server.limit(5)
      yield* TestClock.adjust("1 second")
      const more = yield* start(hold(pool))
      yield* Fiber.join(more)
      yield* held.end
    }))

  it.scoped("does not turn callers away for ever once its connections have gone", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.limit(1)
      const pool = yield* makePool(server, { maxConnections: 5, whenExhausted: "fail", idleTimeout: "1 minute" })
      const held = yield* hold(pool)
      const refused = yield* start(Effect.exit(use(pool, { timeout: "50 millis" })))
      yield* TestClock.adjust("50 millis")
      failsWith(yield* Fiber.join(refused), "AcquireTimeout")
      yield* held.end
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* pool.stats).open, 0)
      assert.strictEqual(yield* use(pool), 2)
    }))
})
