import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import { Refused, Server } from "./server.js"
import type { TestOptions, TestPool } from "./support.js"
import * as Support from "./support.js"
import { failsWith, hold, settle, start, timed, use, warm } from "./support.js"

/** a pool whose retries come exactly in the middle of their jitter */
const makePool = (server: Server, options?: TestOptions) =>
  Effect.withRandom(Support.makePool(server, options), Random.fixed([0.5]))

/** one caller every so many milliseconds, for so long; what became of each, and how long it took */
const traffic = (pool: TestPool, options: { readonly every: number; readonly during: number }) =>
  Effect.forEach(
    Array.from({ length: Math.floor(options.during / options.every) }, (_, i) => i * options.every),
    (delay) =>
      Effect.delay(
        Effect.gen(function*() {
          const from = yield* Clock.currentTimeMillis
          const { at, exit } = yield* timed(use(pool))
          return { from, exit, took: at - from }
        }),
        delay
      ),
    { concurrency: "unbounded" }
  )

describe("an outage of a minute under traffic", () => {
  it.scoped("is told to callers, is not hammered at, and ends promptly", () =>
    Effect.gen(function*() {
      const server = new Server()
      const pool = yield* makePool(server)
      const cause = new Refused("connection refused")
      server.refuse = cause
      const callers = yield* start(traffic(pool, { every: 500, during: 80_000 }))
      yield* TestClock.adjust("1 minute")
      const attempts = server.attempts
      server.refuse = undefined
      yield* TestClock.adjust("20 seconds")
      const seen = yield* Fiber.join(callers)

      for (const { exit, from, took } of seen) {
        if (Exit.isSuccess(exit)) continue
        assert.strictEqual(failsWith(exit, "ConnectFailed").cause, cause)
        assert.isAtMost(took, from < 5000 ? 5000 : 0)
      }
      assert.isAtMost(attempts, 25)
      const recovered = seen.find(({ exit }) => Exit.isSuccess(exit))!
      assert.isAtMost(recovered.from + recovered.took - 60_000, 1.25 * 5000 + 1000)
      assert.isTrue(seen.filter(({ from }) => from >= 67_000).every(({ exit }) => Exit.isSuccess(exit)))
    }))

  it.scoped("a wrong password is told at once, tried seldom, and forgiven when it is right", () =>
    Effect.gen(function*() {
      const server = new Server()
      const pool = yield* makePool(server)
      server.refuse = new Refused("password authentication failed", "fatal")
      const callers = yield* start(traffic(pool, { every: 250, during: 40_000 }))
      yield* TestClock.adjust("30 seconds")
      const attempts = server.attempts
      server.refuse = undefined
      yield* TestClock.adjust("10 seconds")
      const seen = yield* Fiber.join(callers)

      const failed = seen.filter(({ exit }) => Exit.isFailure(exit))
      for (const { exit, took } of failed) {
        assert.isTrue(failsWith(exit, "ConnectFailed").fatal)
        assert.strictEqual(took, 0)
      }
      assert.isAtMost(attempts, 8)
      assert.isAtMost(Math.max(...failed.map(({ from }) => from)), 30_000 + 7_000)
    }))

  it.scoped("a network that swallows everything makes nobody wait longer than failFastAfter", () =>
    Effect.gen(function*() {
      const server = new Server()
      const pool = yield* makePool(server, { failFastAfter: "3 seconds", connectTimeout: "2 seconds" })
      server.connectTime = "never"
      const callers = yield* start(traffic(pool, { every: 500, during: 30_000 }))
      yield* TestClock.adjust("40 seconds")
      for (const { exit, took } of yield* Fiber.join(callers)) {
        assert.include(failsWith(exit, "ConnectFailed").message, "no answer within 2 s")
        assert.isAtMost(took, 3000)
      }
    }))
})

describe("a restart", () => {
  it.scoped("of three seconds is sat out by a thousand waiters", () =>
    Effect.gen(function*() {
      const server = new Server()
      const pool = yield* makePool(server)
      yield* warm(pool, 10)
      const holders = yield* Effect.forEach(Array.from({ length: 10 }), () => hold(pool))
      const callers = yield* start(Effect.forEach(
        Array.from({ length: 1000 }),
        () => Effect.exit(pool.use((connection) => Effect.as(Effect.yieldNow(), connection.open))),
        { concurrency: "unbounded" }
      ))
      server.refuse = new Refused("the database system is starting up")
      server.kill()
      yield* Effect.forEach(holders, ({ end }) => end)
      yield* TestClock.adjust("3 seconds")
      // four that were under way together, then one at 100, 300, 700, 1500 ms
      assert.isAtMost(server.attempts - 10, 8)
      assert.strictEqual((yield* pool.stats).waiting, 1000)
      server.refuse = undefined
      yield* TestClock.adjust("1 second")
      const exits = yield* Fiber.join(callers)
      assert.isTrue(exits.every((exit) => Exit.isSuccess(exit) && exit.value))
      assert.isAtMost(server.maxOpen, 10)
    }))

  it.scoped("is followed by a ramp: one connect, then one more, then two, however many wait", () =>
    Effect.gen(function*() {
      const server = new Server()
      const pool = yield* makePool(server, { connectConcurrency: 8, maxConnections: 20, acquireTimeout: "1 minute" })
      server.refuse = new Refused("down")
      yield* start(Effect.forEach(
        Array.from({ length: 20 }),
        () => pool.use(() => Effect.sleep("30 seconds")),
        { concurrency: "unbounded" }
      ))
      yield* TestClock.adjust("1 second")
      server.refuse = undefined
      server.connectTime = "1 second"
      server.maxConnecting = 0
      server.attempts = 0
      const attempts: Array<number> = []
      for (let i = 0; i < 12; i++) {
        yield* TestClock.adjust("250 millis")
        if (server.attempts !== attempts.at(-1)) attempts.push(server.attempts)
      }
      assert.deepStrictEqual(attempts.filter((n) => n > 0).slice(0, 3), [1, 2, 4])
      yield* TestClock.adjust("40 seconds")
    }))

  it.scoped("tells those who wait at once when nothing has worked for long", () =>
    Effect.gen(function*() {
      const server = new Server()
      const pool = yield* makePool(server, { failFastAfter: "2 seconds" })
      server.refuse = new Refused("down")
      const first = yield* start(timed(use(pool)))
      yield* TestClock.adjust("3 seconds")
      failsWith((yield* Fiber.join(first)).exit, "ConnectFailed")
      yield* settle
      const second = yield* start(timed(use(pool)))
      yield* settle
      assert.strictEqual((yield* Fiber.join(second)).at, 3000)
    }))
})
