import * as PoolReset from "@dbpool/core/PoolReset"
import type { SqlConnection } from "@dbpool/sql/SqlConnection"
import type * as SqlPool from "@dbpool/sql/SqlPool"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { deaf, FakeServer, refuse } from "./server.js"
import { makePool, settle, start } from "./support.js"

/** what reaches the server of a lease that ran `statements`, and of what the pool does with the connection afterwards */
const afterLease = (
  reset: SqlPool.Reset | undefined,
  statements: ReadonlyArray<string>,
  options: SqlPool.Options = {}
) =>
  Effect.gen(function*() {
    const server = new FakeServer()
    const pool = yield* makePool(server, { ...options, maxConnections: 1, reset })
    yield* pool.use((connection) => Effect.forEach(statements, (sql) => connection.query(sql)))
    yield* settle
    yield* pool.client`select 1`
    yield* settle
    return { server, log: server.log }
  })

describe("reset", () => {
  it.scoped("\"rollback-if-needed\", the default, sends nothing after a clean lease", () =>
    Effect.gen(function*() {
      const clean = ["1: insert a", "1: select 1"]
      const dirty = ["1: BEGIN", "1: insert a", "1: ROLLBACK", "1: select 1"]
      for (const reset of [undefined, "rollback-if-needed"] as const) {
        assert.deepStrictEqual((yield* afterLease(reset, ["insert a"])).log, clean)
        assert.deepStrictEqual((yield* afterLease(reset, ["BEGIN", "insert a"])).log, dirty)
      }
    }))

  it.scoped("\"always-rollback\" sends ROLLBACK after every lease, once", () =>
    Effect.gen(function*() {
      const clean = yield* afterLease("always-rollback", ["insert a"])
      assert.deepStrictEqual(clean.log, ["1: insert a", "1: ROLLBACK", "1: select 1", "1: ROLLBACK"])
      const dirty = yield* afterLease("always-rollback", ["BEGIN", "insert a"])
      assert.deepStrictEqual(dirty.log, ["1: BEGIN", "1: insert a", "1: ROLLBACK", "1: select 1", "1: ROLLBACK"])
    }))

  it.scoped("\"session\" forgets what the holder has set, and runs setup again", () =>
    Effect.gen(function*() {
      const options = { setup: ["SET ours"] }
      const clean = yield* afterLease("session", ["SET theirs"], options)
      assert.deepStrictEqual(clean.log.slice(0, 5), [
        "1: SET ours",
        "1: SET theirs",
        "1: RESET",
        "1: SET ours",
        "1: select 1"
      ])
      assert.deepStrictEqual([...clean.server.last.settings], ["ours"])
      const dirty = yield* afterLease("session", ["BEGIN", "SET theirs"], options)
      assert.deepStrictEqual(dirty.log.slice(3, 7), ["1: ROLLBACK", "1: RESET", "1: SET ours", "1: select 1"])
    }))

  it.scoped("\"session\" needs no setup, and a connection whose reset or setup fails is not lent again", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* afterLease("session", ["SET x"])).log.slice(0, 3), [
        "1: SET x",
        "1: RESET",
        "1: select 1"
      ])
      const server = new FakeServer()
      const pool = yield* makePool(server, { maxConnections: 1, reset: "session", setup: ["SET ours"] })
      yield* pool.client`select 1`
      yield* settle
      server.on("RESET", refuse("Permission"), 1)
      yield* pool.client`select 2`
      yield* settle
      yield* pool.client`select 3`
      yield* settle
      server.on("SET ours", refuse("Permission"), 1)
      yield* pool.client`select 4`
      yield* settle
      yield* pool.client`select 5`
      assert.strictEqual(server.connections.length, 3)
      assert.strictEqual((yield* pool.stats).retired.unrestored, 2)
    }))

  it.scoped("\"none\" sends nothing, and closes what comes back in a transaction", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* afterLease("none", ["insert a"])).log, ["1: insert a", "1: select 1"])
      assert.deepStrictEqual((yield* afterLease("none", ["BEGIN", "insert a"])).log, [
        "1: BEGIN",
        "1: insert a",
        "2: select 1"
      ])
    }))

  it.scoped("a function runs on every connection that comes back, after a rollback if one is needed", () =>
    Effect.gen(function*() {
      const reset: SqlPool.Reset = (connection) => connection.query("RESET mine")
      assert.deepStrictEqual((yield* afterLease(reset, ["BEGIN"])).log, [
        "1: BEGIN",
        "1: ROLLBACK",
        "1: RESET mine",
        "1: select 1",
        "1: RESET mine"
      ])
    }))

  it.scoped("a PoolReset does what it says and nothing else", () =>
    Effect.gen(function*() {
      const reset = PoolReset.andThen(
        PoolReset.whenDirty((connection: SqlConnection) => connection.query("ROLLBACK mine")),
        PoolReset.always((connection: SqlConnection) => Effect.as(connection.query("RESET mine"), true))
      )
      assert.deepStrictEqual((yield* afterLease(reset, ["BEGIN"])).log, [
        "1: BEGIN",
        "1: ROLLBACK mine",
        "1: RESET mine",
        "1: select 1",
        "1: RESET mine"
      ])
      const keeps: SqlPool.Reset = PoolReset.always(() => Effect.succeed(false))
      assert.deepStrictEqual((yield* afterLease(keeps, ["insert a"])).log, ["1: insert a", "2: select 1"])
    }))

  it.scoped("that leaves a transaction open costs the connection: it is never lent so", () =>
    Effect.gen(function*() {
      const { log } = yield* afterLease((connection) => connection.query("BEGIN"), ["insert a"])
      assert.deepStrictEqual(log.slice(0, 3), ["1: insert a", "1: BEGIN", "2: select 1"])
    }))

  it.scoped("is bounded by resetTimeout, not by statementTimeout, and counts no statements", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      const pool = yield* makePool(server, {
        maxConnections: 1,
        maxStatements: 3,
        statementTimeout: "1 second",
        resetTimeout: "3 seconds",
        reset: (connection) => connection.query("RESET mine")
      })
      for (let i = 0; i < 2; i++) {
        yield* pool.client`select 1`
        yield* settle
      }
      assert.strictEqual(server.connections.length, 1)
      server.on("RESET mine", deaf, 1)
      yield* pool.use(() => Effect.void)
      const next = yield* start(pool.client`select 2`)
      yield* TestClock.adjust("2999 millis")
      assert.isNull(next.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(next)
      assert.strictEqual(server.connections.length, 2)
    }))
})
