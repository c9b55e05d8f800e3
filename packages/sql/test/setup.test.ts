import type { SqlConnection } from "@dbpool/sql/SqlConnection"
import * as SqlPool from "@dbpool/sql/SqlPool"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { deaf, FakeServer, lose, refuse } from "./server.js"
import { failsWith, failure, makePool, settle, start } from "./support.js"

const two = ["SET a", "SET b"]

describe("setup", () => {
  it.scoped("runs its statements once on every physical connection, before anybody gets it", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      const pool = yield* makePool(server, { setup: two, maxConnections: 2 })
      const both = Effect.all([pool.use(() => settle), pool.client`select 1`], { concurrency: "unbounded" })
      yield* both
      yield* both
      assert.deepStrictEqual(server.connections.map(({ id }) => server.sentOn(id).slice(0, 2)), [two, two])
      assert.strictEqual(server.log.filter((line) => line.includes("SET")).length, 4)
    }))

  it.scoped("may be an effect on the connection, with requirements of its own", () =>
    Effect.gen(function*() {
      class Zone extends Context.Tag("Zone")<Zone, string>() {}
      const server = new FakeServer()
      const pool = yield* makePool(server, {
        setup: (connection) => Effect.flatMap(Zone, (zone) => connection.query(`SET ${zone}`))
      }).pipe(Effect.provideService(Zone, "utc"))
      yield* pool.client`select 1`
      assert.deepStrictEqual(server.sentOn(1), ["SET utc", "select 1"])
    }))

  it.scoped("gives it a handle that is dead afterwards", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      const kept: Array<SqlConnection> = []
      const pool = yield* makePool(server, { setup: (connection) => Effect.sync(() => kept.push(connection)) })
      yield* pool.client`select 1`
      yield* failsWith(kept[0]!.query("select 2"), "LeaseReleased")
    }))

  it.scoped("that fails is a failed connect: the driver says whether it can mend itself, the connection is closed", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      server.fatal = "Syntax"
      server.on("SET b", refuse("Syntax"))
      const pool = yield* makePool(server, { setup: two })
      const error = yield* failsWith(SqlPool.refineErrors(pool.client`select 1`), "ConnectFailed")
      assert.isTrue(error.fatal)
      assert.include(error.message, "Syntax (FAKE): refused: Syntax")
      assert.strictEqual(server.connections.length, 1)
    }))

  it.scoped("whose connection is lost is tried again, as every connect is", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      server.on("SET b", lose, 1)
      const pool = yield* makePool(server, { setup: two })
      const fiber = yield* start(pool.client`select 1`)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(server.sentOn(2), [...two, "select 1"])
    }))

  it.scoped("is bounded by connectTimeout, not by statementTimeout", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      server.on("SET a", deaf)
      const pool = yield* makePool(server, {
        setup: two,
        connectTimeout: "3 seconds",
        statementTimeout: "1 second",
        failFastAfter: 0
      })
      const fiber = yield* start(Effect.exit(SqlPool.refineErrors(pool.client`select 1`)))
      yield* TestClock.adjust("2999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      const error = failure(yield* Fiber.join(fiber))
      assert.strictEqual(error._tag, "ConnectFailed")
    }))

  it.scoped("that leaves a transaction open is a failed connect too", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(new FakeServer(), { setup: ["BEGIN"], failFastAfter: 0 })
      const error = yield* failsWith(SqlPool.refineErrors(pool.client`select 1`), "ConnectFailed")
      assert.include(error.message, "setup has left a transaction open")
    }))
})
