import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { failsWith, makePool, refusal, settle, start, timed, use, warm } from "./support.js"

describe("failFastAfter", () => {
  it.scoped("is how long an outage may make callers wait", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const cause = refusal("connection refused")
      yield* server.always("connect", { fails: cause })
      const pool = yield* makePool(server, { failFastAfter: "2 seconds" })
      const first = yield* start(timed(use(pool)))
      yield* TestClock.adjust("10 seconds")
      const { at, exit } = yield* Fiber.join(first)
      const error = failsWith(exit, "ConnectFailed")
      assert.strictEqual(at, 2000)
      assert.strictEqual(error.cause, cause)
      assert.isAbove(error.attempts, 1)
      assert.isTrue(error.isRetryable)
    }))

  it.scoped("of zero tells callers with the first failure", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("connection refused") })
      const pool = yield* makePool(server, { failFastAfter: 0 })
      failsWith(yield* Effect.exit(use(pool)), "ConnectFailed")
      assert.strictEqual(server.calls.connect, 1)
    }))

  it.scoped("does not fail callers while connections come back in order", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 2, failFastAfter: "2 seconds" })
      yield* warm(pool, 1)
      yield* server.always("connect", { fails: refusal("no more logins") })
      const busy = yield* start(Effect.repeatN(pool.use(() => Effect.sleep("1 second")), 20))
      const callers = yield* Effect.forEach([1, 2, 3, 4, 5, 6], () => start(Effect.exit(use(pool))))
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(busy)
      for (const exit of yield* Fiber.joinAll(callers)) assert.isTrue(Exit.isSuccess(exit))
    }))

  it.scoped("does not fail callers while an idle connection only has to be validated", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { minConnections: 2, failFastAfter: "2 seconds" })
      yield* settle
      yield* server.always("validate", { takes: "1 second" })
      yield* server.always("connect", { fails: refusal("no more logins") })
      yield* server.kill(server.connections[0]!)
      yield* TestClock.adjust("1 minute")
      const caller = yield* start(use(pool))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(caller), 2)
    }))

  it.scoped("does not tell callers old news: a cause that nobody has checked since is checked first", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("connection refused") })
      const pool = yield* makePool(server)
      yield* start(Effect.exit(use(pool)))
      yield* TestClock.adjust("10 seconds")
      yield* server.always("connect", {})
      yield* server.always("connect", { takes: "100 millis" })
      yield* TestClock.adjust("8 hours")
      const callers = yield* Effect.forEach(Array.from({ length: 10 }), () => start(use(pool)))
      yield* TestClock.adjust("1 second")
      assert.lengthOf(yield* Fiber.joinAll(callers), 10)
    }))

  it.scoped("tells those who come later at once", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { failFastAfter: "2 seconds" })
      yield* server.always("connect", { fails: refusal("down") })
      const first = yield* start(timed(use(pool)))
      yield* TestClock.adjust("3 seconds")
      failsWith((yield* Fiber.join(first)).exit, "ConnectFailed")
      yield* settle
      const second = yield* start(timed(use(pool)))
      yield* settle
      assert.strictEqual((yield* Fiber.join(second)).at, 3000)
    }))
})
