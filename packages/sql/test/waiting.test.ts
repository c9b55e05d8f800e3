import * as AcquireOptions from "@dbpool/core/AcquireOptions"
import * as SqlPool from "@dbpool/sql/SqlPool"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { FakeServer } from "./server.js"
import { failsWith, makeOne, makePool, start } from "./support.js"

/** every way to a connection */
const ways = (pool: SqlPool.SqlPool) => {
  const sql = pool.client
  const select: Effect.Effect<unknown, any> = sql`select 1`
  return {
    "a statement": select,
    "a stream": Stream.runDrain(sql`select 1`.stream),
    "values": sql`select 1`.values,
    "reserve": Effect.scoped(sql.reserve),
    "withTransaction of the client": sql.withTransaction(select),
    "withTransaction": pool.withTransaction(select),
    "transaction": select.pipe(pool.transaction({ timeout: "1 hour" })),
    "use": pool.use((connection) => connection.query("select 1")),
    "acquire": Effect.scoped(pool.acquire),
    "stream": Stream.runDrain(pool.stream((connection) => connection.stream("select 1")))
  } as Record<string, Effect.Effect<unknown, any>>
}

const forEachWay = (
  pool: SqlPool.SqlPool,
  f: (way: Effect.Effect<unknown, any>, name: string) => Effect.Effect<void>
) => Effect.forEach(Object.entries(ways(pool)), ([name, way]) => f(way, name), { discard: true })

const whileTaken = <A, E, R>(pool: SqlPool.SqlPool, self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const holder = yield* start(pool.use(() => Effect.never))
    const result = yield* self
    yield* Fiber.interrupt(holder)
    return result
  })

describe("waiting for a connection", () => {
  it.scoped("can be interrupted, whatever waits: with `Effect.timeout`, at the exact millisecond", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne()
      yield* whileTaken(
        pool,
        forEachWay(pool, (way, name) =>
          Effect.gen(function*() {
            const fiber = yield* start(Effect.exit(Effect.timeout(way, "200 millis")))
            yield* TestClock.adjust("199 millis")
            assert.isNull(fiber.unsafePoll(), name)
            yield* TestClock.adjust("1 millis")
            yield* failsWith(Effect.flatten(Fiber.join(fiber)), "TimeoutException")
            assert.strictEqual((yield* pool.stats).waiting, 0, name)
          }))
      )
      assert.deepStrictEqual(server.log, [])
    }))

  it.scoped("can be interrupted while the server cannot be reached", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      server.unreachable = true
      const pool = yield* makePool(server)
      yield* forEachWay(pool, (way, name) =>
        Effect.gen(function*() {
          const fiber = yield* start(Effect.exit(Effect.timeout(way, "200 millis")))
          yield* TestClock.adjust("200 millis")
          assert.isTrue(Exit.isFailure(yield* Fiber.join(fiber)), name)
        }))
    }))

  it.scoped("ends with AcquireTimeout at `acquireTimeout`", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeOne({ acquireTimeout: "3 seconds" })
      yield* whileTaken(
        pool,
        forEachWay(pool, (way) =>
          Effect.gen(function*() {
            const fiber = yield* start(Effect.exit(SqlPool.refineErrors(way)))
            yield* TestClock.adjust("3 seconds")
            yield* failsWith(Effect.flatten(Fiber.join(fiber)), "AcquireTimeout")
          }))
      )
    }))

  it.scoped("obeys `AcquireOptions.within`: `whenExhausted` and `timeout`", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne()
      yield* whileTaken(
        pool,
        forEachWay(pool, (way) =>
          Effect.gen(function*() {
            const error = yield* failsWith(
              SqlPool.refineErrors(way).pipe(AcquireOptions.within({ whenExhausted: "fail" })),
              "TooManyConnections"
            )
            assert.strictEqual(error.reason, "Exhausted")
            const fiber = yield* start(
              Effect.exit(SqlPool.refineErrors(way).pipe(AcquireOptions.within({ timeout: "50 millis" })))
            )
            yield* TestClock.adjust("50 millis")
            yield* failsWith(Effect.flatten(Fiber.join(fiber)), "AcquireTimeout")
          }))
      )
      assert.deepStrictEqual(server.log, [])
    }))

  it.scoped("obeys the options of the call itself", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeOne()
      yield* whileTaken(
        pool,
        Effect.gen(function*() {
          const now = { whenExhausted: "fail" } as const
          yield* failsWith(pool.use(() => Effect.void, now), "TooManyConnections")
          yield* failsWith(Stream.runDrain(pool.stream(() => Stream.empty, now)), "TooManyConnections")
          yield* failsWith(Effect.scoped(pool.acquireWith(now)), "TooManyConnections")
          yield* failsWith(Effect.scoped(pool.tryAcquire), "TooManyConnections")
        })
      )
    }))

  it.scoped("a statement inside a transaction does not wait for a connection: it has one", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      yield* pool.withTransaction(sql`insert a`).pipe(AcquireOptions.within({ whenExhausted: "fail" }))
      assert.deepStrictEqual(server.data, ["a"])
    }))

  it.scoped("is a TooManyConnections inside a SqlError where the client's type demands one", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makeOne({ whenExhausted: "fail" })
      yield* whileTaken(
        pool,
        Effect.gen(function*() {
          const error = yield* failsWith(sql`select 1`, "SqlError")
          assert.strictEqual((error.cause as { readonly _tag: string })._tag, "TooManyConnections")
          yield* failsWith(sql.withTransaction(Effect.void), "SqlError")
        })
      )
    }))
})
