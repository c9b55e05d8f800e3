import * as PoolSchedule from "@dbpool/core/PoolSchedule"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/TestClock"
import { hold, logged, makePool, settle, start, use, warm } from "./support.js"

describe("idleSchedule", () => {
  it.scoped("says when the idle ones are looked at, so that they are closed together", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { idleTimeout: "1 minute", idleSchedule: Schedule.spaced("5 minutes") })
      yield* warm(pool, 3)
      yield* TestClock.adjust("4 minutes")
      assert.strictEqual(server.open, 3)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(server.open, 0)
      assert.strictEqual((yield* pool.stats).retired.idleTimeout, 3)
    }))

  it.scoped("spares what has been idle for less than idleTimeout, and the minimum", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        idleTimeout: "1 minute",
        minConnections: 1,
        maxLifetime: Duration.infinity,
        idleSchedule: Schedule.spaced("50 seconds")
      })
      yield* warm(pool, 3)
      yield* TestClock.adjust("50 seconds")
      assert.strictEqual(server.open, 3)
      yield* TestClock.adjust("50 seconds")
      assert.strictEqual(server.open, 1)
    }))

  it.scoped("is fed with how many were closed, and nobody looks any more when it ends", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const fed: Array<number> = []
      const pool = yield* makePool(server, {
        idleTimeout: "1 second",
        maxLifetime: Duration.infinity,
        idleSchedule: Schedule.spaced("10 seconds").pipe(
          Schedule.tapInput((closed: number) => Effect.sync(() => fed.push(closed))),
          Schedule.intersect(Schedule.recurs(1))
        )
      })
      yield* warm(pool, 2)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(fed, [0, 2])
      yield* use(pool)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(server.open, 1)
    }))

  it.scoped("that dies is told to the log, and takes nothing else along", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const server = yield* SimulatedServer.make
        const pool = yield* makePool(server, {
          idleSchedule: Schedule.tapInput(Schedule.spaced("1 minute"), () => Effect.dieMessage("a bug"))
        })
        yield* settle
        assert.deepStrictEqual(lines, [`WARN: Pool "test": idleSchedule died, and is not asked again`])
        yield* use(pool)
      })
    ))

  it.scoped("PoolSchedule.idle looks four times within the time", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { idleTimeout: "1 minute", idleSchedule: PoolSchedule.idle("1 minute") })
      yield* TestClock.adjust("5 seconds")
      yield* use(pool)
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(server.open, 1)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(server.open, 0)
    }))
})

describe("keepaliveSchedule", () => {
  it.scoped("says when every idle connection is validated, one after the other, and closes the stale", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const fed: Array<number> = []
      const pool = yield* makePool(server, {
        keepaliveSchedule: Schedule.spaced("1 minute").pipe(
          Schedule.tapInput((stale: number) => Effect.sync(() => fed.push(stale)))
        )
      })
      yield* warm(pool, 3)
      yield* server.kill(server.connections[1]!, { unheard: true })
      yield* server.always("validate", { takes: "100 millis" })
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual((yield* pool.stats).reserved, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(server.calls.validate, 3)
      assert.deepStrictEqual(fed, [0, 1])
      assert.strictEqual((yield* pool.stats).idle, 2)
    }))

  it.scoped("takes the place of keepaliveInterval", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* makePool(server, {
        minConnections: 1,
        maxLifetime: Duration.infinity,
        keepaliveInterval: "1 second",
        keepaliveSchedule: Schedule.spaced("1 minute")
      })
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(server.calls.validate, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(server.calls.validate, 1)
    }))

  it.scoped("keeps nobody waiting: while somebody waits nothing is taken out", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 2, keepaliveSchedule: Schedule.spaced("1 minute") })
      yield* warm(pool, 1)
      yield* pool.suspend
      const caller = yield* start(use(pool))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(server.calls.validate, 0)
      yield* pool.resume
      yield* caller.await
      yield* hold(pool)
    }))

  it.scoped("PoolSchedule.keepalive comes at random within ±10 %", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, {
        minConnections: 1,
        maxLifetime: Duration.infinity,
        keepaliveSchedule: PoolSchedule.keepalive("1 minute")
      })
      yield* settle
      assert.strictEqual((yield* pool.stats).idle, 1)
      yield* TestClock.adjust("53 seconds")
      assert.strictEqual(server.calls.validate, 0)
      yield* TestClock.adjust("14 seconds")
      assert.strictEqual(server.calls.validate, 1)
    }))
})
