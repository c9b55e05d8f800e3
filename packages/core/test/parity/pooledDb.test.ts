/**
 * What DBUtils' PooledDB, PooledPg and SimplePooledDB do, where no SQL is needed for it.
 */
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { failsWith, hold, makePool, refusal, settle, start, use, warm } from "../support.js"

describe("PooledDB", () => {
  it.scoped("opens mincached connections at once, and a lease moves one from idle to in use and back", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { minConnections: 2, initialize: "fill" })
      assert.deepInclude(yield* pool.stats, { idle: 2, leased: 0, opened: 2 })
      const held = yield* hold(pool)
      assert.deepInclude(yield* pool.stats, { idle: 1, leased: 1, opened: 2 })
      yield* held.end
      assert.deepInclude(yield* pool.stats, { idle: 2, leased: 0, opened: 2 })
    }))

  it.scoped("gives the same connection again after close, and a second close gives nothing back twice", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      const held = yield* hold(pool)
      yield* held.end
      const next = yield* hold(pool)
      yield* held.end
      assert.strictEqual(next.connection.id, held.connection.id)
      assert.deepInclude(yield* pool.stats, { leased: 1, idle: 0 })
    }))

  it.scoped("grows on demand beyond mincached, and keeps no more than maxcached of what comes back", () =>
    Effect.gen(function*() {
      const cases = [
        { minConnections: 0, maxIdle: 3, used: 5, kept: 3 },
        { minConnections: 3, maxIdle: 3, used: 5, kept: 3 },
        { minConnections: 3, maxIdle: 4, used: 2, kept: 3 },
        { minConnections: 0, maxIdle: undefined, used: 5, kept: 5 },
        { minConnections: 2, maxIdle: undefined, used: 0, kept: 2 }
      ]
      for (const { kept, used, ...options } of cases) {
        const server = yield* SimulatedServer.make
        const pool = yield* makePool(server, { ...options, idleTimeout: Duration.infinity, validate: undefined })
        yield* warm(pool, used)
        yield* settle
        assert.strictEqual((yield* pool.stats).idle, kept, JSON.stringify(options))
        assert.isAtLeast(server.maxOpen, used)
      }
    }))

  it.scoped("in fifo order uses all connections equally: 15 uses of 5 are 3 each", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 5, order: "fifo", validate: undefined })
      yield* warm(pool, 5)
      const ids = yield* Effect.replicateEffect(use(pool), 15)
      for (let id = 1; id <= 5; id++) assert.lengthOf(ids.filter((other) => other === id), 3)
    }))

  it.scoped("without blocking tells at once that all maxconnections are taken, until one comes back", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 2, whenExhausted: "fail" })
      const held = [yield* hold(pool), yield* hold(pool)]
      assert.strictEqual(failsWith(yield* Effect.exit(hold(pool)), "TooManyConnections").reason, "Exhausted")
      yield* held[0]!.end
      assert.strictEqual((yield* hold(pool)).connection.id, held[0]!.connection.id)
    }))

  it.scoped("with blocking waits, and gets the very connection that comes back", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 2 })
      const held = [yield* hold(pool), yield* hold(pool)]
      const third = yield* start(hold(pool))
      assert.isTrue(Option.isNone(yield* Fiber.poll(third)))
      yield* held[1]!.end
      assert.strictEqual((yield* Fiber.join(third)).connection.id, held[1]!.connection.id)
    }))

  it.scoped("gives one fiber two different connections for two leases, and again the one it gave back", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      const [one, other] = [yield* hold(pool), yield* hold(pool)]
      assert.notStrictEqual(one.connection.id, other.connection.id)
      yield* one.end
      assert.strictEqual((yield* hold(pool)).connection.id, one.connection.id)
    }))

  it.scoped("recycles after maxusage leases, exactly, and never when there is no such limit", () =>
    Effect.gen(function*() {
      for (const [maxUses, connections] of [[Infinity, 1], [3, 4], [7, 2]] as const) {
        const server = yield* SimulatedServer.make
        const pool = yield* makePool(server, { maxConnections: 1, maxUses })
        for (let i = 0; i < 10; i++) {
          yield* use(pool)
          yield* settle
        }
        assert.lengthOf(server.connections, connections)
      }
    }))

  it.scoped("replaces a connection that died while idle before anybody gets it", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      yield* use(pool)
      yield* server.kill(server.connections[0]!, { unheard: true })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* pool.use((connection) => connection.query), 2)
    }))
})

describe("better than PooledDB", () => {
  it.scoped("a dead connection is never handed out, not even when there is no other: the caller gets the cause", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { failFastAfter: 0 })
      yield* use(pool)
      yield* server.kill(server.connections[0]!, { unheard: true })
      yield* server.always("connect", { fails: refusal("the server is down") })
      yield* TestClock.adjust("2 seconds")
      assert.match(failsWith(yield* Effect.exit(use(pool)), "ConnectFailed").message, /the server is down/)
    }))

  it.scoped("a slow connect keeps nobody from getting or giving back what is there", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 3, connectTimeout: "1 minute" })
      const held = yield* hold(pool)
      yield* server.always("connect", { takes: "20 seconds" })
      const slow = yield* start(Effect.all([hold(pool), hold(pool)], { concurrency: 2 }))
      yield* held.end
      yield* settle
      // no time has passed
      assert.strictEqual((yield* pool.stats).leased, 1)
      yield* TestClock.adjust("40 seconds")
      yield* Fiber.join(slow)
    }))

  it.scoped("a connection that is due for recycling is lent on while the server takes no new ones", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 2, maxUses: 2, validate: undefined })
      yield* use(pool)
      yield* server.always("connect", { fails: refusal("the server is restarting") })
      for (let i = 0; i < 5; i++) {
        assert.strictEqual(yield* use(pool), 1)
        yield* TestClock.adjust("1 second")
      }
      yield* server.always("connect", {})
      // the first one who needs another connection finds out that the server is back
      const held = yield* hold(pool)
      const other = yield* start(use(pool))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(other), 2)
      yield* held.end
      yield* TestClock.adjust("1 second")
      assert.isFalse(server.connections[0]!.open)
    }))

  it.scoped("more connections at the start than there may be is refused by name, and nothing hangs", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const exit = yield* Effect.exit(makePool(server, { minConnections: 5, maxConnections: 2 }))
      assert.strictEqual(failsWith(exit, "InvalidPoolConfig").option, "minConnections")
      assert.strictEqual(server.calls.connect, 0)
    }))

  it.scoped("waiting for a connection ends at the deadline, in order of arrival, with who holds them", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1, acquireTimeout: "3 seconds", maxWaiting: 2 })
      const held = yield* hold(pool)
      const first = yield* start(hold(pool))
      const second = yield* start(Effect.exit(hold(pool)))
      assert.strictEqual(failsWith(yield* Effect.exit(hold(pool)), "TooManyConnections").reason, "WaitersFull")
      yield* held.end
      yield* Fiber.join(first)
      yield* TestClock.adjust("3 seconds")
      assert.lengthOf(failsWith(yield* Fiber.join(second), "AcquireTimeout").holders, 1)
    }))

  it.scoped("the minimum is kept, not only filled once", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { minConnections: 2 })
      yield* settle
      yield* use(pool)
      yield* server.restart
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* pool.stats).idle, 2)
    }))
})

describe("SimplePooledDB", () => {
  it.scoped("opens all its connections at the start", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 4, minConnections: 4, initialize: "fill" })
      assert.strictEqual((yield* pool.stats).idle, 4)
    }))

  it.scoped("has a third fiber wait for one of two connections, and all three are served", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("query", { takes: "1 second" })
      const pool = yield* makePool(server, { maxConnections: 2, minConnections: 2, initialize: "fill" })
      const threads = yield* start(
        Effect.all(Array.from({ length: 3 }, () => pool.use(({ query }) => query)), { concurrency: 3 })
      )
      assert.deepInclude(yield* pool.stats, { leased: 2, waiting: 1 })
      yield* TestClock.adjust("2 seconds")
      const ids = yield* Fiber.join(threads)
      assert.sameMembers([...new Set(ids)], [1, 2])
    }))
})
