import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { hold, logged, makePool, settle, start, use } from "./support.js"

describe("leakDetectionThreshold", () => {
  it.scoped("reports a lease that lasts longer, once, with who took it, where, and how long ago", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const pool = yield* makePool(yield* SimulatedServer.make, { leakDetectionThreshold: "1 minute" })
        const leak = yield* start(Effect.withSpan(pool.use(() => Effect.never), "report"))
        yield* TestClock.adjust("59 seconds")
        assert.deepStrictEqual(lines, [])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(lines, [
          "WARN: Pool \"test\" may have a leak: a connection is held by " +
          `fiber #${leak.id().id} in span "report" for 60 s (connection 1)`
        ])
        yield* TestClock.adjust("1 hour")
        assert.lengthOf(lines, 1)
        yield* Fiber.interrupt(leak)
      })
    ))

  it.scoped("reports each lease when it is due, also one that had to wait, and a session", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const pool = yield* makePool(yield* SimulatedServer.make, {
          maxConnections: 2,
          nestedAcquire: "allow",
          leakDetectionThreshold: "10 seconds"
        })
        const held = yield* hold(pool)
        yield* start(pool.session(Effect.zipRight(use(pool), Effect.never)))
        yield* start(pool.use(() => Effect.never))
        yield* TestClock.adjust("5 seconds")
        yield* held.end
        yield* settle
        yield* TestClock.adjust("5 seconds")
        assert.lengthOf(lines, 1)
        assert.include(lines[0], "connection 2")
        yield* TestClock.adjust("5 seconds")
        assert.lengthOf(lines, 2)
        assert.include(lines[1], "connection 1")
      })
    ))

  it.scoped("says nothing of connections that are lent often and shortly", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const pool = yield* makePool(yield* SimulatedServer.make, {
          maxConnections: 1,
          leakDetectionThreshold: "2 seconds"
        })
        for (let i = 0; i < 10; i++) {
          const lease = yield* start(pool.use(() => Effect.sleep("1 second")))
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(lease)
        }
        assert.deepStrictEqual(lines, [])
      })
    ))

  it.scoped("is off unless given", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const pool = yield* makePool(yield* SimulatedServer.make)
        yield* hold(pool)
        yield* TestClock.adjust("1 day")
        assert.deepStrictEqual(lines, [])
      })
    ))
})
