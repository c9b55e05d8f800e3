import * as PoolLogger from "@dbpool/core/PoolLogger"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HashMap from "effect/HashMap"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Steady from "./steady.js"
import type { TestOptions } from "./support.js"
import { close, failsWith, hold, makePool, refusal, settle, start, use, warm } from "./support.js"

interface Line {
  readonly level: string
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** a pool that logs, and the lines above `Debug` that have come since somebody last looked */
const makeLogged = (
  server: SimulatedServer.SimulatedServer,
  options?: TestOptions,
  settings?: PoolLogger.Options,
  world = { makePool, settle }
) =>
  Effect.gen(function*() {
    const lines: Array<Line> = []
    const logger = Logger.make(({ annotations, logLevel, message }) => {
      const text = String(Array.isArray(message) ? message.join(" ") : message)
      lines.push({ level: logLevel.label, text, annotations: Object.fromEntries(HashMap.entries(annotations)) })
    })
    const pool = yield* world.makePool(server, options).pipe(
      Effect.provide(PoolLogger.layer(settings)),
      Effect.provide(Logger.add(logger)),
      Logger.withMinimumLogLevel(LogLevel.Debug)
    )
    const take = (which: (line: Line) => boolean) => {
      const taken = lines.filter(which)
      lines.length = 0
      return taken
    }
    return {
      pool,
      all: Effect.map(world.settle, () => take(() => true)),
      texts: Effect.map(world.settle, () =>
        take(({ level }) => level !== "DEBUG").map(({ level, text }) => `${level}: ${text}`))
    }
  })

describe("PoolLogger", () => {
  it("says of an outage that it began, and that it is over, however many callers came meanwhile", () =>
    Steady.steadily(Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const { pool, texts } = yield* makeLogged(server, {}, {}, Steady)
      yield* server.always("connect", { fails: refusal("connection refused") })
      for (let second = 0; second < 60; second++) {
        yield* Effect.all([1, 2, 3, 4, 5].map(() => Effect.forkScoped(use(pool))))
        yield* Effect.sleep("1 second")
      }
      assert.deepStrictEqual(yield* texts, ["WARN: Pool \"test\" cannot connect: connection refused"])
      yield* server.always("connect", {})
      yield* Effect.forkScoped(Effect.exit(use(pool)))
      yield* Effect.sleep("10 seconds")
      yield* use(pool)
      const [recovery, ...more] = yield* texts
      assert.match(
        recovery!,
        /^INFO: Pool "test" connects again after 6\d(\.\d)? s, in which 30\d callers got an error$/
      )
      assert.deepStrictEqual(more, [])
    })))

  it("does not flood the log when a proxy lets everybody in and the server behind it is down", () =>
    Steady.steadily(Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const { pool, texts } = yield* makeLogged(server, {}, {}, Steady)
      const caller = use(pool).pipe(
        Effect.zipRight(Effect.suspend(() => server.kill(server.connections.at(-1)!))),
        Effect.exit
      )
      for (let n = 0; n < 120; n++) {
        yield* Effect.forkScoped(caller)
        yield* Effect.sleep("500 millis")
      }
      assert.isAtMost((yield* texts).length, 4 * 6)
    })))

  it.scoped("counts what comes in masses, and tells it once in a while", () =>
    Effect.gen(function*() {
      const { pool, texts } = yield* makeLogged(yield* SimulatedServer.make, { maxConnections: 1 })
      yield* hold(pool)
      const refused = Effect.exit(use(pool, { whenExhausted: "fail" }))
      for (let n = 0; n < 500; n++) yield* refused
      const [line, ...more] = yield* texts
      assert.match(line!, /^WARN: .*"test".*$/)
      assert.deepStrictEqual(more, [])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* texts, [`${line} (and 498 more within 10 s)`])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* texts, [])
      yield* refused
      assert.deepStrictEqual(yield* texts, [line])
    }))

  it.scoped("tells what it has counted before the pool closes, and leaves no timer behind", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { pool, texts } = yield* Scope.extend(
        makeLogged(yield* SimulatedServer.make, { maxConnections: 1 }, { every: "1 hour" }),
        scope
      )
      const held = yield* hold(pool)
      for (let n = 0; n < 3; n++) yield* Effect.exit(use(pool, { whenExhausted: "fail" }))
      yield* held.end
      yield* close(scope)
      const lines = yield* texts
      assert.match(lines[1]!, /\(and 1 more within 3600 s\)$/)
      assert.strictEqual(lines[2], "INFO: Pool \"test\" is closing")
      failsWith(yield* Effect.exit(use(pool)), "PoolClosed")
      assert.deepStrictEqual(yield* texts, [])
    }))

  it.scoped("carries the pool, the event and its numbers as annotations", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "100 millis" })
      const { all, pool } = yield* makeLogged(server, { name: "orders" })
      yield* warm(pool, 1)
      yield* pool.evictIdle
      assert.deepStrictEqual(yield* all, [
        {
          level: "DEBUG",
          text: "Pool \"orders\" has opened connection 1 in 100 ms",
          annotations: { pool: "orders", event: "ConnectionOpened", connectionId: 1, connectMillis: 100 }
        },
        {
          level: "DEBUG",
          text: "Pool \"orders\" gives up connection 1 (evicted) after 900 ms and 1 lease",
          annotations: {
            pool: "orders",
            event: "ConnectionRetired",
            connectionId: 1,
            reason: "evicted",
            ageMillis: 900,
            uses: 1
          }
        },
        {
          level: "DEBUG",
          text: "Pool \"orders\" has closed connection 1",
          annotations: { pool: "orders", event: "ConnectionClosed", connectionId: 1 }
        }
      ])
    }))

  it.scoped("says what operators did, what was lost, and what would not close", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const { pool, texts } = yield* makeLogged(server)
      yield* warm(pool, 3)
      yield* pool.resize({ maxConnections: 5, minConnections: 1 })
      yield* pool.drain({ over: "1 minute" })
      yield* pool.suspend
      yield* pool.resume
      assert.deepStrictEqual(yield* texts, [
        "INFO: Pool \"test\" may now have 1 to 5 connections",
        "INFO: Pool \"test\" replaces its connections within 60 s",
        "INFO: Pool \"test\" is suspended",
        "INFO: Pool \"test\" is resumed"
      ])
      yield* server.always("close", { takes: "never" })
      yield* server.kill(server.connections[0]!)
      yield* TestClock.adjust("2 seconds")
      const [lost, abandoned] = yield* texts
      assert.strictEqual(lost, "INFO: Pool \"test\" gives up connection 1 (lost) after 1 s and 1 lease")
      assert.strictEqual(abandoned, "WARN: Pool \"test\" had to destroy connection 1, which did not close")
    }))

  it.scoped("runs loggers outside of the pool's decisions, so that one that uses the pool harms nothing", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const seen: Array<string> = []
      const pool = yield* makePool(server).pipe(
        Effect.provide(PoolLogger.layer()),
        Effect.provide(Logger.add(Logger.make(({ message }) => {
          seen.push(String(message))
          if (seen.length === 1) Effect.runFork(pool.evictIdle)
          throw new Error("a logger that throws")
        })))
      )
      yield* pool.resize({ maxConnections: 2 })
      const fiber = yield* start(use(pool))
      assert.strictEqual(yield* Fiber.join(fiber), 1)
      assert.isAbove(seen.length, 0)
    }))

  it.scoped("refuses an interval that is none, when the pool is made", () =>
    Effect.gen(function*() {
      for (const every of [0, -1, "soon" as never]) {
        const exit = yield* Effect.exit(
          Effect.provide(makePool(yield* SimulatedServer.make), PoolLogger.layer({ every }))
        )
        assert.include(failsWith(exit, "InvalidPoolConfig").message, "every")
      }
    }))
})
