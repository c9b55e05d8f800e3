import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { hold, makePool, start, use } from "./support.js"

describe("borrowing", () => {
  it.scoped("opens a connection when none is idle, and reuses it afterwards", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      assert.strictEqual(yield* use(pool), 1)
      assert.strictEqual(yield* use(pool), 1)
      assert.strictEqual(server.calls.connect, 1)
    }))

  it.scoped("lends the most recently used connection first", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      const a = yield* hold(pool)
      const b = yield* hold(pool)
      yield* b.end
      yield* a.end
      assert.strictEqual(yield* use(pool), a.connection.id)
    }))

  it.scoped("never opens more than maxConnections", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 3 })
      const held = yield* Effect.all([hold(pool), hold(pool), hold(pool)])
      const waiting = yield* start(use(pool))
      assert.strictEqual((yield* pool.stats).waiting, 1)
      yield* held[1].end
      assert.strictEqual(yield* Fiber.join(waiting), held[1].connection.id)
      assert.strictEqual(server.maxOpen, 3)
    }))

  it.scoped("lends a connection to one borrower at a time", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 4 })
      const holders = new Map<number, number>()
      yield* Effect.forEach(
        Array.from({ length: 50 }),
        () =>
          pool.use(({ id }) =>
            Effect.gen(function*() {
              holders.set(id, (holders.get(id) ?? 0) + 1)
              yield* Effect.yieldNow()
              assert.strictEqual(holders.get(id), 1)
              holders.set(id, 0)
            })
          ),
        { concurrency: "unbounded", discard: true }
      )
      assert.isAtMost(holders.size, 4)
    }))

  it.scoped("acquire lends until its scope closes, and no longer", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* pool.acquire
        assert.strictEqual((yield* pool.stats).leased, 1)
      }))
      const stats = yield* pool.stats
      assert.strictEqual(stats.leased, 0)
      assert.strictEqual(stats.idle, 1)
    }))

  it.scoped("gives back at once what is acquired into a scope that is closed already", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make)
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      yield* Scope.extend(pool.acquire, scope)
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))
})

describe("the connection comes back", () => {
  it.scoped("from a borrower that fails, dies, or throws before there is an effect", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const failed = yield* Effect.exit(pool.use(() => Effect.fail("oops" as const)))
      const died = yield* Effect.exit(pool.use(() => Effect.die("oops")))
      const thrown = yield* Effect.exit(pool.use((): Effect.Effect<void> => {
        throw new Error("oops")
      }))
      assert.deepStrictEqual(failed, Exit.fail("oops"))
      assert.deepStrictEqual(died, Exit.die("oops"))
      assert.isTrue(Exit.isFailure(thrown))
      assert.strictEqual(yield* use(pool), 1)
    }))

  it.scoped("from a borrower that is interrupted", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const borrower = yield* start(pool.use(() => Effect.never))
      assert.strictEqual((yield* pool.stats).leased, 1)
      yield* Fiber.interrupt(borrower)
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))

  it.scoped("from a waiter that is interrupted after the hand-off: it goes to the next one", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const held = yield* hold(pool)
      const ran: Array<string> = []
      const first = yield* start(pool.use(() => Effect.sync(() => ran.push("first"))))
      const second = yield* start(pool.use(() => Effect.sync(() => ran.push("second"))))
      yield* held.end
      // the hand-off has happened, but the waiter's fiber has not run yet
      const { leased, waiting } = yield* pool.stats
      assert.deepStrictEqual({ leased, waiting }, { leased: 1, waiting: 1 })
      yield* Fiber.interrupt(first)
      yield* Fiber.join(second)
      assert.deepStrictEqual(ran, ["second"])
    }))

  it.scoped("into the pool from a waiter that is interrupted after the hand-off when nobody else waits", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const held = yield* hold(pool)
      const waiter = yield* start(use(pool))
      yield* held.end
      yield* Fiber.interrupt(waiter)
      const { acquired, idle } = yield* pool.stats
      assert.deepStrictEqual({ acquired, idle }, { acquired: 1, idle: 1 })
    }))
})

describe("the queue", () => {
  it.scoped("is served first come, first served", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const held = yield* hold(pool)
      const order: Array<number> = []
      const callers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let i = 0; i < 5; i++) callers.push(yield* start(pool.use(() => Effect.sync(() => order.push(i)))))
      yield* held.end
      yield* Fiber.joinAll(callers)
      assert.deepStrictEqual(order, [0, 1, 2, 3, 4])
    }))

  it.scoped("is never overtaken by a newcomer, not even by the one that just gave a connection back", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const order: Array<string> = []
      const note = (name: string) => Effect.sync(() => order.push(name))
      const held = yield* hold(pool)
      const first = yield* start(pool.use(() => note("first")))
      const second = yield* start(pool.use(() => note("second")))
      const newcomer = Effect.zipRight(held.end, pool.use(() => note("newcomer")))
      yield* newcomer
      yield* Fiber.joinAll([first, second])
      assert.deepStrictEqual(order, ["first", "second", "newcomer"])
    }))

  it.scoped("is left by a waiter that is interrupted, at any place", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const held = yield* hold(pool)
      const order: Array<number> = []
      const callers = yield* Effect.forEach(
        [0, 1, 2, 3, 4],
        (i) => start(pool.use(() => Effect.sync(() => order.push(i))))
      )
      yield* Fiber.interruptAll([callers[0]!, callers[2]!, callers[4]!])
      assert.strictEqual((yield* pool.stats).waiting, 2)
      yield* held.end
      yield* Fiber.joinAll([callers[1]!, callers[3]!])
      assert.deepStrictEqual(order, [1, 3])
    }))
})

describe("tryAcquire", () => {
  it.scoped("lends like acquire while there is a connection to be had", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 2 })
      yield* Effect.scoped(Effect.zipRight(pool.tryAcquire, pool.tryAcquire))
      assert.strictEqual((yield* pool.stats).idle, 2)
    }))
})
