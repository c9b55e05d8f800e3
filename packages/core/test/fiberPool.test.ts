import * as FiberPool from "@dbpool/core/FiberPool"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type { TestOptions } from "./support.js"
import { failsWith, makePool, settle, start } from "./support.js"

const make = (options?: TestOptions) =>
  Effect.gen(function*() {
    const server = yield* SimulatedServer.make
    const pool = yield* makePool(server, options)
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const fibers = yield* Scope.extend(FiberPool.make(pool), scope)
    return { server, pool, fibers, scope, mine: fibers.use(({ id }) => Effect.succeed(id)) }
  })

describe("a fiber", () => {
  it.scoped("keeps its connection over many uses", () =>
    Effect.gen(function*() {
      const { mine, pool } = yield* make()
      assert.deepStrictEqual([yield* mine, yield* mine, yield* mine], [1, 1, 1])
      assert.deepInclude(yield* pool.stats, { acquired: 1, leased: 1, idle: 0 })
    }))

  it.scoped("has a connection of its own, which is given back when the fiber ends, however it ends", () =>
    Effect.gen(function*() {
      const { mine, pool } = yield* make()
      yield* mine
      const ends = [Effect.void, Effect.fail("no"), Effect.die("bug"), Effect.interrupt]
      const ids = yield* Effect.forEach(ends, (end) =>
        Effect.gen(function*() {
          const fiber = yield* start(Effect.zipLeft(mine, end))
          yield* Fiber.await(fiber)
          yield* settle
          assert.deepInclude(yield* pool.stats, { leased: 1, idle: 1 })
          return yield* pool.use(({ id }) => Effect.succeed(id))
        }))
      assert.deepStrictEqual(ids, [2, 2, 2, 2])
    }))

  it.scoped("uses the same connection in a use within a use", () =>
    Effect.gen(function*() {
      const { fibers, mine, pool } = yield* make({ maxConnections: 1 })
      const [outer, inner] = yield* fibers.use(({ id }) => Effect.map(mine, (other) => [id, other]))
      assert.strictEqual(outer, inner)
      assert.strictEqual((yield* pool.stats).leased, 1)
    }))

  it.scoped("gives up its connection when a use leaves something open, for the pool to clean it", () =>
    Effect.gen(function*() {
      const { fibers, mine, pool, server } = yield* make()
      const nested = fibers.use((connection) => Effect.zipRight(connection.begin, fibers.use(() => Effect.void)))
      yield* nested
      yield* settle
      assert.strictEqual(server.calls.reset, 1)
      assert.deepInclude(yield* pool.stats, { leased: 0, idle: 1 })
      assert.strictEqual(yield* mine, 1)
      assert.strictEqual(server.connections[0]!.condition, "clean")
    }))

  it.scoped("gets another connection when its own has died", () =>
    Effect.gen(function*() {
      const { fibers, mine, server } = yield* make()
      // a server that drops connections before they were ever given back is taken to be down
      yield* Effect.zipRight(mine, fibers.release)
      assert.strictEqual(yield* mine, 1)
      yield* server.kill(server.connections[0]!)
      assert.strictEqual(yield* mine, 2)
    }))

  it.scoped("gives its connection back by release, and takes one anew", () =>
    Effect.gen(function*() {
      const { fibers, mine, pool } = yield* make()
      yield* fibers.release
      yield* mine
      yield* fibers.release
      yield* fibers.release
      assert.deepInclude(yield* pool.stats, { leased: 0, idle: 1 })
      yield* mine
      assert.deepInclude(yield* pool.stats, { leased: 1, idle: 0, acquired: 2 })
    }))

  it.scoped("waits for the pool, up to its deadline, when too many fibers have one, and is served when one ends", () =>
    Effect.gen(function*() {
      const { mine, pool } = yield* make({ maxConnections: 1, acquireTimeout: "1 second" })
      const done = yield* Deferred.make<void>()
      const worker = yield* start(Effect.zipLeft(mine, Deferred.await(done)))
      const late = yield* start(Effect.exit(mine))
      yield* TestClock.adjust("1 second")
      failsWith(yield* Fiber.join(late), "AcquireTimeout")
      const waiting = yield* start(mine)
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(worker)
      assert.strictEqual(yield* Fiber.join(waiting), 1)
      yield* settle
      assert.strictEqual((yield* pool.stats).leased, 0)
    }))

  it.scoped("interrupted while it waits leaves nothing behind", () =>
    Effect.gen(function*() {
      const { mine, pool, server } = yield* make({ maxConnections: 1 })
      yield* server.always("connect", { takes: "1 second" })
      const waiting = yield* start(mine)
      yield* Fiber.interrupt(waiting)
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* pool.stats, { leased: 0, idle: 1, waiting: 0 })
    }))
})

describe("what forks", () => {
  it.scoped("runs in other fibers, each on its own connection, given back at their end", () =>
    Effect.gen(function*() {
      const { fibers, mine, pool } = yield* make()
      const slow = ({ id }: SimulatedServer.Connection) => Effect.zipRight(settle, Effect.succeed(id))
      const own = yield* mine
      const child = yield* Effect.timeout(mine, "1 second")
      const both = yield* Effect.all([fibers.use(slow), fibers.use(slow)], { concurrency: 2 })
      assert.notInclude([child, ...both], own)
      assert.notStrictEqual(both[0], both[1])
      yield* settle
      assert.strictEqual((yield* pool.stats).leased, 1)
    }))

  it.scoped("inside a use has the connection of the use, if it is handed down", () =>
    Effect.gen(function*() {
      const { fibers, mine } = yield* make()
      const own = yield* mine
      const seen = yield* fibers.use((connection) => Effect.timeout(connection.query, "1 second"))
      assert.strictEqual(seen, own)
    }))
})

describe("the end of a fiber pool", () => {
  it.scoped("closes what is in use, so that nobody else gets it", () =>
    Effect.gen(function*() {
      const { fibers, pool, scope } = yield* make()
      yield* start(fibers.use(() => Effect.never))
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.deepInclude(yield* pool.stats, { leased: 0, open: 0 })
    }))

  it.scoped("gives everything back, and refuses who comes then", () =>
    Effect.gen(function*() {
      const { mine, pool, scope } = yield* make()
      yield* mine
      yield* start(Effect.zipRight(mine, Effect.never))
      assert.strictEqual((yield* pool.stats).leased, 2)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* pool.stats).leased, 0)
      assert.strictEqual(failsWith(yield* Effect.exit(mine), "PoolClosed").pool, "test")
    }))
})
