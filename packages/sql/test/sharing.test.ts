import * as SqlPool from "@dbpool/sql/SqlPool"
import * as InterruptSweep from "@dbpool/testing/InterruptSweep"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { FakeServer, hang, lose, refuse, rows, unsent } from "./server.js"
import { failsWith, makePool, settle, start } from "./support.js"

/** a pool of connections that ten may share, all of them idle */
const makeShared = (options: SqlPool.Options = {}, sharedBy = 10) =>
  Effect.gen(function*() {
    const server = new FakeServer("", sharedBy)
    const pool = yield* makePool(server, { name: "test", maxConnections: 1, ...options })
    yield* pool.client`select 1`
    server.log.length = 0
    return { server, pool, sql: pool.client }
  })

const refined = SqlPool.refineErrors

describe("single statements of SqlClient", () => {
  it.scoped("are under way together on one connection, which is leased once, up to `maxLeases`", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeShared({}, 3)
      server.on("select slow", hang)
      const fibers = yield* Effect.replicateEffect(start(sql`select slow`), 5)
      assert.strictEqual(server.last.together.length, 3)
      const { acquired, leased, waiting } = yield* pool.stats
      assert.deepStrictEqual({ acquired, leased, waiting }, { acquired: 4, leased: 1, waiting: 2 })
      server.last.finish()
      yield* settle
      assert.strictEqual(server.last.together.length, 3)
      for (let i = 0; i < 4; i++) {
        server.last.finish()
        yield* settle
      }
      for (const fiber of fibers) assert.deepStrictEqual(yield* Fiber.join(fiber), [])
    }))

  it.scoped("share in each of their forms, but not unprepared, nor when the driver says that their text may not", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeShared()
      server.on("select slow", hang)
      const slow = yield* start(sql`select slow`)
      const forms = [sql`select a`, sql`select b`.raw, sql`select c`.values, sql`select d`.withoutTransform]
      for (const form of forms) yield* start(form)
      assert.strictEqual(server.last.together.length, 5)
      const alone = [sql`select e`.unprepared, sql.unsafe("SET x")]
      const late = yield* Effect.forEach(alone, start)
      assert.strictEqual((yield* pool.stats).waiting, 2)
      server.last.finish()
      yield* Fiber.join(slow)
      for (const fiber of late) yield* Fiber.join(fiber)
      assert.deepStrictEqual(server.unprepared, ["select e"])
    }))

  it.scoped("transactions, streams, leases, reserved connections and sessions are alone", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeShared()
      const statement = sql`select in it`
      const alone: Record<string, Effect.Effect<unknown, unknown>> = {
        transaction: pool.withTransaction(statement),
        stream: Stream.runDrain(statement.stream),
        use: pool.use((connection) => connection.query("select in it")),
        acquire: Effect.scoped(Effect.flatMap(pool.acquire, ({ connection }) => connection.query("select in it"))),
        reserve: Effect.scoped(Effect.flatMap(sql.reserve, (c) => c.execute("select in it", [], undefined))),
        session: pool.session(Effect.zipRight(statement, statement))
      }
      for (const [what, effect] of Object.entries(alone)) {
        server.on("select slow", hang)
        const slow = yield* start(sql`select slow`)
        const waits = yield* start(effect)
        assert.strictEqual((yield* pool.stats).waiting, 1, what)
        server.on("select in it", hang, 1)
        server.last.finish()
        yield* Fiber.join(slow)
        yield* settle
        // nobody joins it
        assert.deepStrictEqual(server.last.together, [], what)
        const newcomer = yield* start(sql`select newcomer`)
        assert.strictEqual((yield* pool.stats).waiting, 1, what)
        server.last.finish()
        yield* Fiber.join(waits)
        yield* Fiber.join(newcomer)
      }
    }))

  it.scoped("inside a transaction of the same pool run in it", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeShared({ maxConnections: 2 })
      yield* pool.withTransaction(Effect.replicateEffect(sql`insert a`, 2, { concurrency: "unbounded" }))
      assert.deepStrictEqual(server.log.map((line) => line.slice(3)), ["BEGIN", "insert a", "insert a", "COMMIT"])
    }))

  it.scoped("one that is refused fails alone", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeShared()
      server.on("insert b", refuse("UniqueViolation"))
      const [a, b, c] = yield* Effect.all(
        [sql`insert a`, sql`insert b`, sql`insert c`].map((insert) => Effect.exit(refined(insert))),
        { concurrency: "unbounded" }
      )
      assert.isTrue(Exit.isSuccess(a!) && Exit.isSuccess(c!))
      assert.strictEqual((yield* failsWith(b!, "StatementError")).reason, "UniqueViolation")
      assert.deepStrictEqual(server.data, ["a", "c"])
    }))
})

describe("a statement that nobody waits for any more", () => {
  it.scoped("is not cancelled while somebody else waits there, and is ended by the pool when nobody does", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeShared()
      server.on("select slow", hang)
      const [one, other] = yield* Effect.replicateEffect(start(sql`select slow`), 2)
      yield* Fiber.interrupt(one!)
      yield* settle
      assert.deepStrictEqual(server.cancels, [])
      assert.strictEqual((yield* pool.stats).leased, 1)
      yield* Fiber.interrupt(other!)
      yield* settle
      assert.deepStrictEqual(server.cancels, ["1: select slow", "1: select slow"])
      yield* sql`select next`
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scoped("has nobody sent behind it", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeShared()
      server.on("select slow", hang)
      const [one, other] = yield* Effect.replicateEffect(start(sql`select slow`), 2)
      yield* Fiber.interrupt(one!)
      const late = yield* start(sql`select late`)
      assert.strictEqual((yield* pool.stats).waiting, 1)
      // as soon as it has ended by itself there is room again
      server.last.finish()
      const later = yield* start(sql`select later`)
      assert.strictEqual((yield* pool.stats).waiting, 0)
      server.last.finish()
      for (const fiber of [other!, late, later]) yield* Fiber.join(fiber)
      assert.deepStrictEqual(server.cancels, [])
    }))

  it.scoped("by `statementTimeout`: its caller is told at once, and its neighbours go on", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeShared()
      server.on("select slow", hang)
      const slow = yield* start(Effect.exit(refined(SqlPool.withStatementTimeout(sql`select slow`, "1 second"))))
      const neighbour = yield* start(sql`select neighbour`)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* failsWith(yield* Fiber.join(slow), "StatementError")).reason, "StatementTimeout")
      server.last.finish()
      assert.deepStrictEqual(yield* Fiber.join(neighbour), [{ sql: "select neighbour" }])
      assert.deepStrictEqual(server.cancels, [])
    }))

  it.live("at every single operation of it: nothing is lost, and its neighbour is answered", () =>
    Effect.gen(function*() {
      const runs = yield* InterruptSweep.sweep({
        world: Effect.gen(function*() {
          const made = yield* makeShared()
          made.server.on("select neighbour", hang, 1)
          return { ...made, neighbour: yield* start(made.sql`select neighbour`) }
        }),
        effect: ({ server, sql }, { interrupt }) =>
          Effect.zipRight(
            Effect.sync(() => setImmediate(() => server.last.finish())),
            interrupt(sql`insert a`)
          ),
        after: ({ neighbour, pool, server, sql }, { exit }) =>
          Effect.gen(function*() {
            assert.deepStrictEqual(yield* Fiber.join(neighbour), [])
            yield* settle
            const { leased, open, waiting } = yield* pool.stats
            assert.deepStrictEqual({ leased, open, waiting }, { leased: 0, open: 1, waiting: 0 })
            assert.strictEqual(server.last.condition(), "clean")
            if (Exit.isSuccess(exit)) assert.deepStrictEqual(server.data, ["a"])
            yield* sql`select next`
          })
      })
      assert.isAbove(runs.length, 10)
    }))
})

describe("when the connection dies", () => {
  it.scoped("each that was sent is ConnectionLost, and none of them is sent again", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeShared()
      server.on("select a", hang)
      server.on("select b", lose)
      const fibers = yield* Effect.forEach(
        [sql`select a`, sql`select b`, sql`select c`],
        (each) => start(Effect.exit(refined(each)))
      )
      server.last.finish()
      yield* settle
      const [a, b, c] = yield* Effect.forEach(fibers, Fiber.join)
      assert.isTrue(Exit.isSuccess(a!))
      for (const exit of [b!, c!]) assert.isFalse((yield* failsWith(exit, "ConnectionLost")).inTransaction)
      assert.strictEqual(server.log.length, 3)
      yield* sql`select next`
      assert.strictEqual((yield* pool.stats).retired.lost, 1)
    }))

  it.scoped("what the server did not look at is sent once more, on another connection, unless that is switched off", () =>
    Effect.gen(function*() {
      for (const retryUnsent of [true, false]) {
        const { server, sql } = yield* makeShared({ retryUnsent })
        server.on("select a", unsent, 1)
        const exits = yield* Effect.forEach(
          [sql`select a`, sql`select b`],
          (each) => Effect.exit(refined(each)),
          { concurrency: "unbounded" }
        )
        if (retryUnsent) {
          assert.isTrue(exits.every(Exit.isSuccess))
          assert.sameMembers([...server.sentOn(2)], ["select a", "select b"])
        } else for (const exit of exits) yield* failsWith(exit, "NoSuchConnection")
      }
    }))
})

describe("what wears a connection out", () => {
  it.scoped("`maxStatements` counts those that share, and under a load that never ends it is replaced, too", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeShared({ maxStatements: 5 })
      server.on("select", rows({ one: 1 }))
      const worker = Effect.repeatN(Effect.zipRight(sql`select 1`, Effect.yieldNow()), 19)
      yield* Effect.replicateEffect(worker, 4, { concurrency: "unbounded" })
      assert.isAbove((yield* pool.stats).retired.worn, 2)
      for (const { statements } of server.connections.map(({ id }) => ({ statements: server.sentOn(id).length }))) {
        assert.isBelow(statements, 5 + 10)
      }
    }))

  it.scoped("`validateOn: [\"statement\"]` validates before the first of those who share, not before the others", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeShared({ validateOn: ["statement"], validateAfterIdle: "1 second" })
      yield* TestClock.adjust("2 seconds")
      server.on("select slow", hang)
      const slow = yield* start(sql`select slow`)
      yield* TestClock.adjust("2 seconds")
      const late = yield* start(sql`select late`)
      assert.deepStrictEqual(server.validated, [1])
      server.last.finish()
      yield* Fiber.join(slow)
      yield* Fiber.join(late)
    }))
})
