import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import type { TestOptions } from "./support.js"
import { failsWith, hold, makePool, refusal, settle, start, use, warm } from "./support.js"

/** nothing ends by itself */
const lasting: TestOptions = { idleTimeout: Duration.infinity, maxLifetime: Duration.infinity, validate: undefined }

const openOnes = (server: SimulatedServer.SimulatedServer) =>
  server.connections.filter(({ open }) => open).map(({ id }) => id)

describe("resize", () => {
  it.scoped("lets more callers in at once", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, maxConnections: 1 })
      yield* hold(pool)
      const waiting = yield* start(hold(pool))
      assert.isTrue(Option.isNone(yield* Fiber.poll(waiting)))
      yield* pool.resize({ maxConnections: 2 })
      assert.strictEqual((yield* Fiber.join(waiting)).connection.id, 2)
      assert.strictEqual((yield* pool.stats).maxConnections, 2)
    }))

  it.scoped("to a higher minimum opens what is missing", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, lasting)
      yield* pool.resize({ minConnections: 3 })
      yield* settle
      assert.strictEqual((yield* pool.stats).idle, 3)
    }))

  it.scoped("to fewer closes what is idle at once, and the rest when it comes back, without handing it on", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, maxConnections: 5 })
      const held = [yield* hold(pool), yield* hold(pool), yield* hold(pool)]
      yield* warm(pool, 2)
      yield* pool.resize({ maxConnections: 1 })
      yield* settle
      assert.deepStrictEqual(openOnes(server), [1, 2, 3])
      const waiting = yield* start(hold(pool))
      yield* held[0]!.end
      yield* settle
      assert.deepStrictEqual(openOnes(server), [2, 3])
      assert.isTrue(Option.isNone(yield* Fiber.poll(waiting)))
      yield* held[1]!.end
      yield* settle
      assert.deepStrictEqual(openOnes(server), [3])
      yield* held[2]!.end
      assert.strictEqual((yield* Fiber.join(waiting)).connection.id, 3)
    }))

  it.scoped("to fewer also lets go of those that are just being opened", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "1 second" })
      const pool = yield* makePool(server, { ...lasting, maxConnections: 3 })
      const waiting = yield* start(Effect.all([hold(pool), hold(pool)], { concurrency: 2 }))
      yield* TestClock.adjust("1 second")
      yield* pool.resize({ maxConnections: 1 })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(server.open, 1)
      yield* Fiber.interrupt(waiting)
    }))

  it.scoped("to fewer also lets go of one that was just being validated", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        ...lasting,
        maxConnections: 2,
        validateAfterIdle: 0,
        validate: () => Effect.delay(Effect.succeed(true), "1 second")
      })
      yield* warm(pool, 2)
      const busy = yield* hold(pool)
      const checking = yield* start(pool.check)
      yield* pool.resize({ maxConnections: 1 })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(checking)
      assert.deepStrictEqual(openOnes(server), [busy.connection.id])
    }))

  it.scoped("to fewer also lets go of one whose borrower was interrupted on its way to it", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, maxConnections: 2 })
      const [one, other] = [yield* hold(pool), yield* hold(pool)]
      const waiting = yield* start(hold(pool))
      // handed over and interrupted in one step, before the borrower runs
      yield* one.end
      waiting.unsafeInterruptAsFork(waiting.id())
      yield* pool.resize({ maxConnections: 1 })
      yield* settle
      assert.deepStrictEqual(openOnes(server), [other.connection.id])
    }))

  it.scoped("refuses what does not go together, and changes nothing", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, minConnections: 2 })
      const error = failsWith(yield* Effect.exit(pool.resize({ maxConnections: 1 })), "InvalidPoolConfig")
      assert.strictEqual(error.option, "minConnections")
      assert.strictEqual(error.pool, "test")
      assert.strictEqual((yield* pool.stats).maxConnections, 10)
    }))
})

describe("evictIdle", () => {
  it.scoped("closes what is idle, leaves what is lent, and has the minimum opened again", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, minConnections: 2 })
      const held = yield* hold(pool)
      yield* warm(pool, 3)
      const { idle } = yield* pool.stats
      assert.strictEqual(yield* pool.evictIdle, idle)
      yield* settle
      assert.isTrue(held.connection.open)
      assert.deepStrictEqual(openOnes(server), [held.connection.id, server.connections.length])
    }))
})

describe("drain", () => {
  it.scoped("replaces every connection, each after its successor is there", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, minConnections: 3, maxConnections: 4 })
      yield* settle
      yield* server.always("connect", { takes: "1 second" })
      yield* pool.drain()
      for (let i = 0; i < 3; i++) {
        assert.isAtLeast((yield* pool.stats).idle, 3)
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(openOnes(server), [4, 5, 6])
    }))

  it.scoped("at the maximum closes one first, one at a time", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, minConnections: 3, maxConnections: 3 })
      yield* settle
      yield* server.always("connect", { takes: "1 second" })
      yield* pool.drain()
      for (let i = 0; i < 3; i++) {
        yield* settle
        assert.strictEqual((yield* pool.stats).idle, 2)
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(openOnes(server), [4, 5, 6])
      assert.strictEqual(server.maxOpen, 3)
    }))

  it.scoped("spreads it over a time", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, minConnections: 3 })
      yield* settle
      yield* Effect.withRandom(pool.drain({ over: "1 minute" }), Random.fixed([0.1, 0.5, 0.9]))
      assert.deepStrictEqual(openOnes(server), [1, 2, 3])
      yield* TestClock.adjust("6 seconds")
      assert.lengthOf(openOnes(server).filter((id) => id <= 3), 2)
      yield* TestClock.adjust("24 seconds")
      assert.lengthOf(openOnes(server).filter((id) => id <= 3), 1)
      yield* TestClock.adjust("24 seconds")
      assert.deepStrictEqual(openOnes(server), [4, 5, 6])
    }))

  it.scoped("lets an old connection be lent again while there is no other, unless it is hard", () =>
    Effect.gen(function*() {
      for (const hard of [false, true]) {
        const server = yield* SimulatedServer.make
        const pool = yield* makePool(server, { ...lasting, maxConnections: 1 })
        const held = yield* hold(pool)
        const waiting = yield* start(hold(pool))
        yield* pool.drain({ hard })
        yield* held.end
        assert.strictEqual((yield* Fiber.join(waiting)).connection.id, hard ? 2 : 1)
      }
    }))

  it.scoped("that is hard never lends a connection that was just being opened", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "2 seconds" })
      const pool = yield* makePool(server, lasting)
      const using = yield* start(use(pool))
      yield* TestClock.adjust("1 second")
      yield* pool.drain({ hard: true })
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(using), 2)
      assert.deepStrictEqual(openOnes(server), [2])
    }))

  it.scoped("replaces a connection, too, that was just being opened", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "2 seconds" })
      const pool = yield* makePool(server, lasting)
      const using = yield* start(use(pool))
      yield* TestClock.adjust("1 second")
      yield* pool.drain()
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(using), 1)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(openOnes(server), [2])
    }))
})

describe("suspend", () => {
  it.scoped("lends and opens nothing until the pool is resumed", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, minConnections: 1, maxConnections: 1 })
      yield* settle
      yield* pool.suspend
      yield* pool.evictIdle
      const waiting = yield* start(Effect.all([use(pool), use(pool)], { concurrency: 2 }))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(server.calls.connect, 1)
      assert.strictEqual((yield* pool.stats).waiting, 2)
      yield* pool.resume
      assert.deepStrictEqual(yield* Fiber.join(waiting), [2, 2])
    }))

  it.scoped("does not lend an idle connection either", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, lasting)
      yield* use(pool)
      yield* pool.suspend
      const waiting = yield* start(use(pool))
      assert.isTrue(Option.isNone(yield* Fiber.poll(waiting)))
      yield* pool.resume
      assert.strictEqual(yield* Fiber.join(waiting), 1)
    }))

  it.scoped("keeps what comes back, and lets deadlines run on", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, acquireTimeout: "3 seconds" })
      const held = yield* hold(pool)
      yield* pool.suspend
      const waiting = yield* start(Effect.exit(use(pool)))
      yield* held.end
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(failsWith(yield* Fiber.join(waiting), "AcquireTimeout").phase, "queueing")
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))

  it.scoped("tells those who would not wait", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, lasting)
      yield* pool.suspend
      const error = failsWith(yield* Effect.exit(Effect.scoped(pool.tryAcquire)), "PoolSuspended")
      assert.isTrue(error.isRetryable)
      assert.include(error.message, "\"test\" is suspended")
    }))

  it.scoped("does not keep the pool from closing", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, lasting)
      yield* use(pool)
      yield* pool.suspend
    }))
})

describe("check", () => {
  it.scoped("closes the idle connections that are stale, and says how many", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { ...lasting, validate: server.options.validate })
      yield* warm(pool, 3)
      yield* server.kill(server.connections[1]!, { unheard: true })
      const checked = yield* start(pool.check)
      assert.strictEqual(yield* Fiber.join(checked), 1)
      yield* settle
      assert.deepStrictEqual(openOnes(server), [1, 3])
      assert.strictEqual(yield* pool.check, 0)
    }))

  it.scoped("without a way to validate finds nothing", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, lasting)
      yield* use(pool)
      assert.strictEqual(yield* pool.check, 0)
      assert.strictEqual(server.open, 1)
    }))
})

describe("awaitReady", () => {
  it.scoped("ends when the minimum is open", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "1 second" })
      const pool = yield* makePool(server, { ...lasting, minConnections: 3, connectConcurrency: 1 })
      const ready = yield* start(pool.awaitReady)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(Option.isNone(yield* Fiber.poll(ready)))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(ready)
      assert.strictEqual((yield* pool.stats).idle, 3)
    }))

  it.scoped("tells what is wrong when there can be none", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("wrong password", "fatal") })
      const pool = yield* makePool(server, lasting)
      const error = failsWith(yield* Effect.exit(pool.awaitReady), "ConnectFailed")
      assert.include(error.message, "wrong password")
    }))
})

describe("drain over no duration at all", () => {
  it.scoped("is refused by name, and replaces nothing", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      yield* use(pool)
      for (const over of [-1, NaN, "soon" as "1 second"]) {
        const error = failsWith(yield* Effect.exit(pool.drain({ over })), "InvalidPoolConfig")
        assert.strictEqual(error.option, "over")
      }
      yield* settle
      assert.strictEqual(yield* use(pool), 1)
    }))
})
