import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { failsWith, hold, makePool, start, timed } from "./support.js"

const numbers = Stream.range(1, 5)

describe("stream", () => {
  it.scoped("holds one connection while it runs, and gives it back at its end", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make)
      const leased = yield* pool.stream((connection) =>
        numbers.pipe(Stream.mapEffect(() => Effect.map(pool.stats, (stats) => [connection.id, stats.leased])))
      ).pipe(Stream.runCollect)
      assert.deepStrictEqual(Array.from(leased), Array.from({ length: 5 }, () => [1, 1]))
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))

  it.scoped("gives it back when only its beginning is taken", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make)
      yield* pool.stream(() => numbers).pipe(Stream.take(2), Stream.runDrain)
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))

  it.scoped("gives it back when it fails, dies, or throws before there is a stream", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make)
      assert.deepStrictEqual(yield* Effect.exit(Stream.runDrain(pool.stream(() => Stream.fail("no")))), Exit.fail("no"))
      yield* Effect.exit(Stream.runDrain(pool.stream(() => Stream.die("a bug"))))
      yield* Effect.exit(Stream.runDrain(pool.stream((): Stream.Stream<never> => {
        throw new Error("a bug")
      })))
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))

  it.scoped("gives it back when it is interrupted", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make)
      const fiber = yield* start(Stream.runDrain(pool.stream(() => Stream.never)))
      assert.strictEqual((yield* pool.stats).leased, 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))

  it.scoped("waits for a connection as other callers do, with options of its own", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const held = yield* hold(pool)
      const refused = yield* Effect.exit(Stream.runDrain(pool.stream(() => numbers, { whenExhausted: "fail" })))
      failsWith(refused, "TooManyConnections")
      const late = yield* start(timed(Stream.runDrain(pool.stream(() => numbers, { timeout: "1 second" }))))
      yield* TestClock.adjust("1 second")
      const { at, exit } = yield* Fiber.join(late)
      failsWith(exit, "AcquireTimeout")
      assert.strictEqual(at, 1000)
      const patient = yield* start(Stream.runCount(pool.stream(() => numbers)))
      yield* held.end
      assert.strictEqual(yield* Fiber.join(patient), 5)
    }))
})
