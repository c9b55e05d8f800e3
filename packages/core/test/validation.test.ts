import * as Pool from "@dbpool/core/Pool"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/TestClock"
import { failsWith, hold, makePool, optionsOf, refusal, settle, start, timed, use, warm } from "./support.js"

describe("validate", () => {
  it.scoped("is asked after validateAfterIdle, and not before", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { validateAfterIdle: "10 seconds" })
      yield* use(pool)
      yield* TestClock.adjust("10 seconds")
      yield* use(pool)
      assert.strictEqual(server.calls.validate, 0)
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual(yield* use(pool), 1)
      assert.strictEqual(server.calls.validate, 1)
    }))

  it.scoped("with validateAfterIdle of zero is asked each time, once", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { validateAfterIdle: 0 })
      for (let i = 0; i < 5; i++) {
        assert.strictEqual(yield* use(pool), 1)
        yield* TestClock.adjust("1 millis")
      }
      assert.strictEqual(server.calls.validate, 4)
    }))

  it.scoped("is never asked when there is none", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { validate: undefined })
      yield* use(pool)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* use(pool), 1)
      assert.strictEqual(server.calls.validate, 0)
    }))

  it.scoped("drops stale connections one after another until one is good", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      yield* warm(pool, 4)
      const last = server.connections[0]!
      yield* TestClock.adjust("10 seconds")
      for (const connection of server.connections) {
        if (connection !== last) yield* server.kill(connection, { unheard: true })
      }
      assert.strictEqual(yield* use(pool), last.id)
      yield* settle
      const { open, retired: { stale } } = yield* pool.stats
      assert.deepStrictEqual({ stale, open }, { stale: 3, open: 1 })
    }))

  it.scoped("takes false, a failure and a defect for the same: not valid", () =>
    Effect.gen(function*() {
      const answers = [Effect.succeed(false), Effect.fail("no"), Effect.die("a bug")]
      for (const answer of answers) {
        const pool = yield* makePool(yield* SimulatedServer.make, { validate: () => answer })
        yield* use(pool)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* use(pool), 2)
      }
    }))

  it.scoped("leaves the waiter its place: a newcomer does not overtake it", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      yield* warm(pool, 1)
      yield* TestClock.adjust("10 seconds")
      yield* server.kill(server.connections[0]!, { unheard: true })
      yield* server.always("validate", { takes: "1 second" })
      yield* server.always("connect", { takes: "1 second" })
      const order: Array<string> = []
      const first = yield* start(pool.use(() => Effect.sync(() => order.push("first"))))
      yield* TestClock.adjust("500 millis")
      const newcomer = yield* start(pool.use(() => Effect.sync(() => order.push("newcomer"))))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.joinAll([first, newcomer])
      assert.deepStrictEqual(order, ["first", "newcomer"])
    }))

  it.scoped("does not run for more connections than there are callers", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      yield* warm(pool, 5)
      yield* TestClock.adjust("10 seconds")
      yield* server.always("validate", { takes: "1 second" })
      const callers = yield* Effect.forEach([1, 2], () => start(use(pool)))
      const { idle, reserved } = yield* pool.stats
      assert.deepStrictEqual({ idle, reserved }, { idle: 3, reserved: 2 })
      yield* TestClock.adjust("1 second")
      yield* Fiber.joinAll(callers)
      assert.strictEqual(server.calls.connect, 5)
    }))

  it.scoped("a connection whose waiter has gone meanwhile becomes idle, and does not look used", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { idleTimeout: "1 minute" })
      yield* warm(pool, 1)
      yield* TestClock.adjust("50 seconds")
      yield* server.always("validate", { takes: "1 second" })
      const caller = yield* start(use(pool))
      yield* Fiber.interrupt(caller)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* pool.stats).idle, 1)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual((yield* pool.stats).retired.idleTimeout, 1)
    }))
})

describe("validateAfterIdle of zero", () => {
  // a clock that never stands still: what was just validated is not validated again
  it.live("validates once for each lease", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* Pool.make({ ...optionsOf(server), maxConnections: 1, validateAfterIdle: 0 })
      yield* use(pool)
      for (const times of [1, 2, 3]) {
        yield* Effect.yieldNow()
        yield* use(pool, { timeout: "10 seconds" })
        assert.strictEqual(server.calls.validate, times)
      }
    }).pipe(Effect.scoped))
})

describe("validateTimeout", () => {
  it.scoped("bounds a validation, and ten deaf connections cost one of it", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { validateTimeout: "2 seconds" })
      yield* warm(pool, 10)
      yield* TestClock.adjust("10 seconds")
      yield* server.always("validate", { takes: "never" })
      const from = yield* timed(Effect.void)
      const caller = yield* start(timed(use(pool)))
      yield* TestClock.adjust("10 seconds")
      const { at, exit } = yield* Fiber.join(caller)
      assert.deepStrictEqual(exit, Exit.succeed(11))
      assert.strictEqual(at - from.at, 2000)
      assert.strictEqual(server.calls.validate, 1)
      assert.strictEqual((yield* pool.stats).retired.stale, 10)
    }))

  it.scoped("spares the connections that were used meanwhile", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { validateTimeout: "2 seconds" })
      const a = yield* hold(pool)
      yield* warm(pool, 2)
      yield* TestClock.adjust("10 seconds")
      yield* server.always("validate", { takes: "never" })
      const caller = yield* start(use(pool))
      yield* Fiber.interrupt(caller)
      yield* TestClock.adjust("1 second")
      yield* a.end
      yield* TestClock.adjust("1 second")
      const { idle, retired: { stale } } = yield* pool.stats
      assert.deepStrictEqual({ idle, stale }, { idle: 1, stale: 2 })
    }))

  it.scoped("also ends a validation that ignores its interruption", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { validateTimeout: "2 seconds", closeTimeout: "1 second" })
      yield* warm(pool, 1)
      yield* TestClock.adjust("10 seconds")
      yield* server.always("validate", { takes: "never", stubborn: true })
      const caller = yield* start(use(pool))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(caller), 2)
    }))

  it.scoped("an outage does not fail a caller whose candidate is still being validated", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        minConnections: 2,
        failFastAfter: "1 second",
        connectRetry: Schedule.spaced("500 millis")
      })
      yield* settle
      yield* server.always("connect", { fails: refusal("no more logins") })
      yield* server.kill(server.connections[0]!)
      yield* TestClock.adjust("10 seconds")
      yield* server.always("validate", { takes: "1500 millis" })
      const callers = yield* Effect.forEach([1, 2], () => start(timed(use(pool))))
      yield* TestClock.adjust("10 seconds")
      const [first, second] = yield* Fiber.joinAll(callers)
      assert.deepStrictEqual(first, { exit: Exit.succeed(2), at: 11_500 })
      failsWith(second!.exit, "ConnectFailed")
    }))
})

describe("validateOn", () => {
  it.scoped("return: what comes back is validated before it is lent again, and not when it is lent", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1, validateOn: ["return"] })
      yield* server.always("validate", { takes: "1 second" })
      yield* use(pool)
      const caller = yield* start(timed(use(pool)))
      assert.strictEqual((yield* pool.stats).resetting, 1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(caller), { exit: Exit.succeed(1), at: 1000 })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* use(pool), 1)
      assert.strictEqual(server.calls.validate, 2)
      yield* TestClock.adjust("1 second")
    }))

  for (const [what, sick] of [["stale", "0 millis"], ["never answers", "never"]] as const) {
    it.scoped(`return: one that ${what} is closed, and the next caller gets another`, () =>
      Effect.gen(function*() {
        const server = yield* SimulatedServer.make
        const pool = yield* makePool(server, {
          maxConnections: 1,
          validateOn: ["return"],
          validateTimeout: "2 seconds"
        })
        const held = yield* hold(pool)
        yield* server.kill(held.connection, { unheard: true })
        yield* server.always("validate", { takes: sick })
        yield* held.end
        const caller = yield* start(use(pool))
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* Fiber.join(caller), 2)
        assert.strictEqual((yield* pool.stats).retired.stale, 1)
      }))
  }

  it.scoped("both: validates each time", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { validateOn: ["acquire", "return"] })
      yield* use(pool)
      yield* TestClock.adjust("10 seconds")
      yield* use(pool)
      yield* settle
      assert.strictEqual(server.calls.validate, 3)
    }))

  it.scoped("neither: never, though it still finds out whether a server is back", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { validateOn: [], failFastAfter: "1 minute" })
      yield* use(pool)
      yield* TestClock.adjust("1 minute")
      yield* use(pool)
      assert.strictEqual(server.calls.validate, 0)
      yield* server.always("connect", { fails: refusal("no route") })
      yield* pool.evictIdle
      const caller = yield* start(use(pool))
      yield* server.always("connect", {})
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(caller)
      assert.strictEqual(server.calls.validate, 1)
    }))
})
