import * as Pool from "@dbpool/core/Pool"
import * as PoolRules from "@dbpool/testing/PoolRules"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/TestClock"

// ---- the program

class QueryFailed extends Data.TaggedError("QueryFailed")<{ readonly cause: unknown }> {}

interface Connection {
  readonly query: Effect.Effect<number, unknown>
}

class Db extends Pool.Tag("app/Db")<Db, Connection>() {}

/** a report can be made again; one that takes too long is of no use to anybody */
const report = Effect.flatMap(
  Db,
  (db) => db.use(({ query }) => Effect.mapError(query, (cause) => new QueryFailed({ cause })), { timeout: "1 second" })
).pipe(
  Effect.retry({
    while: (error) => error._tag === "QueryFailed" || error.isRetryable,
    schedule: Schedule.spaced("500 millis")
  }),
  Effect.timeout("10 seconds")
)

// ---- its tests

const DbTest = (server: SimulatedServer.SimulatedServer) =>
  Layer.scoped(
    Db,
    Effect.map(
      PoolRules.make({ ...server.options, name: "db", maxConnections: 3 }, { tolerance: "1 millis" }),
      ({ pool }) => pool
    )
  )

/** ten reports at once, in the background */
const tenReports = (server: SimulatedServer.SimulatedServer) =>
  Effect.all(Array.from({ length: 10 }, () => report), { concurrency: "unbounded" }).pipe(
    Effect.provide(DbTest(server)),
    Effect.fork
  )

it.effect("reports are made although the server restarts, and refuses connections for a while", () =>
  Effect.gen(function*() {
    const server = yield* SimulatedServer.make
    yield* server.always("query", { takes: "100 millis" })
    const reports = yield* tenReports(server)

    yield* TestClock.adjust("150 millis") // three have been made, and three are on their way
    yield* server.next("connect", { fails: new SimulatedServer.ServerError({ message: "connection refused" }) }, 3)
    yield* server.restart
    yield* TestClock.adjust("10 seconds")

    assert.strictEqual((yield* Fiber.join(reports)).length, 10)
    assert.strictEqual(server.calls.query, 13)
  }))

it.effect("reports fail in time when the server is deaf", () =>
  Effect.gen(function*() {
    const server = yield* SimulatedServer.make
    yield* server.goDeaf
    yield* server.next("connect", {}) // the program begins when it has one connection
    const reports = yield* tenReports(server)

    yield* TestClock.adjust("10 seconds")
    assert.strictEqual((yield* Effect.flip(Fiber.join(reports)))._tag, "TimeoutException")
  }))
