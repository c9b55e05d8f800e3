/**
 * What DBUtils' PersistentDB and PersistentPg do, with a fiber for a thread.
 */
import * as FiberPool from "@dbpool/core/FiberPool"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import type { TestOptions } from "../support.js"
import { makePool, settle, start } from "../support.js"

const make = (options?: TestOptions) =>
  Effect.gen(function*() {
    const server = yield* SimulatedServer.make
    const pool = yield* makePool(server, options)
    const fibers = yield* FiberPool.make(pool)
    return { server, pool, fibers, mine: fibers.use(({ id }) => Effect.succeed(id)) }
  })

describe("PersistentDB", () => {
  it.scoped("gives a thread the same connection every time", () =>
    Effect.gen(function*() {
      const { mine } = yield* make()
      assert.deepStrictEqual([yield* mine, yield* mine], [1, 1])
    }))

  it.scoped("ignores close between two uses, unless it is asked for", () =>
    Effect.gen(function*() {
      const { fibers, mine, pool } = yield* make()
      yield* mine
      assert.strictEqual((yield* pool.stats).leased, 1)
      yield* fibers.release
      assert.strictEqual((yield* pool.stats).leased, 0)
      // and a closed one is opened again
      assert.strictEqual(yield* mine, 1)
    }))

  it.scoped("rolls back at close what was begun and not ended", () =>
    Effect.gen(function*() {
      const { fibers, server } = yield* make()
      yield* fibers.use((connection) => connection.begin)
      yield* settle
      assert.strictEqual(server.connections[0]!.condition, "clean")
      assert.strictEqual(server.calls.reset, 1)
    }))

  it.scoped("gives each thread its own connection, and losing one renews only that one", () =>
    Effect.gen(function*() {
      const { mine, server } = yield* make()
      // three threads, each of which looks at its connection twice
      const workers = yield* Effect.forEach([1, 2, 3], () =>
        Effect.gen(function*() {
          const [go, done] = [yield* Deferred.make<void>(), yield* Deferred.make<number>()]
          const fiber = yield* start(Effect.gen(function*() {
            yield* Deferred.succeed(done, yield* mine)
            yield* Deferred.await(go)
            return yield* mine
          }))
          return {
            again: Effect.zipRight(Deferred.succeed(go, undefined), Fiber.join(fiber)),
            id: yield* Deferred.await(done)
          }
        }))
      assert.deepStrictEqual(workers.map(({ id }) => id), [1, 2, 3])
      yield* server.kill(server.connections[1]!)
      assert.deepStrictEqual([yield* workers[0]!.again, yield* workers[2]!.again], [1, 3])
      const renewed = yield* start(workers[1]!.again)
      yield* TestClock.adjust("1 second")
      assert.notStrictEqual(yield* Fiber.join(renewed), 2)
    }))

  it.scoped("has as many connections as threads, without a cap, and gives each back when its thread ends", () =>
    Effect.gen(function*() {
      const { mine, pool } = yield* make({ maxConnections: 1000 })
      const go = yield* Deferred.make<void>()
      const threads = yield* start(
        Effect.all(Array.from({ length: 40 }, () => Effect.zipLeft(mine, Deferred.await(go))), { concurrency: 40 })
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* pool.stats).leased, 40)
      yield* Deferred.succeed(go, undefined)
      assert.lengthOf(new Set(yield* Fiber.join(threads)), 40)
      yield* settle
      assert.strictEqual((yield* pool.stats).leased, 0)
    }))

  it.scoped("recycles after maxusage when the thread gives its connection back", () =>
    Effect.gen(function*() {
      const { fibers, mine } = yield* make({ maxConnections: 1, maxUses: 2 })
      const ids: Array<number> = []
      for (let i = 0; i < 4; i++) {
        ids.push(yield* mine, yield* mine)
        yield* fibers.release
        yield* settle
      }
      assert.deepStrictEqual(ids, [1, 1, 1, 1, 2, 2, 2, 2])
    }))

  it.scoped("runs the session commands once per connection, not per use", () =>
    Effect.gen(function*() {
      const prepared: Array<number> = []
      const { mine, server } = yield* make({ setup: ({ id }) => Effect.sync(() => prepared.push(id)) })
      yield* mine
      yield* mine
      assert.deepStrictEqual(prepared, [1])
      assert.strictEqual(server.calls.connect, 1)
    }))
})
