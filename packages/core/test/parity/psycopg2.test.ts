/**
 * What psycopg2.pool does, where no SQL is needed for it.
 */
import * as KeyedPool from "@dbpool/core/KeyedPool"
import * as Pool from "@dbpool/core/Pool"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { close, failsWith, hold, makePool, optionsOf, refusal, settle, start, use, warm } from "../support.js"

describe("psycopg2.pool", () => {
  it.scoped("opens minconn at the start, and fails at once when maxconn are taken", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        minConnections: 1,
        maxConnections: 3,
        initialize: "fill",
        whenExhausted: "fail"
      })
      assert.strictEqual(server.open, 1)
      for (let i = 0; i < 3; i++) yield* hold(pool)
      const error = failsWith(yield* Effect.exit(hold(pool)), "TooManyConnections")
      assert.match(error.message, /has no free connection/)
    }))

  it.scoped("lends the connection that came back last", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      const [one, two] = [yield* hold(pool), yield* hold(pool)]
      yield* two.end
      yield* one.end
      assert.strictEqual(yield* use(pool), 1)
    }))

  it.scoped("gives a key the same connection while it is held", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const keyed = yield* KeyedPool.make<string, SimulatedServer.Connection>(yield* makePool(server))
      const id = keyed.use("job", (outer) => keyed.use("job", (inner) => Effect.succeed([outer.id, inner.id])))
      assert.deepStrictEqual(yield* id, [1, 1])
    }))

  it.scoped("putconn with close closes the connection instead of keeping it", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      const held = yield* hold(pool)
      yield* held.lease.invalidate
      yield* held.end
      yield* settle
      assert.strictEqual(server.open, 0)
      assert.strictEqual(yield* use(pool), 2)
    }))

  it.scoped("on return rolls back what is open, and closes what is broken", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      yield* pool.use((connection) => connection.begin)
      yield* settle
      assert.strictEqual(server.calls.reset, 1)
      yield* pool.use((connection) => connection.leave("broken"))
      yield* settle
      assert.strictEqual(server.open, 0)
    }))

  it.scoped("closeall closes what is idle and what is in use, and then refuses everybody", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const scope = yield* Scope.make()
      const pool = yield* Scope.extend(Pool.make({ ...optionsOf(server), shutdownTimeout: 0 }), scope)
      yield* warm(pool, 2)
      const held = yield* hold(pool)
      yield* close(scope)
      assert.strictEqual(server.open, 0)
      failsWith(yield* Effect.exit(use(pool)), "PoolClosed")
      // a late return does no harm
      yield* held.end
      // and closing again nothing
      yield* Scope.close(scope, Exit.void)
    }))
})

describe("better than psycopg2.pool", () => {
  it.scoped("waits for a connection, up to a deadline, where one wants to", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      const held = yield* hold(pool)
      const waiting = yield* start(use(pool))
      yield* held.end
      assert.strictEqual(yield* Fiber.join(waiting), 1)
    }))

  it.scoped("the minimum does not bound what is kept idle", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { minConnections: 1, maxConnections: 5, idleTimeout: Duration.infinity })
      yield* warm(pool, 5)
      assert.strictEqual((yield* pool.stats).idle, 5)
    }))

  it.scoped("an idle connection that the server closed is not handed out", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      yield* use(pool)
      yield* server.kill(server.connections[0]!)
      assert.strictEqual(yield* use(pool), 2)
    }))

  it.scoped("a rollback that fails costs the connection and never its place", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      yield* server.next("reset", { fails: refusal("the rollback failed") })
      yield* pool.use((connection) => connection.begin)
      assert.strictEqual(yield* use(pool), 2)
    }))

  it.scoped("a key that was taken twice goes back twice, and the connection with the second", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      const keyed = yield* KeyedPool.make<string, SimulatedServer.Connection>(pool)
      const [one, two] = [yield* Scope.make(), yield* Scope.make()]
      yield* Scope.extend(keyed.acquire("job"), one)
      yield* Scope.extend(keyed.acquire("job"), two)
      yield* Scope.close(one, Exit.void)
      assert.strictEqual((yield* pool.stats).leased, 1)
      yield* Scope.close(two, Exit.void)
      assert.strictEqual((yield* pool.stats).leased, 0)
    }))

  it.scoped("lifetime, idle time and liveness are looked after without anybody asking", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { idleTimeout: "1 minute" })
      yield* warm(pool, 3)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(server.open, 0)
    }))
})
