/**
 * What psycopg_pool's ConnectionPool and NullConnectionPool do, where no SQL is needed for it.
 */
import * as Pool from "@dbpool/core/Pool"
import * as PoolReset from "@dbpool/core/PoolReset"
import * as PoolSchedule from "@dbpool/core/PoolSchedule"
import * as PoolStats from "@dbpool/core/PoolStats"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { close, failsWith, hold, makePool, optionsOf, refusal, settle, start, use, warm } from "../support.js"

const connectionOf = (server: SimulatedServer.SimulatedServer) => server.connections[server.connections.length - 1]!

describe("ConnectionPool", () => {
  it.scoped("gives back the same connection after an error in the block", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      yield* Effect.exit(pool.use(() => Effect.fail("oops")))
      assert.strictEqual(yield* use(pool), 1)
    }))

  it.scoped("fills its minimum in the background, a few connects at a time", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "1 second" })
      const pool = yield* makePool(server, { minConnections: 6, connectConcurrency: 2 })
      assert.strictEqual((yield* pool.stats).idle, 0)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* pool.stats).idle, 6)
      assert.isAtMost(server.maxConnecting, 2)
    }))

  it.scoped("waits until its minimum is ready, any number of callers at once", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "100 millis" })
      const pool = yield* makePool(server, { minConnections: 3 })
      const waiting = yield* start(Effect.all([pool.awaitReady, pool.awaitReady], { concurrency: 2 }))
      assert.isTrue(Option.isNone(yield* Fiber.poll(waiting)))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(waiting)
      assert.strictEqual((yield* pool.stats).idle, 3)
      yield* pool.awaitReady
    }))

  it.scoped("configures each connection once; one that cannot be configured is never lent", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const configured: Array<number> = []
      const pool = yield* makePool(server, {
        setup: ({ id }) => {
          configured.push(id)
          return id === 1 ? Effect.fail(refusal("not this one")) : Effect.void
        }
      })
      const first = yield* start(use(pool))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(first), 2)
      yield* use(pool)
      assert.deepStrictEqual(configured, [1, 2])
      assert.isFalse(server.connections[0]!.open)
    }))

  it.scoped("resets after each return; a reset that fails or leaves something open costs the connection", () =>
    Effect.gen(function*() {
      for (const bad of [() => Effect.fail("no"), ({ begin }: SimulatedServer.Connection) => begin]) {
        const server = yield* SimulatedServer.make
        let resets = 0
        const pool = yield* makePool(server, {
          maxConnections: 1,
          reset: PoolReset.always((connection: SimulatedServer.Connection): Effect.Effect<void, unknown> =>
            ++resets === 2 ? bad(connection) : Effect.void
          )
        })
        assert.deepStrictEqual(yield* Effect.replicateEffect(use(pool), 3), [1, 1, 2])
        yield* settle
        assert.strictEqual(resets, 3)
      }
    }))

  it.scoped("rolls back what is open and keeps the connection; closes what is busy for good, or will not roll back", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      yield* pool.use((connection) => connection.begin)
      assert.strictEqual(yield* use(pool), 1)
      yield* server.next("cancel", { fails: refusal("no cancel") })
      yield* pool.use((connection) => connection.leave("busy"))
      assert.strictEqual(yield* use(pool), 2)
      yield* server.next("reset", { fails: refusal("no rollback") })
      yield* pool.use((connection) => connection.begin)
      assert.strictEqual(yield* use(pool), 3)
    }))

  it.scoped("grows one at a time: short work is done by the connections that are there", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { minConnections: 4, maxConnections: 20, initialize: "fill" })
      yield* server.always("connect", { takes: "200 millis" })
      yield* server.always("query", { takes: "2 millis" })
      const spike = yield* start(
        Effect.forEach(Array.from({ length: 50 }), () => pool.use(({ query }) => query), { concurrency: 50 })
      )
      for (let i = 0; i < 40; i++) yield* TestClock.adjust("1 millis")
      yield* Fiber.join(spike)
      assert.isBelow(server.calls.connect, 7)
      yield* TestClock.adjust("1 second")
    }))

  it.scoped("shrinks to its minimum when connections have been idle for too long", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { minConnections: 2, idleTimeout: "1 minute" })
      yield* warm(pool, 5)
      assert.isAtLeast((yield* pool.stats).open, 4)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* pool.stats).open, 2)
    }))

  it.scoped("tries to connect again at growing intervals, and refills its minimum after an outage", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        minConnections: 2,
        connectRetry: Schedule.exponential("100 millis", 2)
      })
      yield* settle
      yield* server.always("connect", { fails: refusal("down") })
      const before = server.calls.connect
      yield* server.restart
      const attempts: Array<number> = []
      for (const millis of [0, 100, 200, 400]) {
        yield* TestClock.adjust(millis)
        attempts.push(server.calls.connect - before)
      }
      assert.deepStrictEqual(attempts.map((count) => count - attempts[0]!), [0, 1, 2, 3])
      yield* server.always("connect", {})
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* pool.stats).idle, 2)
    }))

  it.scoped("gives up when its schedule ends, tells whoever listens, and the next request tries at once", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("down") })
      const pool = yield* makePool(server, { connectRetry: PoolSchedule.connect.pipe(Schedule.upTo("5 minutes")) })
      const failed = yield* start(Effect.exit(pool.awaitReady))
      yield* TestClock.adjust("6 minutes")
      failsWith(yield* Fiber.join(failed), "ConnectFailed")
      assert.strictEqual((yield* pool.stats).open, 0)
      const before = server.calls.connect
      yield* Effect.exit(use(pool, { timeout: "1 millis" }).pipe(Effect.fork, Effect.zipRight(settle)))
      assert.strictEqual(server.calls.connect, before + 1)
      yield* server.calm
      yield* TestClock.adjust("10 seconds")
      yield* use(pool)
    }))

  it.scoped("is resized while it works, and refuses sizes that make no sense", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 4 })
      yield* pool.resize({ minConnections: 2, maxConnections: 8 })
      yield* settle
      assert.deepInclude(yield* pool.stats, { idle: 2, minConnections: 2, maxConnections: 8 })
      for (const size of [{ maxConnections: 0 }, { minConnections: -1 }, { minConnections: 9 }]) {
        failsWith(yield* Effect.exit(pool.resize(size)), "InvalidPoolConfig")
      }
    }))

  it.scoped("check replaces what is broken and leaves alone what is not", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { minConnections: 3, initialize: "fill" })
      yield* server.kill(server.connections[1]!, { unheard: true })
      assert.strictEqual(yield* pool.check, 1)
      yield* settle
      assert.deepStrictEqual(server.connections.map(({ open }) => open), [true, false, true, true])
    }))

  it.scoped("without validation serves a connection that died unheard; with it never", () =>
    Effect.gen(function*() {
      for (const validateOn of [[], ["acquire"]] as const) {
        const server = yield* SimulatedServer.make
        const pool = yield* makePool(server, { validateOn, validateAfterIdle: 0 })
        yield* use(pool)
        yield* server.kill(connectionOf(server), { unheard: true })
        yield* TestClock.adjust("1 second")
        const exit = yield* Effect.exit(pool.use(({ query }) => query))
        assert.strictEqual(Exit.isSuccess(exit), validateOn.length > 0)
      }
    }))

  it.scoped("a check that hangs is bounded by the caller's own deadline, and by its own", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1, validateAfterIdle: 0, validateTimeout: "5 seconds" })
      yield* use(pool)
      yield* TestClock.adjust("1 second")
      yield* server.next("validate", { takes: "never" })
      const hurried = yield* start(Effect.exit(use(pool, { timeout: "1 second" })))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(failsWith(yield* Fiber.join(hurried), "AcquireTimeout").phase, "validating")
      const patient = yield* start(use(pool))
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* Fiber.join(patient), 2)
    }))

  it.scoped("bounds its queue, and serves it in order", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1, maxWaiting: 3 })
      const held = yield* hold(pool)
      const served: Array<string> = []
      const waiting = yield* Effect.forEach(["a", "b", "c"], (name) =>
        start(pool.use(() => Effect.sync(() => served.push(name)))))
      assert.strictEqual(failsWith(yield* Effect.exit(use(pool)), "TooManyConnections").reason, "WaitersFull")
      yield* held.end
      yield* Fiber.joinAll(waiting)
      assert.deepStrictEqual(served, ["a", "b", "c"])
    }))

  it.scoped("a caller's own timeout goes before the pool's", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1, acquireTimeout: "10 seconds" })
      yield* hold(pool)
      const hurried = yield* start(Effect.exit(use(pool, { timeout: "1 second" })))
      const patient = yield* start(Effect.exit(use(pool)))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(failsWith(yield* Fiber.join(hurried), "AcquireTimeout").waitedMillis, 1000)
      assert.strictEqual(failsWith(yield* Fiber.join(patient), "AcquireTimeout").waitedMillis, 10_000)
    }))

  it.scoped("works when the database starts later than the program", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("not yet") })
      const pool = yield* makePool(server, { minConnections: 1 })
      const early = yield* start(use(pool))
      yield* TestClock.adjust("2 seconds")
      yield* server.calm
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(early), 1)
    }))

  it.scoped("evaluates the way to connect for every connection, so that passwords may change", () =>
    Effect.gen(function*() {
      let password = "old"
      const pool = yield* Pool.make({ connect: Effect.sync(() => password), maxIdle: 0, initialize: "lazy" })
      assert.strictEqual(yield* pool.use(Effect.succeed), "old")
      password = "new"
      yield* settle
      assert.strictEqual(yield* pool.use(Effect.succeed), "new")
    }))

  it.scoped("has a twin for every gauge and counter of get_stats", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { minConnections: 1, maxConnections: 2, initialize: "fill" })
      const before = yield* pool.stats
      yield* server.next("connect", { takes: "200 millis" })
      const held = [yield* hold(pool)]
      const second = yield* start(hold(pool))
      yield* TestClock.adjust("200 millis")
      held.push(yield* Fiber.join(second))
      const queued = yield* start(use(pool))
      const failed = yield* start(Effect.exit(use(pool, { timeout: "100 millis" })))
      const { waiting } = yield* pool.stats
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(failed)
      yield* held[0]!.end
      yield* Fiber.join(queued)
      yield* held[1]!.connection.leave("broken")
      yield* held[1]!.end
      yield* settle
      const stats = PoolStats.since(yield* pool.stats, before)
      const refused = Object.values(stats.refused).reduce((sum, count) => sum + count, 0)
      assert.deepStrictEqual({
        pool_min: stats.minConnections,
        pool_max: stats.maxConnections,
        pool_size: stats.open,
        pool_available: stats.idle,
        requests_waiting: waiting,
        usage_ms: stats.heldMillis,
        requests_num: stats.acquired + refused,
        requests_queued: stats.waited,
        requests_wait_ms: stats.waitedMillis,
        requests_errors: refused,
        connections_num: stats.opened + stats.connectFailures,
        connections_ms: stats.connectMillis,
        connections_errors: stats.connectFailures,
        connections_lost: stats.retired.lost
      }, {
        pool_min: 1,
        pool_max: 2,
        pool_size: 1,
        pool_available: 1,
        requests_waiting: 2,
        usage_ms: 300 + 0 + 100,
        requests_num: 4,
        requests_queued: 3,
        requests_wait_ms: 200 + 100 + 100,
        requests_errors: 1,
        connections_num: 1,
        connections_ms: 200,
        connections_errors: 0,
        connections_lost: 1
      })
    }))
})

describe("the end of a ConnectionPool", () => {
  it.scoped("is told to those who wait and those who come; what is in use is closed when it comes back", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const scope = yield* Scope.make()
      const pool = yield* Scope.extend(Pool.make({ ...optionsOf(server), maxConnections: 1 }), scope)
      const held = yield* hold(pool)
      const waiting = yield* start(Effect.exit(use(pool)))
      const closing = yield* start(Scope.close(scope, Exit.void))
      failsWith(yield* Fiber.join(waiting), "PoolClosed")
      failsWith(yield* Effect.exit(use(pool)), "PoolClosed")
      assert.isTrue(held.connection.open)
      yield* held.end
      yield* Fiber.join(closing)
      assert.isFalse(held.connection.open)
    }))

  it.scoped("leaves no fiber behind, although its maintenance was at work", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const scope = yield* Scope.make()
      const pool = yield* Scope.extend(Pool.make({ ...optionsOf(server), minConnections: 2 }), scope)
      yield* settle
      yield* server.always("connect", { takes: "never" })
      yield* pool.drain()
      yield* close(scope)
      assert.strictEqual((yield* pool.stats).open, 0)
      assert.strictEqual(server.open, 0)
    }))
})

describe("better than ConnectionPool", () => {
  it.scoped("four stale connections cost the first client no seconds: the next is tried at once", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { minConnections: 4, initialize: "fill", order: "fifo" })
      yield* TestClock.adjust("10 seconds")
      for (const connection of server.connections) yield* server.kill(connection, { unheard: true })
      // no time passes
      assert.isAbove(yield* pool.use(({ query }) => query), 4)
    }))

  it.scoped("lifetime and idle time are kept while nobody borrows, and looked at on every checkout", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        maxLifetime: "1 minute",
        idleTimeout: Duration.infinity,
        minConnections: 2
      })
      yield* settle
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(server.connections.slice(0, 2).map(({ open }) => open), [false, false])
      assert.strictEqual((yield* pool.stats).idle, 2)
    }))

  it.scoped("a timeout of zero takes what is there", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      yield* use(pool)
      assert.strictEqual(yield* use(pool, { timeout: 0 }), 1)
    }))

  it.scoped("a timeout tells the last error of connecting, and is counted", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("no route to host") })
      const pool = yield* makePool(server)
      const late = yield* start(Effect.exit(use(pool, { timeout: "2 seconds" })))
      yield* TestClock.adjust("2 seconds")
      assert.match(failsWith(yield* Fiber.join(late), "AcquireTimeout").message, /no route to host/)
      assert.strictEqual((yield* pool.stats).refused.AcquireTimeout, 1)
    }))

  it.scoped("closing waits for those who hold connections, and then for nobody", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const scope = yield* Scope.make()
      const pool = yield* Scope.extend(Pool.make({ ...optionsOf(server), shutdownTimeout: "5 seconds" }), scope)
      yield* hold(pool)
      const closing = yield* start(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(server.open, 1)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.strictEqual(server.open, 0)
    }))
})

describe("NullConnectionPool", () => {
  const none = { maxIdle: 0, maxConnections: 2 }

  it.scoped("opens a connection for each use and keeps none", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, none)
      const ids: Array<number> = []
      for (let i = 0; i < 3; i++) {
        ids.push(yield* use(pool))
        yield* settle
        assert.strictEqual(server.open, 0)
      }
      assert.deepStrictEqual(ids, [1, 2, 3])
    }))

  it.scoped("cleans a connection and hands it to whoever waits; one that cannot be cleaned is replaced", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxIdle: 0, maxConnections: 1 })
      const first = yield* hold(pool)
      const second = yield* start(hold(pool))
      yield* first.connection.begin
      yield* first.end
      const held = yield* Fiber.join(second)
      assert.strictEqual(held.connection.id, 1)
      assert.strictEqual(held.connection.condition, "clean")
      const third = yield* start(hold(pool))
      yield* server.next("reset", { fails: refusal("no") })
      yield* held.connection.begin
      yield* held.end
      assert.strictEqual((yield* Fiber.join(third)).connection.id, 2)
    }))

  it.scoped("is ready when it has had one connection, and has nothing to check", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, none)
      yield* pool.awaitReady
      yield* settle
      assert.strictEqual(server.calls.connect, 1)
      assert.strictEqual(yield* pool.check, 0)
      assert.strictEqual((yield* pool.stats).open, 0)
    }))

  it.scoped("answers in time when the server does not", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "never" })
      const pool = yield* makePool(server, none)
      const late = yield* start(Effect.exit(use(pool, { timeout: "2 seconds" })))
      yield* TestClock.adjust("2 seconds")
      failsWith(yield* Fiber.join(late), "AcquireTimeout")
    }))

  it.scoped("does not hand on a connection that is too old", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxIdle: 0, maxConnections: 1, maxLifetime: "10 seconds" })
      const first = yield* hold(pool)
      const second = yield* start(hold(pool))
      yield* TestClock.adjust("10 seconds")
      yield* first.end
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(second)).connection.id, 2)
    }))

  it.scoped("refuses a minimum, and bad sizes", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      failsWith(yield* Effect.exit(makePool(server, { maxIdle: 0, minConnections: 1 })), "InvalidPoolConfig")
      const pool = yield* makePool(server, none)
      failsWith(yield* Effect.exit(pool.resize({ minConnections: 1 })), "InvalidPoolConfig")
      yield* pool.resize({ maxConnections: 5 })
    }))

  it.scoped("better: connects side by side, and a slow connect keeps nobody from giving back", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "1 second" })
      const pool = yield* makePool(server, { maxIdle: 0, maxConnections: 4 })
      yield* start(use(pool))
      yield* TestClock.adjust("1 second")
      const users = yield* start(Effect.all([use(pool), use(pool), use(pool)], { concurrency: 3 }))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(users)
      assert.isAbove(server.maxConnecting, 1)
    }))
})
