import * as AcquireOptions from "@dbpool/core/AcquireOptions"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { failsWith, hold, makePool, settle, start, timed, use, warm } from "./support.js"

describe("acquireTimeout", () => {
  it.scoped("ends the wait in a full pool, with what the pool was doing then", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1, acquireTimeout: "2 seconds" })
      yield* hold(pool)
      const caller = yield* start(timed(use(pool)))
      yield* TestClock.adjust("1 minute")
      const { at, exit } = yield* Fiber.join(caller)
      const error = failsWith(exit, "AcquireTimeout")
      assert.strictEqual(at, 2000)
      assert.strictEqual(error.phase, "queueing")
      assert.strictEqual(error.waitedMillis, 2000)
      assert.strictEqual(error.stats.leased, 1)
      assert.strictEqual((yield* pool.stats).refused.AcquireTimeout, 1)
    }))

  it.scoped("ends the wait for a connect that hangs, and the late connection goes to the next waiter", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "30 seconds" })
      const pool = yield* makePool(server, { acquireTimeout: "2 seconds", connectTimeout: "1 minute" })
      const hasty = yield* start(timed(use(pool)))
      yield* TestClock.adjust("2 seconds")
      const { at, exit } = yield* Fiber.join(hasty)
      assert.strictEqual(failsWith(exit, "AcquireTimeout").phase, "connecting")
      assert.strictEqual(at, 2000)
      const patient = yield* start(timed(use(pool, { timeout: "1 minute" })))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.join(patient), { exit: Exit.succeed(1), at: 30_000 })
      assert.strictEqual(server.calls.connect, 1)
    }))

  it.scoped("is absolute: it spans queueing, a failed validation and connecting", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        maxConnections: 1,
        acquireTimeout: "5 seconds",
        validateAfterIdle: 0,
        validateTimeout: "2 seconds",
        closeTimeout: "1 second",
        connectTimeout: "1 minute"
      })
      yield* warm(pool, 1)
      yield* TestClock.adjust("1 second")
      yield* server.always("validate", { takes: "never" })
      yield* server.always("close", { takes: "never" })
      yield* server.always("connect", { takes: "30 seconds" })
      const caller = yield* start(timed(use(pool)))
      assert.strictEqual((yield* pool.stats).reserved, 1)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* pool.stats).closing, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* pool.stats).connecting, 1)
      yield* TestClock.adjust("1 minute")
      const { at, exit } = yield* Fiber.join(caller)
      assert.strictEqual(failsWith(exit, "AcquireTimeout").waitedMillis, 5000)
      assert.strictEqual(at, 7000)
    }))

  it.scoped("is not re-armed by attempts to connect that fail", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        acquireTimeout: "4 seconds",
        connectTimeout: "1500 millis",
        failFastAfter: "1 minute"
      })
      yield* server.always("connect", { takes: "never" })
      const caller = yield* start(timed(use(pool)))
      yield* TestClock.adjust("1 minute")
      const { at, exit } = yield* Fiber.join(caller)
      const error = failsWith(exit, "AcquireTimeout")
      assert.strictEqual(at, 4000)
      assert.include(error.message, "no answer within 1.5 s")
      assert.isAbove(server.calls.connect, 1)
    }))

  it.scoped("says so when it ended a validation", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { acquireTimeout: "1 second", validateTimeout: "5 seconds" })
      yield* warm(pool, 1)
      yield* TestClock.adjust("10 seconds")
      yield* server.always("validate", { takes: "never" })
      const caller = yield* start(Effect.exit(use(pool)))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(failsWith(yield* Fiber.join(caller), "AcquireTimeout").phase, "validating")
    }))

  it.scoped("of infinity waits for ever", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, {
        maxConnections: 1,
        acquireTimeout: Duration.infinity,
        maxLifetime: Duration.infinity
      })
      const held = yield* hold(pool)
      const caller = yield* start(use(pool))
      yield* TestClock.adjust("2 days")
      assert.strictEqual((yield* pool.stats).waiting, 1)
      yield* held.end
      assert.strictEqual(yield* Fiber.join(caller), 1)
    }))
})

describe("a timeout of one's own", () => {
  it.scoped("per call, per region and of the pool expire each in its time, shorter and longer mixed", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1, acquireTimeout: "5 seconds" })
      yield* hold(pool)
      const ended: Array<readonly [string, number]> = []
      const caller = (name: string, self: ReturnType<typeof use>) =>
        start(Effect.tap(timed(self), ({ at }) => Effect.sync(() => ended.push([name, at]))))
      yield* caller("pool, 5 s", use(pool))
      yield* caller("call, 9 s", use(pool, { timeout: "9 seconds" }))
      yield* caller("call, 1 s", use(pool, { timeout: "1 second" }))
      yield* caller("region, 7 s", use(pool).pipe(AcquireOptions.within({ timeout: "7 seconds" })))
      yield* caller("region, 3 s", AcquireOptions.within(use(pool), { timeout: "3 seconds" }))
      yield* caller(
        "call in region, 2 s",
        use(pool, { timeout: "2 seconds" }).pipe(AcquireOptions.within({ timeout: "8 seconds" }))
      )
      yield* caller(
        "region in region, 4 s",
        use(pool).pipe(
          AcquireOptions.within({ whenExhausted: "wait", timeout: undefined }),
          AcquireOptions.within({ timeout: "4 seconds" })
        )
      )
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(ended, [
        ["call, 1 s", 1000],
        ["call in region, 2 s", 2000],
        ["region, 3 s", 3000],
        ["region in region, 4 s", 4000],
        ["pool, 5 s", 5000],
        ["region, 7 s", 7000],
        ["call, 9 s", 9000]
      ])
    }))

  it.scoped("reaches acquireWith and stays out of acquire", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1, acquireTimeout: "5 seconds" })
      yield* hold(pool)
      const one = yield* start(timed(Effect.scoped(pool.acquireWith({ timeout: "1 second" }))))
      const five = yield* start(timed(Effect.scoped(pool.acquire)))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual([(yield* Fiber.join(one)).at, (yield* Fiber.join(five)).at], [1000, 5000])
    }))

  it.scoped("of zero still takes what is there", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      yield* warm(pool, 1)
      assert.strictEqual(yield* use(pool, { timeout: 0 }), 1)
      yield* hold(pool)
      const caller = yield* start(Effect.exit(use(pool, { timeout: 0 })))
      yield* settle
      failsWith(yield* Fiber.join(caller), "AcquireTimeout")
    }))
})

describe("Effect.timeout", () => {
  it.scoped("around acquire and use returns in time when the pool is full, and nothing is lost", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const held = yield* hold(pool)
      const using = yield* start(timed(Effect.timeout(use(pool), "200 millis")))
      const acquiring = yield* start(timed(Effect.scoped(Effect.timeout(pool.acquire, "200 millis"))))
      yield* TestClock.adjust("1 second")
      for (const { at, exit } of [yield* Fiber.join(using), yield* Fiber.join(acquiring)]) {
        failsWith(exit, "TimeoutException")
        assert.strictEqual(at, 200)
      }
      assert.strictEqual((yield* pool.stats).waiting, 0)
      yield* held.end
      assert.strictEqual(yield* use(pool), 1)
    }))

  it.scoped("returns in time when the connect hangs; the late connection goes to the next waiter", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "30 seconds" })
      const pool = yield* makePool(server, {
        maxConnections: 1,
        connectTimeout: "1 minute",
        acquireTimeout: "1 minute"
      })
      const using = yield* start(timed(Effect.timeout(use(pool), "200 millis")))
      const acquiring = yield* start(timed(Effect.scoped(Effect.timeout(pool.acquire, "200 millis"))))
      const patient = yield* start(timed(use(pool)))
      yield* TestClock.adjust("1 minute")
      for (const { at, exit } of [yield* Fiber.join(using), yield* Fiber.join(acquiring)]) {
        failsWith(exit, "TimeoutException")
        assert.strictEqual(at, 200)
      }
      assert.deepStrictEqual(yield* Fiber.join(patient), { exit: Exit.succeed(1), at: 30_000 })
    }))

  it.scoped("returns in time when the connect hangs; the late connection becomes idle when nobody waits", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "30 seconds" })
      const pool = yield* makePool(server, { connectTimeout: "1 minute" })
      const caller = yield* start(timed(Effect.timeout(use(pool), "200 millis")))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* Fiber.join(caller)).at, 200)
      const { idle, opened } = yield* pool.stats
      assert.deepStrictEqual({ idle, opened }, { idle: 1, opened: 1 })
      assert.strictEqual(yield* use(pool), 1)
    }))

  it.scoped("gives back what it interrupts", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const caller = yield* start(timed(Effect.timeout(pool.use(() => Effect.never), "200 millis")))
      yield* TestClock.adjust("200 millis")
      assert.strictEqual((yield* Fiber.join(caller)).at, 200)
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))
})
