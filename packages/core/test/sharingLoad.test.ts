/** What holds while connections are shared without end, in a world whose minutes take microseconds. */
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Options, SharingPoolOf } from "./sharingSupport.js"
import { fails, makePool, share } from "./sharingSupport.js"
import { settle, steadily } from "./steady.js"
import { failsWith, hold, refusal } from "./support.js"

/** starts a caller in the background and lets it run until it waits */
const start = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.zipLeft(Effect.forkScoped(self), settle)

/** a pool of so many idle connections */
const makeWarm = (connections: number, options?: Options) =>
  Effect.gen(function*() {
    const server = yield* SimulatedServer.make
    const pool = yield* makePool(server, { maxConnections: connections, ...options })
    const all = Array.from({ length: connections }, () => pool.acquire)
    yield* Effect.scoped(Effect.all(all, { concurrency: "unbounded" }))
    return { server, pool }
  })

/** every 20 ms one more comes and stays for 100 ms, without end: at no moment is nobody there */
const flood = (pool: SharingPoolOf) =>
  Effect.forkScoped(Effect.forever(
    Effect.zipRight(
      Effect.forkScoped(Effect.ignore(pool.share((connection) => Effect.delay(connection.query, "100 millis")))),
      Effect.sleep("20 millis")
    )
  ))

const patient: Options = { maxLeases: 1000, condition: () => "clean" }

const makeFlooded = (connections: number, options?: Options) =>
  Effect.gen(function*() {
    const made = yield* makeWarm(connections, { ...patient, ...options })
    yield* flood(made.pool)
    yield* Effect.sleep(200)
    assert.strictEqual((yield* made.pool.stats).leased, connections)
    return made
  })

describe("under shared load that never ends", () => {
  it("somebody who wants a connection alone gets one as soon as those who share it are done", () =>
    steadily(Effect.gen(function*() {
      for (const connections of [1, 3]) {
        const { pool } = yield* makeFlooded(connections)
        const alone = yield* start(Effect.scoped(hold(pool)))
        yield* Effect.sleep(120)
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(alone)))
      }
    })))

  it("those who want connections alone are served in turn, and those who share go on", () =>
    steadily(Effect.gen(function*() {
      const { pool } = yield* makeFlooded(2)
      const { acquired } = yield* pool.stats
      const alone = yield* start(
        Effect.forEach(Array.from({ length: 5 }), () => pool.use(() => Effect.sleep("50 millis")), {
          concurrency: "unbounded"
        })
      )
      yield* Effect.sleep(1200)
      yield* Fiber.join(alone)
      yield* Effect.sleep(200)
      assert.isAbove((yield* pool.stats).acquired, acquired + 40)
    })))

  it("those who share are served among many who want connections alone", () =>
    steadily(Effect.gen(function*() {
      const { pool } = yield* makeWarm(1, { maxLeases: 5 })
      yield* Effect.forkScoped(Effect.forever(Effect.zipRight(
        Effect.forkScoped(Effect.ignore(pool.use(() => Effect.sleep("10 millis")))),
        Effect.sleep("10 millis")
      )))
      yield* Effect.sleep(100)
      const shared = yield* start(pool.share(() => Effect.void))
      yield* Effect.sleep(200)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(shared)))
    })))

  it("those who share go on as soon as whoever waits before them for one alone is told of an outage", () =>
    steadily(Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 2, failFastAfter: "2 seconds" })
      const first = yield* share(pool)
      yield* server.always("connect", { fails: refusal("connection refused") })
      const alone = yield* start(Effect.exit(hold(pool)))
      yield* Effect.sleep("1 second")
      const second = yield* start(share(pool))
      yield* Effect.sleep("999 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(second)))
      yield* Effect.sleep("1 millis")
      failsWith(yield* Fiber.join(alone), "ConnectFailed")
      assert.isTrue(Option.isSome(yield* Fiber.poll(second)))
      const part = yield* Fiber.join(second)
      assert.strictEqual(part.id, first.id)
      yield* Effect.zipRight(part.end, first.end)
    })))

  it("connections past their soft expiry are replaced, one at a time", () =>
    steadily(Effect.gen(function*() {
      // three seconds old they expire softly, all of them at once
      const { pool, server } = yield* makeFlooded(3, { maxLifetime: "4 seconds", lifetimeJitter: 0.5 })
      let fewest = 3
      for (let i = 0; i < 150; i++) {
        yield* Effect.sleep(20)
        fewest = Math.min(fewest, (yield* pool.stats).leased)
      }
      assert.strictEqual((yield* pool.stats).retired.maxLifetime, 3)
      assert.isAtLeast(fewest, 2)
      assert.strictEqual(server.maxOpen, 3)
    })))

  it("maxUses counts every one of them, and a connection that has had so many is replaced", () =>
    steadily(Effect.gen(function*() {
      const { pool } = yield* makeFlooded(2, { maxUses: 20 })
      yield* Effect.sleep(2000)
      const { retired } = yield* pool.stats
      assert.isAtLeast(retired.maxUses, 4)
    })))

  it("what its driver calls worn is replaced", () =>
    steadily(Effect.gen(function*() {
      const { pool } = yield* makeFlooded(2, { worn: ({ id }) => id <= 2 })
      yield* Effect.sleep(1000)
      assert.strictEqual((yield* pool.stats).retired.worn, 2)
    })))

  it("a drain replaces all, and a hard one lends none of them again", () =>
    steadily(Effect.gen(function*() {
      for (const hard of [false, true]) {
        const { pool, server } = yield* makeFlooded(3)
        yield* pool.drain({ hard })
        yield* Effect.sleep(1500)
        assert.deepStrictEqual(server.connections.slice(0, 3).map(({ open }) => open), [false, false, false])
        assert.strictEqual((yield* pool.stats).retired.drained, 3)
      }
    })))

  it("while no other connection can be opened, expired ones are kept", () =>
    steadily(Effect.gen(function*() {
      const { pool, server } = yield* makeFlooded(2)
      yield* server.always("connect", { fails: refusal("down") })
      yield* pool.drain()
      yield* Effect.sleep(3000)
      assert.isAtLeast((yield* pool.stats).leased, 1)
      const { acquired } = yield* pool.stats
      yield* Effect.sleep(500)
      assert.isAbove((yield* pool.stats).acquired, acquired + 20)
    })))

  it("a smaller pool closes those that are too many", () =>
    steadily(Effect.gen(function*() {
      const { pool, server } = yield* makeFlooded(4)
      yield* pool.resize({ maxConnections: 2 })
      yield* Effect.sleep(500)
      assert.strictEqual(server.open, 2)
      assert.strictEqual((yield* pool.stats).retired.resized, 2)
    })))

  it("a suspended pool comes to rest, and goes on when it is resumed", () =>
    steadily(Effect.gen(function*() {
      const { pool } = yield* makeFlooded(2)
      yield* pool.suspend
      yield* Effect.sleep(200)
      const { idle, leased } = yield* pool.stats
      assert.deepStrictEqual({ idle, leased }, { idle: 2, leased: 0 })
      yield* pool.resume
      yield* Effect.sleep(100)
      assert.strictEqual((yield* pool.stats).leased, 2)
    })))

  it("a pool that closes lets those who share end, and takes no newcomers", () =>
    steadily(Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const closing = yield* Effect.fork(Effect.scoped(Effect.gen(function*() {
        const pool = yield* makePool(server, { maxConnections: 2, condition: () => "clean" })
        yield* Effect.forkDaemon(pool.share((connection) => Effect.delay(connection.query, "1 second")))
        yield* Effect.forkDaemon(pool.share((connection) => Effect.delay(connection.query, "2 seconds")))
        yield* settle
        return pool
      })))
      yield* settle
      assert.strictEqual(server.open, 2)
      yield* Effect.sleep("2 seconds")
      const pool = yield* Fiber.join(closing)
      yield* fails(pool.share(() => Effect.void), "PoolClosed")
      assert.strictEqual(server.open, 0)
    })))

  it("under an outage, shared leases that go well keep callers from being told that nothing works", () =>
    steadily(Effect.gen(function*() {
      const { pool, server } = yield* makeWarm(1, { ...patient, maxConnections: 2, failFastAfter: "1 second" })
      yield* server.always("connect", { fails: refusal("down") })
      yield* flood(pool)
      yield* Effect.sleep(3000)
      assert.isAbove((yield* pool.stats).connectFailures, 0)
      const alone = yield* start(pool.use(() => Effect.void))
      yield* Effect.sleep(200)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(alone)))
    })))
})
