import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { hold, makePool, settle, start, use } from "./support.js"

describe("invalidate", () => {
  it.scoped("closes the connection at once, and its place is free", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      const held = yield* hold(pool)
      const waiter = yield* start(use(pool))
      yield* held.lease.invalidate
      assert.strictEqual(yield* Fiber.join(waiter), 2)
      yield* held.end
      yield* settle
      assert.strictEqual(held.connection.closed, 1)
    }))

  it.scoped("a second time does nothing", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      const held = yield* hold(pool)
      yield* held.lease.invalidate
      yield* held.lease.invalidate
      yield* held.end
      yield* settle
      assert.strictEqual((yield* pool.stats).closed, 1)
    }))

  it.scoped("after the end of the lease does nothing to the next borrower", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      const first = yield* hold(pool)
      yield* first.end
      const second = yield* hold(pool)
      assert.strictEqual(second.connection, first.connection)
      yield* first.lease.invalidate
      yield* settle
      assert.isTrue(second.connection.open)
    }))

  it.scoped("of a connection that has died already does nothing", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      const held = yield* hold(pool)
      yield* server.kill(held.connection)
      yield* held.lease.invalidate
      yield* held.end
      yield* settle
      assert.strictEqual(held.connection.closed, 1)
    }))

  it.scoped("of connection after connection is no outage", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      for (let id = 1; id <= 5; id++) {
        const held = yield* hold(pool)
        assert.strictEqual(held.connection.id, id)
        yield* held.lease.invalidate
        yield* held.end
      }
    }))
})
