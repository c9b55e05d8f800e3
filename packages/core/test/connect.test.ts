import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/TestClock"
import { failsWith, hold, makePool, refusal, settle, start, timed, use, warm } from "./support.js"

describe("connectRetry", () => {
  it.scoped("says when to try again, and a connection that comes goes to those who wait", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("not yet") })
      const pool = yield* makePool(server, { connectRetry: Schedule.spaced("1 second") })
      const caller = yield* start(timed(use(pool)))
      for (const attempts of [1, 2, 3]) {
        assert.strictEqual(server.calls.connect, attempts)
        yield* TestClock.adjust("1 second")
      }
      yield* server.always("connect", {})
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(caller), { exit: Exit.succeed(1), at: 4000 })
    }))

  it.scoped("starts anew after a success", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        maxConnections: 1,
        connectRetry: Schedule.exponential("1 second"),
        failFastAfter: "1 minute"
      })
      const outage = Effect.gen(function*() {
        yield* server.always("connect", { fails: refusal("down") })
        yield* server.restart
        const before = server.calls.connect
        const caller = yield* start(use(pool))
        yield* TestClock.adjust("1 second")
        const attempts = server.calls.connect - before
        yield* server.always("connect", {})
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(caller)
        return attempts
      })
      yield* use(pool)
      assert.strictEqual(yield* outage, 2)
      assert.strictEqual(yield* outage, 2)
    }))

  it.scoped("when it ends, those who wait are told, and the next caller starts it anew", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const cause = refusal("no")
      yield* server.always("connect", { fails: cause })
      const pool = yield* makePool(server, {
        minConnections: 1,
        connectRetry: Schedule.spaced("100 millis").pipe(Schedule.intersect(Schedule.recurs(2)))
      })
      const round = Effect.gen(function*() {
        const before = server.calls.connect
        const callers = yield* Effect.forEach([1, 2], () => start(timed(use(pool))))
        yield* TestClock.adjust("10 seconds")
        const ended = yield* Fiber.joinAll(callers)
        return {
          attempts: server.calls.connect - before,
          errors: ended.map(({ exit }) => failsWith(exit, "ConnectFailed"))
        }
      })
      yield* TestClock.adjust("10 seconds")
      const first = yield* round
      assert.strictEqual(first.attempts, 3)
      assert.strictEqual(first.errors[0]!.cause, cause)
      assert.strictEqual((yield* round).attempts, 3)
    }))

  it.scoped("when it ends, the minimum alone is no reason to go on", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("no") })
      yield* makePool(server, { minConnections: 3, connectRetry: Schedule.recurs(0) })
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(server.calls.connect, 1)
    }))

  it.scoped("that dies or never answers does not end the attempts", () =>
    Effect.gen(function*() {
      for (const step of [Effect.die("a bug"), Effect.never]) {
        const server = yield* SimulatedServer.make
        yield* server.always("connect", { fails: refusal("no") })
        const pool = yield* makePool(server, {
          connectRetry: Schedule.mapEffect(Schedule.forever, () => step),
          failFastAfter: "1 minute"
        })
        const caller = yield* start(use(pool))
        yield* TestClock.adjust("20 seconds")
        assert.isAtLeast(server.calls.connect, 3)
        assert.isAtMost(server.calls.connect, 5)
        yield* server.always("connect", {})
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* Fiber.join(caller), 1)
      }
    }))
})

describe("connects that fail together", () => {
  it.scoped("are one step of the schedule, not several", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { connectRetry: Schedule.exponential("1 second") })
      yield* warm(pool, 4)
      yield* server.always("connect", { fails: refusal("down") })
      yield* server.restart
      const before = server.calls.connect
      const callers = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkScoped(Effect.exit(use(pool))))
      yield* settle
      const together = server.calls.connect
      assert.isAbove(together - before, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(server.calls.connect - together, 1)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.joinAll(callers)
    }))
})

describe("connectTimeout", () => {
  it.scoped("ends an attempt that hangs, and says so", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "never" })
      const pool = yield* makePool(server, { connectTimeout: "3 seconds", failFastAfter: 0 })
      const caller = yield* start(timed(use(pool)))
      yield* TestClock.adjust("3 seconds")
      const { at, exit } = yield* Fiber.join(caller)
      const error = failsWith(exit, "ConnectFailed")
      assert.strictEqual(at, 3000)
      assert.include(error.message, "no answer within 3 s")
    }))

  it.scoped("frees the slot of an attempt that ignores its interruption, too", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "never", stubborn: true })
      const pool = yield* makePool(server, {
        maxConnections: 1,
        connectTimeout: "2 seconds",
        closeTimeout: "1 second"
      })
      const caller = yield* start(timed(use(pool)))
      yield* TestClock.adjust("2 seconds")
      yield* server.always("connect", {})
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(caller), { exit: Exit.succeed(1), at: 3000 })
      assert.strictEqual((yield* pool.stats).abandoned, 1)
    }))

  it.scoped("does not lose what an uninterruptible connect opens too late: it is closed", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "10 seconds", stubborn: true })
      const pool = yield* makePool(server, {
        connectTimeout: "2 seconds",
        failFastAfter: 0
      })
      yield* start(Effect.exit(use(pool)))
      yield* TestClock.adjust("30 seconds")
      assert.isAbove(server.connections.length, 0)
      assert.isTrue(server.connections.every(({ closed }) => closed === 1))
    }))
})

describe("a fatal fault", () => {
  it.scoped("is told at once, and tried at the slowest pace", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("password authentication failed", "fatal") })
      const pool = yield* makePool(server)
      const error = failsWith(yield* Effect.exit(use(pool)), "ConnectFailed")
      assert.isTrue(error.fatal)
      assert.isFalse(error.isRetryable)
      const told = yield* Effect.forEach(
        Array.from({ length: 30 }),
        () => Effect.zipRight(TestClock.adjust("1 second"), Effect.exit(use(pool)))
      )
      for (const exit of told) failsWith(exit, "ConnectFailed")
      assert.isAtMost(server.calls.connect, 8)
    }))

  it.scoped("is not told to those who can have a connection that works", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 2 })
      const held = yield* hold(pool)
      yield* server.always("connect", { fails: refusal("password changed", "fatal") })
      const caller = yield* start(use(pool))
      yield* held.end
      assert.strictEqual(yield* Fiber.join(caller), 1)
    }))

  it.scoped("is what a defect of connect is taken for", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { connect: Effect.die(new Error("a bug")) })
      const error = failsWith(yield* Effect.exit(use(pool)), "ConnectFailed")
      assert.isTrue(error.fatal)
      assert.include(error.message, "a bug")
    }))

  it.scoped("is also an onLost that throws, and the connection is closed", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, {
        onLost: () => {
          throw new Error("a bug")
        }
      })
      assert.isTrue(failsWith(yield* Effect.exit(use(pool)), "ConnectFailed").fatal)
    }))
})

describe("connectFault", () => {
  it.scoped("that throws does not lose the slot", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const cause = refusal("connection refused")
      yield* server.always("connect", { fails: cause })
      const pool = yield* makePool(server, {
        maxConnections: 1,
        failFastAfter: 0,
        connectFault: () => {
          throw new Error("a bug")
        }
      })
      assert.strictEqual(failsWith(yield* Effect.exit(use(pool)), "ConnectFailed").cause, cause)
      yield* server.always("connect", {})
      yield* TestClock.adjust("1 second")
      // this one is told of the outage, and has caused the attempt that ends it
      failsWith(yield* Effect.exit(use(pool)), "ConnectFailed")
      yield* settle
      assert.strictEqual(yield* use(pool), 1)
    }))

  it.scoped("is transient when there is none", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("wrong password", "fatal") })
      const pool = yield* makePool(server, { connectFault: undefined, failFastAfter: 0 })
      assert.isFalse(failsWith(yield* Effect.exit(use(pool)), "ConnectFailed").fatal)
    }))
})
