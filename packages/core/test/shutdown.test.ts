import * as Pool from "@dbpool/core/Pool"
import * as PoolBooks from "@dbpool/testing/PoolBooks"
import * as PoolRules from "@dbpool/testing/PoolRules"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Supervisor from "effect/Supervisor"
import * as TestClock from "effect/TestClock"
import type { TestOptions } from "./support.js"
import { failsWith, hold, optionsOf, refusal, settle, start, timed, use, warm } from "./support.js"

/** a pool that the test closes itself; `alive` are the fibers of the pool that still run */
const open = (server: SimulatedServer.SimulatedServer, options?: TestOptions) =>
  Effect.gen(function*() {
    const supervisor = yield* Supervisor.track
    const scope = yield* Scope.make()
    const books = yield* PoolBooks.record({ ...optionsOf(server), ...options })
    const pool = yield* Scope.extend(Pool.make(books.options), scope).pipe(
      Effect.supervised(supervisor)
    )
    const alive = Effect.map(supervisor.value, (fibers) => fibers.length)
    return { pool, alive, balanced: PoolRules.balanced(pool, books), close: timed(Scope.close(scope, Exit.void)) }
  })

describe("shutdown", () => {
  it.scoped("closes what is idle, and leaves neither a connection nor a fiber nor a timer", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const { alive, balanced, close, pool } = yield* open(server)
      yield* warm(pool, 4)
      assert.isAbove(yield* alive, 0)
      yield* close
      yield* settle
      yield* balanced
      assert.strictEqual(yield* alive, 0)
    }))

  it.scoped("tells those who wait, and those who come, that the pool is closed", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const { balanced, close, pool } = yield* open(server, { maxConnections: 1 })
      const held = yield* hold(pool)
      const waiters = yield* Effect.forEach([1, 2], () => start(Effect.exit(use(pool))))
      const closing = yield* start(close)
      for (const exit of yield* Fiber.joinAll(waiters)) failsWith(exit, "PoolClosed")
      failsWith(yield* Effect.exit(use(pool)), "PoolClosed")
      failsWith(yield* Effect.exit(Effect.scoped(pool.tryAcquire)), "PoolClosed")
      yield* held.end
      yield* Fiber.join(closing)
      failsWith(yield* Effect.exit(use(pool)), "PoolClosed")
      yield* balanced
    }))

  it.scoped("waits for leases, and no longer than for the last of them", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const { alive, balanced, close, pool } = yield* open(server)
      const first = yield* start(pool.use(() => Effect.sleep("2 seconds")))
      const second = yield* start(pool.use(() => Effect.as(Effect.sleep("5 seconds"), "done")))
      const closing = yield* start(close)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(server.open, 1)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(closing)).at, 5000)
      yield* Fiber.join(first)
      assert.strictEqual(yield* Fiber.join(second), "done")
      yield* balanced
      assert.strictEqual(yield* alive, 0)
    }))

  it.scoped("closes leases after shutdownTimeout; their late return does no harm", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const { alive, balanced, close, pool } = yield* open(server, { shutdownTimeout: "3 seconds" })
      const held = yield* hold(pool)
      const lost = yield* hold(pool)
      yield* server.kill(lost.connection)
      const closing = yield* start(close)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(closing)).at, 3000)
      yield* balanced
      yield* held.end
      yield* lost.end
      yield* settle
      yield* balanced
      assert.strictEqual(yield* alive, 0)
    }))

  it.scoped("with a shutdownTimeout of zero waits for nobody", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const { balanced, close, pool } = yield* open(server, { shutdownTimeout: 0 })
      yield* hold(pool)
      assert.strictEqual((yield* close).at, 0)
      yield* balanced
    }))

  it.scoped("ends although the scope is closed by a fiber that was interrupted", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const program = Effect.scoped(Effect.gen(function*() {
        const pool = yield* Pool.make(optionsOf(server))
        yield* use(pool)
        yield* Effect.never
      }))
      const fiber = yield* start(program)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(server.connections[0]!.closed, 1)
    }))
})

describe("shutdown is not held up", () => {
  /** closes the pool and says when it had, in milliseconds */
  const took = (
    server: SimulatedServer.SimulatedServer,
    options: TestOptions,
    prepare: (pool: Pool.Pool<any>) => Effect.Effect<unknown, unknown, Scope.Scope>
  ) =>
    Effect.gen(function*() {
      const { alive, close, pool } = yield* open(server, {
        closeTimeout: "1 second",
        shutdownTimeout: "10 seconds",
        ...options
      })
      yield* prepare(pool)
      const { at } = yield* timed(Effect.void)
      const closing = yield* start(close)
      yield* TestClock.adjust("1 minute")
      const done = yield* Fiber.poll(closing)
      if (Option.isNone(done)) return assert.fail("the shutdown hangs")
      yield* settle
      return { millis: (yield* Fiber.join(closing)).at - at, alive: yield* alive }
    })

  it.scoped("by a connect that never ends", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "never" })
      const outcome = yield* took(server, { minConnections: 3 }, () => settle)
      assert.deepStrictEqual(outcome, { millis: 0, alive: 0 })
    }))

  it.scoped("by a connect that cannot be interrupted", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "never", stubborn: true })
      const { millis } = yield* took(server, { minConnections: 3 }, () => settle)
      assert.strictEqual(millis, 1000)
    }))

  it.scoped("by a validation that never ends", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const outcome = yield* took(server, {}, (pool) =>
        Effect.gen(function*() {
          yield* warm(pool, 2)
          yield* TestClock.adjust("10 seconds")
          yield* server.always("validate", { takes: "never" })
          yield* start(Effect.exit(use(pool)))
        }))
      assert.deepStrictEqual(outcome, { millis: 0, alive: 0 })
      assert.isTrue(server.connections.every(({ closed }) => closed === 1))
    }))

  it.scoped("by a reset or a cancel that never ends", () =>
    Effect.gen(function*() {
      for (const condition of ["busy", "dirty"] as const) {
        const server = yield* SimulatedServer.make
        yield* server.always("reset", { takes: "never" })
        yield* server.always("cancel", { takes: "never" })
        const outcome = yield* took(server, { resetTimeout: "1 hour" }, (pool) =>
          pool.use((connection) =>
            connection.leave(condition)
          ))
        assert.deepStrictEqual(outcome, { millis: 10_000, alive: 0 })
        assert.strictEqual(server.connections[0]!.closed, 1)
      }
    }))

  it.scoped("by a close that never ends", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const { millis } = yield* took(server, {}, (pool) =>
        Effect.tap(warm(pool, 3), () =>
          server.always("close", { takes: "never", stubborn: true })))
      assert.strictEqual(millis, 1000)
      assert.isTrue(server.connections.every(({ destroyed }) =>
        destroyed === 1
      ))
    }))

  it.scoped("by an outage", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("down") })
      const outcome = yield* took(server, { minConnections: 2 }, (pool) =>
        Effect.zipRight(start(Effect.exit(use(pool))), TestClock.adjust("3 seconds")))
      assert.deepStrictEqual(outcome, { millis: 0, alive: 0 })
    }))
})
