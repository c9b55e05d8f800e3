import * as Pool from "@dbpool/core/Pool"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { failsWith, optionsOf, refusal, settle, start, timed } from "./support.js"

describe("initialize", () => {
  const make = (server: SimulatedServer.SimulatedServer, options?: Partial<Pool.Options<never>>) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
      const making = Scope.extend(Pool.make({ ...optionsOf(server), ...options as object }), scope)
      return yield* start(timed(making))
    })

  it.scoped("\"lazy\" waits for nothing", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "never" })
      const made = yield* make(server, { initialize: "lazy" })
      assert.isTrue(Exit.isSuccess((yield* Fiber.join(made)).exit))
      assert.strictEqual(server.calls.connect, 0)
    }))

  it.scoped("\"check\", the default, waits for one connection", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "1 second" })
      const made = yield* make(server, { initialize: undefined, minConnections: 3 })
      yield* TestClock.adjust("1 minute")
      const { at, exit } = yield* Fiber.join(made)
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(at, 1000)
    }))

  it.scoped("\"fill\" waits for the minimum", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "1 second" })
      const made = yield* make(server, { initialize: "fill", minConnections: 3 })
      yield* TestClock.adjust("1 minute")
      const { exit } = yield* Fiber.join(made)
      assert.isTrue(Exit.isSuccess(exit))
      if (Exit.isSuccess(exit)) assert.strictEqual((yield* exit.value.stats).idle, 3)
    }))

  it.scoped("goes on trying until initializeTimeout, even where callers would be told sooner", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("starting up") })
      const late = yield* make(server, { initialize: "check", initializeTimeout: "8 seconds", failFastAfter: 0 })
      yield* TestClock.adjust("3 seconds")
      yield* server.always("connect", {})
      yield* TestClock.adjust("5 seconds")
      const { exit } = yield* Fiber.join(late)
      assert.isTrue(Exit.isSuccess(exit))
      if (Exit.isFailure(exit)) return
      yield* server.always("connect", { fails: refusal("down again") })
      yield* server.restart
      yield* settle
      failsWith(yield* Effect.exit(exit.value.use(() => Effect.void)), "ConnectFailed")
    }))

  it.scoped("then fails with the cause, and nothing is left", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const cause = refusal("down")
      yield* server.always("connect", { fails: cause })
      const made = yield* make(server, { initialize: "check", initializeTimeout: "3 seconds", minConnections: 2 })
      yield* TestClock.adjust("3 seconds")
      const { at, exit } = yield* Fiber.join(made)
      const error = failsWith(exit, "ConnectFailed")
      assert.strictEqual(at, 3000)
      assert.strictEqual(error.cause, cause)
      const attempts = server.calls.connect
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(server.calls.connect, attempts)
    }))

  it.scoped("closes what it opened when it cannot have all of it", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.limit(2)
      const made = yield* make(server, { initialize: "fill", initializeTimeout: "3 seconds", minConnections: 3 })
      yield* TestClock.adjust("3 seconds")
      const error = failsWith((yield* Fiber.join(made)).exit, "TooManyConnections")
      assert.strictEqual(error.reason, "ServerRefused")
      assert.deepStrictEqual(server.connections.map(({ closed }) => closed), [1, 1])
    }))

  it.scoped("says so when the server does not answer at all", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "never" })
      const made = yield* make(server, {
        initialize: "check",
        initializeTimeout: "3 seconds",
        connectTimeout: "10 seconds"
      })
      yield* TestClock.adjust("10 seconds")
      const { at, exit } = yield* Fiber.join(made)
      assert.strictEqual(at, 3000)
      assert.include(failsWith(exit, "ConnectFailed").message, "no answer within 3 s")
    }))

  it.scoped("fails at once with a fatal fault", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("unknown database", "fatal") })
      const made = yield* make(server, { initialize: "check" })
      const { at, exit } = yield* Fiber.join(made)
      assert.isTrue(failsWith(exit, "ConnectFailed").fatal)
      assert.strictEqual(at, 0)
    }))

  it.scoped("that is interrupted leaves nothing", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.limit(1)
      const made = yield* make(server, { initialize: "fill", minConnections: 2 })
      yield* settle
      yield* Fiber.interrupt(made)
      assert.deepStrictEqual(server.connections.map(({ closed }) => closed), [1])
    }))
})
