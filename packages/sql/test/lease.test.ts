import * as SqlPoolError from "@dbpool/sql/SqlPoolError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { hang, lose, refuse, rows, unsent } from "./server.js"
import { failsWith, makeOne, settle, start } from "./support.js"

describe("a lease", () => {
  it.scoped("runs statements on one connection, in the order in which they were asked for", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne({ maxConnections: 3 })
      yield* pool.use((connection) =>
        Effect.all(["a", "b", "c"].map((name) => connection.query(`insert ${name}`)), { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(server.data, ["a", "b", "c"])
      assert.strictEqual(server.connections.length, 1)
    }))

  it.scoped("of `acquire` and `reserve` lasts until the scope closes, of `use` until the effect ends", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      yield* Effect.scoped(Effect.gen(function*() {
        const lease = yield* pool.acquire
        yield* lease.connection.query("insert a")
        assert.strictEqual((yield* pool.stats).leased, 1)
      }))
      yield* Effect.scoped(Effect.flatMap(sql.reserve, (connection) => connection.execute("insert b", [], undefined)))
      yield* pool.use((connection) => connection.query("insert c"))
      assert.strictEqual((yield* pool.stats).leased, 0)
      assert.deepStrictEqual(server.data, ["a", "b", "c"])
    }))

  it.scoped("that has ended sends nothing more: LeaseReleased", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      const used = yield* pool.use(Effect.succeed)
      const called = yield* pool.call<typeof used, never>((connection, done) => {
        done(Exit.succeed(connection))
        return () => {}
      })
      const abandoned: Array<typeof used> = []
      yield* Effect.flatMap(
        start(pool.call((connection) => {
          abandoned.push(connection)
          return () => {}
        })),
        Fiber.interrupt
      )
      const acquired = yield* Effect.scoped(Effect.map(pool.acquire, ({ connection }) => connection))
      const reserved = yield* Effect.scoped(sql.reserve)
      const streamed = yield* Stream.runHead(pool.stream((connection) => Stream.make(connection)))
      for (const connection of [used, called, abandoned[0]!, acquired, Option.getOrThrow(streamed)]) {
        const error = yield* failsWith(connection.query("insert late"), "LeaseReleased")
        assert.strictEqual(error.what, "lease")
        yield* failsWith(Stream.runDrain(connection.stream("insert late")), "LeaseReleased")
      }
      yield* failsWith(SqlPoolError.refineErrors(reserved.executeRaw("insert late", [])), "LeaseReleased")
      assert.deepStrictEqual(server.log, [])
    }))

  it.scoped("that was invalidated sends nothing more, and its connection is not lent again", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makeOne()
      yield* Effect.scoped(Effect.gen(function*() {
        const lease = yield* pool.acquire
        yield* lease.invalidate
        yield* failsWith(lease.connection.query("insert late"), "LeaseReleased")
      }))
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, 2)
    }))

  it.scoped("hands a statement that was queued behind its end to nobody", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("slow", hang)
      const scope = yield* Scope.make()
      const { connection } = yield* Scope.extend(pool.acquire, scope)
      const running = yield* start(Effect.exit(connection.query("slow")))
      const queued = yield* start(Effect.exit(connection.query("insert queued")))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* failsWith(Effect.flatten(Fiber.join(running)), "StatementError")).reason, "Cancelled")
      yield* failsWith(Effect.flatten(Fiber.join(queued)), "LeaseReleased")
      yield* sql`insert next`
      assert.deepStrictEqual(server.data, ["next"])
    }))

  it.scoped("rolls back what its user began by hand and left open", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      yield* pool.use((connection) => Effect.zipRight(connection.query("BEGIN"), connection.query("insert a")))
      yield* sql`insert b`
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN", "insert a", "ROLLBACK", "insert b"])
      assert.deepStrictEqual(server.data, ["b"])
    }))

  it.scoped("a statement that is interrupted is cancelled at once, not when the next one comes", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne()
      server.on("slow", hang)
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          const fiber = yield* start(connection.query("slow"))
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(server.cancels, ["1: slow"])
          yield* connection.query("insert a")
        })
      )
      assert.deepStrictEqual(server.cancels, ["1: slow"])
      assert.deepStrictEqual(server.data, ["a"])
    }))

  it.scoped("a queued statement that is interrupted is never sent and cancels nothing", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne()
      server.on("slow", hang)
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          const running = yield* start(connection.query("slow"))
          yield* Fiber.interrupt(yield* start(connection.query("insert a")))
          server.last.finish()
          yield* Fiber.join(running)
        })
      )
      assert.deepStrictEqual(server.cancels, [])
      assert.deepStrictEqual(server.data, [])
    }))

  it.scoped("streams, and lets the next statement in when the stream has ended or was abandoned", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("many", rows({ n: 1 }, { n: 2 }, { n: 3 }))
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          const all = yield* Stream.runCollect(connection.stream("many"))
          assert.strictEqual(all.length, 3)
          assert.strictEqual((yield* Stream.runCollect(Stream.take(connection.stream("many"), 1))).length, 1)
          yield* connection.query("insert a")
        })
      )
      yield* pool.withTransaction(Effect.zipRight(Stream.runDrain(sql`many`.stream), sql`insert b`))
      assert.deepStrictEqual(server.sentOn(1), [
        "many",
        "end of many",
        "many",
        "end of many",
        "insert a",
        "BEGIN",
        "many",
        "end of many",
        "insert b",
        "COMMIT"
      ])
    }))

  it.scoped("of `stream` lasts as long as the stream", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne()
      server.on("many", rows({ n: 1 }, { n: 2 }))
      const leased = yield* pool.stream((connection) => connection.stream("many")).pipe(
        Stream.mapEffect(() => Effect.map(pool.stats, (stats) => stats.leased)),
        Stream.runCollect
      )
      assert.deepStrictEqual([...leased], [1, 1])
      assert.strictEqual((yield* pool.stats).leased, 0)
      const fiber = yield* start(
        Stream.runDrain(pool.stream((connection) => Stream.concat(connection.stream("many"), Stream.never)))
      )
      yield* Fiber.interrupt(fiber)
      yield* settle
      assert.strictEqual((yield* pool.stats).leased, 0)
    }))
})

describe("an unprepared statement", () => {
  it.scoped("is told to the driver, wherever it runs: alone, in a transaction, on a reserved connection", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      yield* sql`insert a`.unprepared
      yield* sql.withTransaction(sql`insert b`.unprepared)
      yield* Effect.scoped(
        Effect.flatMap(sql.reserve, (connection) => connection.executeUnprepared("insert c", [], undefined))
      )
      yield* sql`insert d`
      assert.deepStrictEqual(server.unprepared, ["insert a", "insert b", "insert c"])
    }))
})

describe("a statement's error", () => {
  it.scoped("says what the server refused: reason, code, constraint", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne()
      server.on("insert a", refuse("UniqueViolation", "users_email_key"), 1)
      const error = yield* failsWith(pool.use((connection) => connection.query("insert a")), "StatementError")
      const { code, constraint, inTransaction, reason } = error
      assert.deepStrictEqual({ code, constraint, inTransaction, reason }, {
        code: "FAKE",
        constraint: "users_email_key",
        inTransaction: false,
        reason: "UniqueViolation"
      })
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scoped("tells a connection lost under way from one that was gone before", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert a", lose, 1)
      yield* failsWith(pool.use((connection) => connection.query("insert a")), "ConnectionLost")
      yield* sql`select 1`
      server.on("insert a", unsent, 1)
      yield* failsWith(pool.use((connection) => connection.query("insert a")), "NoSuchConnection")
      yield* sql`select 1`
      const error = yield* failsWith(
        pool.use((connection) => Effect.zipRight(Effect.sync(() => server.last.die()), connection.query("insert a"))),
        "NoSuchConnection"
      )
      assert.isTrue(error.isRetryable)
    }))

  it.scoped("in a transaction begun by hand is never NoSuchConnection: what came before is gone too", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne()
      const error = yield* failsWith(
        pool.use((connection) =>
          connection.query("BEGIN").pipe(
            Effect.andThen(() => server.last.die()),
            Effect.zipRight(connection.query("insert a"))
          )
        ),
        "ConnectionLost"
      )
      assert.isTrue(error.inTransaction)
    }))
})
