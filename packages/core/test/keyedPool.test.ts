import * as KeyedPool from "@dbpool/core/KeyedPool"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type { TestOptions } from "./support.js"
import { failsWith, hold, makePool, settle, start } from "./support.js"

const make = (options?: TestOptions) =>
  Effect.gen(function*() {
    const server = yield* SimulatedServer.make
    const pool = yield* makePool(server, options)
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const keyed = yield* Scope.extend(KeyedPool.make<string | number, SimulatedServer.Connection>(pool), scope)
    return { server, pool, keyed, scope }
  })

/** holds a key's connection until `end` */
const holdKey = (keyed: KeyedPool.KeyedPool<string | number, SimulatedServer.Connection>, key: string | number) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const lease = yield* Scope.extend(keyed.acquire(key), scope)
    return { lease, id: lease.connection.id, end: Scope.close(scope, Exit.void) }
  })

describe("a key", () => {
  it.scoped("gets the same connection while it is held, and another key another one", () =>
    Effect.gen(function*() {
      const { keyed } = yield* make()
      const one = yield* holdKey(keyed, "a")
      const again = yield* holdKey(keyed, "a")
      const other = yield* holdKey(keyed, "b")
      assert.strictEqual(one.id, again.id)
      assert.notStrictEqual(one.id, other.id)
      assert.strictEqual(yield* keyed.use("a", ({ id }) => Effect.succeed(id)), one.id)
    }))

  it.scoped("gives its connection back with the last of those who hold it", () =>
    Effect.gen(function*() {
      const { keyed, pool } = yield* make()
      const one = yield* holdKey(keyed, "a")
      const again = yield* holdKey(keyed, "a")
      yield* one.end
      yield* one.end
      assert.strictEqual((yield* pool.stats).leased, 1)
      assert.strictEqual(again.lease.condition, "clean")
      yield* again.end
      assert.deepInclude(yield* pool.stats, { leased: 0, idle: 1 })
      assert.strictEqual(again.lease.condition, "broken")
    }))

  it.scoped("may be 0 or empty", () =>
    Effect.gen(function*() {
      const { keyed } = yield* make()
      const ids = yield* Effect.forEach([0, "", 0, ""], (key) => Effect.map(holdKey(keyed, key), ({ id }) => id))
      assert.deepStrictEqual(ids, [1, 2, 1, 2])
    }))

  it.scoped("is one connection for those who ask at once, and one of them leaving takes nothing from the others", () =>
    Effect.gen(function*() {
      const { keyed, pool, server } = yield* make()
      yield* server.always("connect", { takes: "1 second" })
      const use = keyed.use("a", ({ id }) => Effect.delay(Effect.succeed(id), "1 second"))
      const [first, second, third] = [yield* start(use), yield* start(use), yield* start(use)]
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual([yield* Fiber.join(second), yield* Fiber.join(third)], [1, 1])
      assert.deepInclude(yield* pool.stats, { acquired: 1, leased: 0 })
    }))

  it.scoped("waits no longer when all who wanted it have left", () =>
    Effect.gen(function*() {
      const { keyed, pool } = yield* make({ maxConnections: 1 })
      const held = yield* hold(pool)
      const waiting = yield* start(keyed.use("a", () => Effect.void))
      assert.strictEqual((yield* pool.stats).waiting, 1)
      yield* Fiber.interrupt(waiting)
      assert.strictEqual((yield* pool.stats).waiting, 0)
      yield* held.end
      assert.deepInclude(yield* pool.stats, { leased: 0, idle: 1 })
    }))

  it.scoped("fails as the pool does, and the next one asks anew", () =>
    Effect.gen(function*() {
      const { keyed, pool } = yield* make({ maxConnections: 1, whenExhausted: "fail" })
      const held = yield* hold(pool)
      failsWith(yield* Effect.exit(keyed.use("a", () => Effect.void)), "TooManyConnections")
      yield* held.end
      assert.strictEqual(yield* keyed.use("a", ({ id }) => Effect.succeed(id)), 1)
    }))

  it.scoped("whose holder says that the connection is no good gets another one afterwards", () =>
    Effect.gen(function*() {
      const { keyed, server } = yield* make()
      const held = yield* holdKey(keyed, "a")
      yield* held.lease.invalidate
      assert.strictEqual(held.lease.condition, "broken")
      yield* held.end
      assert.strictEqual((yield* holdKey(keyed, "a")).id, 2)
      assert.isFalse(server.connections[0]!.open)
    }))
})

describe("the end of keyed leases", () => {
  it.scoped("closes what is still held, since it may be in use, and refuses who comes then", () =>
    Effect.gen(function*() {
      const { keyed, pool, scope } = yield* make()
      const held = yield* holdKey(keyed, "a")
      yield* holdKey(keyed, "b")
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.deepInclude(yield* pool.stats, { leased: 0, open: 0 })
      yield* held.end
      failsWith(yield* Effect.exit(keyed.use("a", () => Effect.void)), "PoolClosed")
    }))
})
