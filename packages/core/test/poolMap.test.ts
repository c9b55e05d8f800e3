import * as Pool from "@dbpool/core/Pool"
import * as PoolMap from "@dbpool/core/PoolMap"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { makeMap } from "./mapSupport.js"
import { steadily } from "./steady.js"
import { close, failsWith, hold, refusal, settle, start, use, warm } from "./support.js"

describe("a map of pools", () => {
  it.scoped("has one pool for a key, whoever asks and however many at once", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const map = yield* makeMap(server)
      const pools = yield* Effect.replicateEffect(map.get("a"), 5).pipe(
        Effect.zipWith(Effect.replicateEffect(map.get("a"), 5), (one, other) => [...one, ...other], {
          concurrent: true
        })
      )
      assert.strictEqual(new Set(pools).size, 1)
      assert.notStrictEqual(yield* map.get("b"), pools[0])
      assert.deepStrictEqual((yield* map.stats).map(([key, { name }]) => [key, name]), [["a", "a"], ["b", "b"]])
    }))

  it.scoped("gives each key the default, with what it overrides", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const map = yield* PoolMap.make({
        default: { user: "guest", port: 1 },
        overrides: (host: string) => host === "db.internal" ? { user: "internal" } : undefined,
        make: (settings, host) => {
          seen.push([host, settings])
          return Pool.make({ connect: Effect.succeed(host) })
        }
      })
      assert.strictEqual(yield* map.use("db.internal", (pool) => pool.use(Effect.succeed)), "db.internal")
      yield* map.use("elsewhere", () => Effect.void)
      assert.deepStrictEqual(seen, [
        ["db.internal", { user: "internal", port: 1 }],
        ["elsewhere", { user: "guest", port: 1 }]
      ])
    }))

  it.scoped("fails for a key that has no settings, and names it", () =>
    Effect.gen(function*() {
      const map = yield* PoolMap.make({
        name: "hosts",
        settings: (host: string) => host === "a" ? { user: "u" } : undefined,
        make: ({ user }) => Pool.make({ connect: Effect.succeed(user) })
      })
      assert.strictEqual(yield* map.use("a", (pool) => pool.use(Effect.succeed)), "u")
      const error = failsWith(yield* Effect.exit(map.use("b", () => Effect.void)), "UnknownPool")
      assert.deepStrictEqual([error.key, error.isRetryable], ["b", false])
      assert.strictEqual(error.message, "There are no settings for \"b\" in \"hosts\"")
    }))

  it.scoped("knows keys of several parts by their values", () =>
    Effect.gen(function*() {
      const map = yield* PoolMap.make({
        default: {},
        make: (_, { database, host }: { readonly host: string; readonly database: string }) =>
          Pool.make({ connect: Effect.succeed(`${host}/${database}`) })
      })
      const of = (host: string, database: string) => map.get(Data.struct({ host, database }))
      assert.strictEqual(yield* of("h", "a"), yield* of("h", "a"))
      assert.notStrictEqual(yield* of("h", "a"), yield* of("h", "b"))
    }))

  it.scoped("closes a pool that nobody has used for idleTimeout, and makes another when it is wanted again", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const map = yield* makeMap(server, { idleTimeout: "1 minute" })
      yield* map.use("a", use)
      yield* TestClock.adjust("40 seconds")
      // a use in between counts
      yield* map.use("a", use)
      yield* map.use("b", use)
      const scope = yield* Scope.make()
      yield* Scope.extend(map.get("b"), scope)
      yield* TestClock.adjust("59 seconds")
      assert.lengthOf(yield* map.stats, 2)
      yield* TestClock.adjust("1 second")
      // b is kept by whoever has it
      assert.deepStrictEqual((yield* map.stats).map(([key]) => key), ["b"])
      assert.deepStrictEqual(server.connections.map(({ open }) => open), [false, true])
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(server.open, 0)
      assert.strictEqual(yield* map.use("a", use), 3)
    }))

  it.scoped("tries again to make a pool that could not be made", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.next("connect", { fails: refusal("no such host", "fatal") })
      const map = yield* makeMap(server, { pools: () => ({ initialize: "check" }) })
      failsWith(yield* Effect.exit(map.use("a", use)), "ConnectFailed")
      assert.lengthOf(yield* map.stats, 0)
      assert.strictEqual(yield* map.use("a", use), 1)
    }))

  it.scoped("goes on making a pool when the one who wanted it has left, for the others", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "1 second" })
      const map = yield* makeMap(server, { pools: () => ({ initialize: "check" }) })
      const [first, second] = [yield* start(map.use("a", use)), yield* start(map.use("a", use))]
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(second), 1)
      assert.strictEqual(server.calls.connect, 1)
    }))

  it.scoped("evicts one pool, whose successor starts afresh", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const map = yield* makeMap(server)
      yield* map.use("a", use)
      assert.isTrue(yield* map.evict("a"))
      assert.isFalse(yield* map.evict("a"))
      assert.strictEqual(server.open, 0)
      assert.strictEqual(yield* map.use("a", use), 2)
    }))

  it.scoped("when its scope closes closes all pools together, and refuses callers", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const scope = yield* Scope.make()
      const map = yield* Scope.extend(makeMap(server), scope)
      yield* map.use("a", use)
      yield* map.use("b", use)
      yield* server.always("connect", { takes: "never" })
      const waiting = yield* start(Effect.exit(map.use("c", use)))
      yield* server.always("close", { takes: "900 millis" })
      const closing = yield* start(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("900 millis")
      yield* Fiber.join(closing)
      assert.strictEqual(server.open, 0)
      assert.strictEqual(failsWith(yield* Fiber.join(waiting), "PoolClosed").pool, "c")
      assert.strictEqual(failsWith(yield* Effect.exit(map.use("a", use)), "PoolClosed").pool, "pools")
    }))

  it.scoped("refuses options that make no sense", () =>
    Effect.gen(function*() {
      const refused = (options: Partial<PoolMap.Options<string, object, Pool.Pool<string>>>) =>
        Effect.map(
          Effect.exit(PoolMap.make({
            default: {},
            make: () => Effect.orDie(Pool.make({ connect: Effect.succeed("") })),
            ...options
          } as PoolMap.Options<string, object, Pool.Pool<string>, never, Scope.Scope>)),
          (exit) => failsWith(exit, "InvalidPoolConfig").message
        )
      assert.match(yield* refused({ maxConnections: 0 }), /maxConnections must be an integer of at least 1, not 0/)
      assert.match(yield* refused({ idleTimeout: 0 }), /idleTimeout must be a duration above zero, not 0/)
    }))
})

describe("a maximum over all pools", () => {
  const three = { maxConnections: 3 }

  it("is kept, whatever each may have by itself", () =>
    steadily(Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("query", { takes: "50 millis" })
      yield* server.always("close", { takes: "10 millis" })
      yield* server.always("connect", { takes: "20 millis" })
      const map = yield* makeMap(server, three)
      const work = Effect.forEach(
        Array.from({ length: 60 }, (_, i) => ["a", "b", "c", "d", "e"][(i * 7) % 5]!),
        (key) => map.use(key, (pool) => pool.use((connection) => connection.query)),
        { concurrency: 12, discard: true }
      )
      yield* work
      yield* server.calm
      assert.isAtMost(server.maxOpen, 3)
      let opened = 0
      for (const [, stats] of yield* map.stats) {
        assert.strictEqual(stats.waiting + stats.leased, 0)
        opened += stats.opened
      }
      // what was opened for somebody is not taken away before it was lent
      assert.isAtMost(opened, 60)
    })))

  it.scoped("is made room for by the connection that has been idle for longest", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const map = yield* makeMap(server, three)
      for (const key of ["a", "b", "c"]) {
        yield* map.use(key, use)
        yield* TestClock.adjust("1 second")
      }
      yield* map.use("a", use)
      assert.strictEqual(yield* map.use("d", use), 4)
      assert.deepStrictEqual(server.connections.map(({ open }) => open), [true, false, true, true])
    }))

  it.scoped("leaves a pool its minimum", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const map = yield* makeMap(server, {
        maxConnections: 2,
        pools: (key) => key === "a" ? { minConnections: 1 } : {}
      })
      yield* map.use("a", (pool) => warm(pool, 2))
      assert.strictEqual(yield* map.use("b", use), 3)
      assert.deepStrictEqual(server.connections.map(({ open }) => open), [false, true, true])
    }))

  it.scoped("has callers wait while everything is lent, and go on as soon as anything comes back, of any pool", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const map = yield* makeMap(server, { maxConnections: 1 })
      const a = yield* map.get("a")
      const held = yield* hold(a)
      const waiting = yield* start(map.use("b", use))
      assert.isTrue(Option.isNone(yield* Fiber.poll(waiting)))
      yield* held.end
      assert.strictEqual(yield* Fiber.join(waiting), 2)
      assert.strictEqual(server.maxOpen, 1)
    }))

  it.scoped("lets a pool that has nothing go before one that would go on without end", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const map = yield* makeMap(server, { maxConnections: 1 })
      yield* server.always("query", { takes: "10 millis" })
      const query = (pool: Pool.Pool<SimulatedServer.Connection>) => pool.use((connection) => connection.query)
      const busy = yield* start(Effect.all([
        Effect.forever(map.use("a", query)),
        Effect.forever(map.use("a", query))
      ], { concurrency: 2 }))
      const waiting = yield* start(map.use("b", query))
      for (let i = 0; i < 5; i++) yield* TestClock.adjust("10 millis")
      assert.isTrue(Option.isSome(yield* Fiber.poll(waiting)))
      yield* Fiber.interrupt(busy)
    }))

  it.scoped("tells a caller that would not wait, unless room can be made", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const map = yield* makeMap(server, { maxConnections: 1 })
      const [a, b] = [yield* map.get("a"), yield* map.get("b")]
      yield* use(a)
      const held = yield* hold(b, { whenExhausted: "fail" })
      failsWith(yield* Effect.exit(hold(a, { whenExhausted: "fail" })), "TooManyConnections")
      yield* held.end
      yield* hold(a, { whenExhausted: "fail" })
    }))

  it.scoped("answers every caller by its deadline", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const map = yield* makeMap(server, { maxConnections: 1 })
      yield* hold(yield* map.get("a"))
      const b = yield* map.get("b")
      const late = yield* start(Effect.exit(use(b, { timeout: "2 seconds" })))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(failsWith(yield* Fiber.join(late), "AcquireTimeout").waitedMillis, 2000)
    }))

  it.scoped("forgets a pool that is closed, and one whose caller has left", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const map = yield* makeMap(server, { maxConnections: 1 })
      const held = yield* hold(yield* map.get("a"))
      const gone = yield* start(map.use("b", use))
      yield* Fiber.interrupt(gone)
      const waiting = yield* start(map.use("c", use))
      const scope = yield* Scope.make()
      const closing = yield* start(map.evict("a"))
      yield* held.end
      yield* Fiber.join(closing)
      yield* close(scope)
      yield* settle
      assert.strictEqual(yield* Fiber.join(waiting), 2)
      assert.strictEqual(server.maxOpen, 1)
    }))

  it.scoped("lets a suspended pool keep nobody from what it can't use", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const map = yield* makeMap(server, { maxConnections: 1 })
      const held = yield* hold(yield* map.get("a"))
      const b = yield* map.get("b")
      const waitsForB = yield* start(use(b))
      yield* b.suspend
      const waitsForC = yield* start(map.use("c", use))
      yield* held.end
      assert.strictEqual(yield* Fiber.join(waitsForC), 2)
      yield* b.resume
      assert.strictEqual(yield* Fiber.join(waitsForB), 3)
    }))
})
