/**
 * What eventlet's pools and db_pool do, where no SQL is needed for it.
 */
import * as Pool from "@dbpool/core/Pool"
import * as PoolMap from "@dbpool/core/PoolMap"
import * as PoolReset from "@dbpool/core/PoolReset"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { failsWith, hold, makePool, refusal, settle, start, use, warm } from "../support.js"

const plain = { validate: undefined, idleTimeout: Duration.infinity, maxLifetime: Duration.infinity }

describe("Pool", () => {
  it.scoped("creates items when they are wanted, up to max_size", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 3 })
      assert.strictEqual((yield* pool.stats).open, 0)
      const ids: Array<number> = []
      for (let i = 0; i < 3; i++) ids.push((yield* hold(pool)).connection.id)
      assert.deepStrictEqual(ids, [1, 2, 3])
    }))

  it.scoped("says how many are free: those that are idle and those that may still be opened", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 4 })
      const free = Effect.map(pool.stats, ({ leased, maxConnections }) => maxConnections - leased)
      assert.strictEqual(yield* free, 4)
      const held = yield* hold(pool)
      assert.strictEqual(yield* free, 3)
      yield* held.end
      assert.strictEqual(yield* free, 4)
    }))

  it.scoped("has the fifth caller of four wait, and says that one waits", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 4 })
      const held = yield* hold(pool)
      yield* hold(pool)
      yield* hold(pool)
      yield* hold(pool)
      const fifth = yield* start(hold(pool))
      assert.strictEqual((yield* pool.stats).waiting, 1)
      yield* held.end
      assert.strictEqual((yield* Fiber.join(fifth)).connection.id, held.connection.id)
      assert.strictEqual((yield* pool.stats).waiting, 0)
    }))

  it.scoped("lends oldest first or newest first", () =>
    Effect.gen(function*() {
      for (const [order, expected] of [["fifo", [1, 2]], ["lifo", [2, 1]]] as const) {
        const server = yield* SimulatedServer.make
        const pool = yield* makePool(server, { ...plain, order, maxConnections: 2 })
        const [one, two] = [yield* hold(pool), yield* hold(pool)]
        yield* one.end
        yield* two.end
        assert.deepStrictEqual([(yield* hold(pool)).connection.id, (yield* hold(pool)).connection.id], [...expected])
      }
    }))

  it.scoped("takes many back at once without anybody waiting for anybody", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...plain, maxConnections: 50 })
      yield* warm(pool, 50)
      assert.strictEqual((yield* pool.stats).idle, 50)
    }))

  it.scoped("serves a hundred users with no more items than it may have", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "10 millis" })
      yield* server.always("query", { takes: "1 millis" })
      const pool = yield* makePool(server, { maxConnections: 5 })
      const users = yield* start(
        Effect.forEach(Array.from({ length: 100 }), () => pool.use(({ query }) => query), { concurrency: 100 })
      )
      for (let i = 0; i < 30; i++) yield* TestClock.adjust("10 millis")
      assert.lengthOf(yield* Fiber.join(users), 100)
      assert.isAtMost(server.calls.connect, 5)
    }))

  it.scoped("does not hand an item to a getter that timed out: it stays free", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      const held = yield* hold(pool)
      const late = yield* start(Effect.exit(hold(pool, { timeout: "1 second" })))
      yield* TestClock.adjust("1 second")
      yield* held.end
      failsWith(yield* Fiber.join(late), "AcquireTimeout")
      assert.deepInclude(yield* pool.stats, { idle: 1, leased: 0 })
    }))

  it.scoped("keeps its count of free items when creating one fails", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.next("connect", { fails: refusal("no") })
      const pool = yield* makePool(server, { maxConnections: 1, failFastAfter: 0 })
      failsWith(yield* Effect.exit(use(pool)), "ConnectFailed")
      yield* settle
      assert.deepInclude(yield* pool.stats, { open: 0, leased: 0 })
      yield* TestClock.adjust("5 seconds")
      // whoever asks has the server looked at again
      yield* Effect.exit(use(pool))
      yield* settle
      assert.strictEqual(yield* use(pool), 1)
    }))
})

describe("db_pool", () => {
  it.scoped("closes on return with max_idle 0, and with the shortest max_age as soon as it has passed", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const idle = yield* makePool(server, { maxIdle: 0 })
      yield* use(idle)
      yield* settle
      assert.strictEqual(server.open, 0)
      const aged = yield* makePool(server, { maxLifetime: "1 millis", lifetimeJitter: 0 })
      const held = yield* hold(aged)
      yield* TestClock.adjust("2 millis")
      yield* held.end
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(server.open, 0)
    }))

  it.scoped("wakes the waiter when a connection comes back dead: its place is free", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      const held = yield* hold(pool)
      const waiting = yield* start(hold(pool))
      yield* held.lease.invalidate
      assert.strictEqual((yield* Fiber.join(waiting)).connection.id, 2)
      // giving back what was invalidated frees no second place
      yield* held.end
      assert.strictEqual((yield* pool.stats).leased, 1)
    }))

  it.scoped("clear closes all that is idle, the minimum included, and keeps count", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...plain, minConnections: 3, maxConnections: 4 })
      yield* settle
      assert.strictEqual(yield* pool.evictIdle, 3)
      yield* settle
      assert.deepStrictEqual(server.connections.map(({ open }) => open), [false, false, false, true, true, true])
      assert.deepInclude(yield* pool.stats, { idle: 3, open: 3 })
    }))

  it.scoped("connections opened in advance can be taken and given back like others", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { minConnections: 2, initialize: "fill" })
      const [one, other] = [yield* hold(pool), yield* hold(pool)]
      yield* one.end
      yield* other.end
      assert.deepInclude(yield* pool.stats, { idle: 2, opened: 2, acquired: 4 })
    }))

  it.scoped("runs the cleanup on every return; one that fails costs the connection, and nobody else notices", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const cleaned: Array<number> = []
      const pool = yield* makePool(server, {
        maxConnections: 1,
        reset: PoolReset.always(({ id }: SimulatedServer.Connection) => {
          cleaned.push(id)
          return cleaned.length === 2 ? Effect.fail("cleanup failed") : Effect.void
        })
      })
      yield* use(pool)
      yield* use(pool)
      assert.strictEqual(yield* use(pool), 2)
      yield* settle
      assert.deepStrictEqual(cleaned, [1, 1, 2])
      assert.isFalse(server.connections[0]!.open)
    }))

  it.scoped("a handle knows when its connection is no longer its own", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      const held = yield* hold(pool)
      assert.strictEqual(held.lease.condition, "clean")
      yield* held.end
      yield* hold(pool)
      assert.strictEqual(held.lease.condition, "broken")
    }))

  it.scoped("a failing close frees the slot all the same", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      yield* use(pool)
      yield* server.next("close", { fails: refusal("the goodbye failed") })
      yield* pool.evictIdle
      yield* settle
      assert.strictEqual(yield* use(pool), 2)
      assert.strictEqual((yield* pool.stats).abandoned, 1)
    }))
})

describe("better than db_pool", () => {
  it.scoped("a caller that gives up while its connection is opened loses no slot", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "1 second" })
      const pool = yield* makePool(server, { maxConnections: 1 })
      for (let i = 0; i < 5; i++) yield* Effect.exit(Effect.flatMap(start(use(pool)), Fiber.interrupt))
      yield* TestClock.adjust("2 seconds")
      assert.deepInclude(yield* pool.stats, { open: 1, idle: 1, waiting: 0 })
    }))

  it.scoped("a failed connect wakes all who wait for it: each gets a connection, or the cause", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("failover") })
      const pool = yield* makePool(server, { maxConnections: 2, failFastAfter: "2 seconds" })
      const waiting = yield* start(
        Effect.all(Array.from({ length: 5 }, () => Effect.exit(use(pool))), { concurrency: 5 })
      )
      yield* TestClock.adjust("10 seconds")
      for (const exit of yield* Fiber.join(waiting)) failsWith(exit, "ConnectFailed")
      yield* server.always("connect", {})
      yield* TestClock.adjust("10 seconds")
      yield* use(pool)
    }))

  it.scoped("a smaller pool closes what it has too many of", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...plain, maxConnections: 4 })
      yield* warm(pool, 4)
      yield* pool.resize({ maxConnections: 1 })
      yield* settle
      assert.strictEqual(server.open, 1)
    }))

  it.scoped("giving back twice does not let the pool grow beyond its maximum", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      const held = yield* hold(pool)
      yield* held.end
      yield* held.end
      yield* hold(pool)
      failsWith(yield* Effect.exit(hold(pool, { whenExhausted: "fail" })), "TooManyConnections")
      assert.strictEqual(server.maxOpen, 1)
    }))
})

describe("DatabaseConnector", () => {
  interface Credentials {
    readonly user: string
    readonly password: string
  }

  /** a pool for each host and database, with the credentials of the host, or else the default ones */
  const makeConnector = (credentials: Readonly<Record<string, Credentials>>) =>
    PoolMap.make({
      name: "connector",
      settings: ({ host }: { readonly host: string; readonly database: string }) =>
        credentials[host] ?? credentials["default"],
      make: ({ password, user }, { database, host }) =>
        Pool.make({ connect: Effect.succeed(`${user}:${password}@${host}/${database}`), idleTimeout: "1 minute" }),
      idleTimeout: "5 minutes"
    })

  const at = (host: string, database: string) => Data.struct({ host, database })

  const connect = (
    connector: Effect.Effect.Success<ReturnType<typeof makeConnector>>,
    host: string,
    database: string
  ) => connector.use(at(host, database), (pool) => pool.use(Effect.succeed))

  const known = { "db.internal": { user: "internal", password: "one" }, localhost: { user: "root", password: "two" } }

  it.scoped("has a pool for every host and database, with the credentials of the host", () =>
    Effect.gen(function*() {
      const connector = yield* makeConnector(known)
      assert.strictEqual(yield* connect(connector, "db.internal", "a"), "internal:one@db.internal/a")
      assert.strictEqual(yield* connect(connector, "db.internal", "b"), "internal:one@db.internal/b")
      assert.strictEqual(yield* connect(connector, "localhost", "a"), "root:two@localhost/a")
      yield* connect(connector, "localhost", "a")
      assert.lengthOf(yield* connector.stats, 3)
    }))

  it.scoped("takes the default for a host that it does not know", () =>
    Effect.gen(function*() {
      const connector = yield* makeConnector({ ...known, default: { user: "guest", password: "none" } })
      assert.strictEqual(yield* connect(connector, "elsewhere", "a"), "guest:none@elsewhere/a")
    }))

  it.scoped("better: without a default fails for an unknown host with an error that names it", () =>
    Effect.gen(function*() {
      const connector = yield* makeConnector(known)
      const error = failsWith(yield* Effect.exit(connect(connector, "elsewhere", "a")), "UnknownPool")
      assert.include(error.message, "elsewhere")
    }))

  it.scoped("better: closes the pools that nobody uses any more", () =>
    Effect.gen(function*() {
      const connector = yield* makeConnector(known)
      yield* connect(connector, "localhost", "a")
      yield* TestClock.adjust("5 minutes")
      assert.lengthOf(yield* connector.stats, 0)
    }))
})
