import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { failsWith, hold, makePool, refusal, settle, start, use } from "./support.js"

describe("setup", () => {
  it.scoped("prepares every new connection before anybody gets it, and no connection twice", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const prepared: Array<number> = []
      const pool = yield* makePool(server, {
        maxConnections: 2,
        setup: (connection: SimulatedServer.Connection) => Effect.sync(() => prepared.push(connection.id))
      })
      yield* use(pool)
      yield* use(pool)
      assert.deepStrictEqual(prepared, [1])
      yield* hold(pool)
      const second = yield* hold(pool)
      assert.deepStrictEqual(prepared, [1, 2])
      assert.strictEqual(second.connection.id, 2)
    }))

  it.scoped("fails as connect does, and closes the connection", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { setup: () => Effect.fail(refusal("no such role", "fatal")) })
      const error = failsWith(yield* Effect.exit(use(pool)), "ConnectFailed")
      assert.isTrue(error.fatal)
      assert.include(error.message, "no such role")
      yield* settle
      assert.strictEqual(server.connections[0]!.closed, 1)
      assert.strictEqual((yield* pool.stats).opened, 0)
    }))

  it.scoped("is part of connectTimeout", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "3 seconds" })
      const pool = yield* makePool(server, { connectTimeout: "5 seconds", setup: () => Effect.sleep("3 seconds") })
      const caller = yield* start(Effect.exit(use(pool, { timeout: "5500 millis" })))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* pool.stats).connectFailures, 1)
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(caller)))
    }))
})
