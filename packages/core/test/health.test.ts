import * as PoolHealth from "@dbpool/core/PoolHealth"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { close, hold, makePool, refusal, settle, start, use, warm } from "./support.js"

const refused = refusal("connection refused")

describe("health", () => {
  it.scoped("is ready before the first connection, while there are some, and in a burst", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { name: "orders", maxConnections: 1 })
      assert.deepStrictEqual(yield* pool.health, { _tag: "Ready", pool: "orders" })
      yield* hold(pool)
      yield* start(use(pool, { timeout: "10 seconds" }))
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(PoolHealth.describe(yield* pool.health), "Pool \"orders\" is ready.")
    }))

  it.scoped("is degraded when somebody has waited for half of the time it has", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const held = yield* hold(pool)
      yield* start(use(pool, { timeout: "10 seconds" }))
      yield* TestClock.adjust("5 seconds")
      const health = yield* pool.health
      assert.deepInclude(health, { _tag: "Degraded", reason: "exhausted", forMillis: 5000 })
      assert.strictEqual(
        PoolHealth.describe(health),
        "Pool \"test\" is exhausted: somebody has been waiting for 5 s."
      )
      yield* held.end
      yield* settle
      assert.strictEqual((yield* pool.health)._tag, "Ready")
    }))

  it.scoped("is down in an outage, with its cause and the next attempt, until a connect works", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refused })
      const pool = yield* makePool(server)
      yield* start(Effect.exit(use(pool)))
      yield* TestClock.adjust("20 seconds")
      yield* start(Effect.exit(use(pool)))
      const health = yield* pool.health
      assert(health._tag === "Down" && health.reason === "outage")
      assert.strictEqual(health.cause, refused)
      assert.isAtLeast(health.forMillis!, 20_000)
      assert.isBelow(health.retryInMillis!, 6250)
      assert.match(
        PoolHealth.describe(health),
        /^Pool "test" has no connection and could not connect for 20 s: connection refused \(next attempt in [\d.]+ m?s\)\.$/
      )
      yield* server.always("connect", {})
      yield* TestClock.adjust("7 seconds")
      yield* use(pool)
      assert.strictEqual((yield* pool.health)._tag, "Ready")
    }))

  it.scoped("is only degraded in an outage as long as something is open", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 2 })
      yield* hold(pool)
      yield* server.always("connect", { fails: refused })
      yield* start(Effect.exit(use(pool)))
      const health = yield* pool.health
      assert.deepInclude(health, { _tag: "Degraded", reason: "outage", cause: refused })
      assert.match(PoolHealth.describe(health), /^Pool "test" has only what is open and could not connect/)
    }))

  it.scoped("is degraded while the server takes no more connections", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 5 })
      yield* warm(pool, 2)
      yield* server.limit(2)
      yield* Effect.forEach([1, 2], () => hold(pool))
      yield* start(use(pool))
      yield* TestClock.adjust("1 second")
      const health = yield* pool.health
      assert.deepInclude(health, { _tag: "Degraded", reason: "limit" })
      assert.match(PoolHealth.describe(health), /^Pool "test" gets no more connections/)
    }))

  it.scoped("is down while the pool is suspended, and once it closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const pool = yield* Scope.extend(makePool(yield* SimulatedServer.make), scope)
      yield* pool.suspend
      assert.deepInclude(yield* pool.health, { _tag: "Down", reason: "suspended" })
      assert.strictEqual(PoolHealth.describe(yield* pool.health), "Pool \"test\" is suspended.")
      yield* pool.resume
      assert.strictEqual((yield* pool.health)._tag, "Ready")
      yield* close(scope)
      assert.deepInclude(yield* pool.health, { _tag: "Down", reason: "closing" })
      assert.strictEqual(PoolHealth.describe(yield* pool.health), "Pool \"test\" is closed or closing.")
    }))
})
