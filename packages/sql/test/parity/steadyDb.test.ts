/**
 * What DBUtils' SteadyDB and SteadyPg do: a connection that mends itself, here a pool of one.
 */
import * as FiberPool from "@dbpool/core/FiberPool"
import type * as SqlPool from "@dbpool/sql/SqlPool"
import type { ValidationMoment } from "@dbpool/sql/SqlPoolConfig"
import { refineErrors } from "@dbpool/sql/SqlPoolError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { FakeServer, lose, refuse, rows, unsent } from "../server.js"
import { failsWith, makeOne, makePool, settle } from "../support.js"

const sent = (server: FakeServer, sql: string) => server.log.filter((line) => line.endsWith(`: ${sql}`)).length

describe("a steady connection", () => {
  it.scoped("is opened again when it has died while nobody used it, and nobody notices", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      server.last.die()
      yield* sql`insert a`
      server.last.die()
      yield* sql`insert b`
      assert.deepStrictEqual(server.data, ["a", "b"])
    }))

  it.scoped("closes once, and a pool whose server cannot be reached says why", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      server.fatal = "Authentication"
      server.on("SET a", refuse("Authentication"))
      const error = yield* failsWith(makePool(server, { initialize: "check", setup: ["SET a"] }), "ConnectFailed")
      assert.isFalse(error.isRetryable)
    }))

  it.scoped("close is ignored where a fiber keeps its connection, but rolls back what is open", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      const pool = yield* makePool(server, { maxConnections: 1 })
      yield* Effect.scoped(Effect.gen(function*() {
        const fibers = yield* FiberPool.make(pool)
        yield* fibers.use((connection) => connection.query("SET x"))
        yield* fibers.use((connection) => Effect.zipRight(connection.query("BEGIN"), connection.query("insert lost")))
        yield* fibers.use((connection) => connection.query("select 1"))
        assert.deepStrictEqual(server.log, ["1: SET x", "1: BEGIN", "1: insert lost", "1: ROLLBACK", "1: select 1"])
        assert.deepStrictEqual(server.data, [])
        assert.strictEqual((yield* pool.stats).leased, 1)
      }))
    }))

  it.scoped("counts statements up to maxusage, is not replaced in a transaction, and is right after it", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne({ maxStatements: 10 })
      for (let i = 1; i < 9; i++) yield* sql`select 2`
      yield* settle
      assert.lengthOf(server.connections, 1)
      yield* pool.withTransaction(Effect.replicateEffect(sql`select 3`, 60))
      assert.strictEqual(server.sentOn(1).filter((line) => line === "select 3").length, 60)
      yield* settle
      yield* sql`select 4`
      assert.deepStrictEqual(server.sentOn(2), ["select 4"])
    }))

  it.scoped("runs its session commands after every connect, whatever was the reason for it", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne({ setup: ["SET zone"], maxStatements: 2 })
      yield* sql`select 2`
      yield* settle
      yield* sql`select 3`
      server.last.die()
      yield* sql`select 4`
      for (const { id } of server.connections) {
        // the first one's was forgotten with the log
        if (id > 1) assert.strictEqual(server.sentOn(id)[0], "SET zone")
      }
      assert.isAtLeast(server.connections.length, 3)
    }))

  it.scoped("only the errors of the connection mend it; those of the server reach the caller and leave it alone", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      for (const reason of ["Syntax", "UniqueViolation", "Deadlock", "Unknown"] as const) {
        server.on("select bad", refuse(reason), 1)
        assert.strictEqual((yield* failsWith(refineErrors(sql`select bad`), "StatementError")).reason, reason)
      }
      assert.lengthOf(server.connections, 1)
      assert.strictEqual(sent(server, "select bad"), 4)
    }))

  it.scoped("after a reconnect an error of the server is told as it is", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      server.on("select bad", refuse("Syntax"))
      server.on("select bad", unsent, 1)
      assert.strictEqual((yield* failsWith(refineErrors(sql`select bad`), "StatementError")).reason, "Syntax")
    }))

  it.scoped("sends a repeated statement with the parameters and options it had", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      server.on("select ?", unsent, 1)
      assert.lengthOf(yield* sql`select ${42}`.unprepared, 1)
      assert.deepStrictEqual(server.log, ["1: select ?", "2: select ?"])
      assert.deepStrictEqual(server.unprepared, ["select ?", "select ?"])
    }))

  it.scoped("outside a transaction a dead connection is replaced; inside one the error is told, once", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert a", unsent, 1)
      yield* sql`insert a`
      server.on("insert b", unsent, 1)
      yield* failsWith(pool.withTransaction(sql`insert b`), "ConnectionLost")
      assert.strictEqual(sent(server, "insert b"), 1)
      yield* TestClock.adjust("5 seconds")
      yield* pool.withTransaction(sql`insert c`)
      assert.deepStrictEqual(server.data, ["a", "c"])
    }))

  it.scoped("is replaced when its commit or rollback fails: the error is told, and the next transaction works", () =>
    Effect.gen(function*() {
      for (const end of ["COMMIT", "ROLLBACK"]) {
        const { pool, server, sql } = yield* makeOne()
        server.on(end, lose, 1)
        const body = end === "COMMIT" ? sql`insert a` : Effect.zipRight(sql`insert a`, Effect.fail("mine"))
        assert.isTrue(Exit.isFailure(yield* Effect.exit(pool.withTransaction(body))))
        yield* TestClock.adjust("5 seconds")
        yield* pool.withTransaction(sql`insert b`)
        assert.deepStrictEqual(server.data, ["b"])
        assert.lengthOf(server.connections, 2)
      }
    }))

  it.scoped("an error of the server inside a transaction is told, and undoes it", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("select bad", refuse("Syntax"), 1)
      yield* failsWith(pool.withTransaction(Effect.zipRight(sql`insert a`, sql`select bad`)), "StatementError")
      assert.deepStrictEqual(server.data, [])
      yield* pool.withTransaction(sql`insert b`)
      assert.deepStrictEqual(server.data, ["b"])
    }))

  it.scoped("commits on success and rolls back on error, as `with` does", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      yield* pool.withTransaction(sql`insert a`)
      yield* Effect.exit(pool.withTransaction(Effect.zipRight(sql`insert b`, Effect.fail("no"))))
      assert.deepStrictEqual(server.data, ["a"])
      assert.deepStrictEqual(server.log, [
        "1: BEGIN",
        "1: insert a",
        "1: COMMIT",
        "1: BEGIN",
        "1: insert b",
        "1: ROLLBACK"
      ])
    }))

  it.scoped("begins with what the driver can be told", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      yield* sql`select 1`.pipe(pool.transaction({ isolation: "serializable", accessMode: "read only" }))
      assert.strictEqual(server.log[0], "1: BEGIN serializable read only")
    }))

  it.scoped("cancelling a transaction ends it: everything is undone, and the connection goes on", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      yield* Effect.exit(pool.withTransaction(Effect.zipRight(sql`insert a`, Effect.interrupt)))
      yield* settle
      yield* sql`insert b`
      assert.deepStrictEqual(server.data, ["b"])
      assert.lengthOf(server.connections, 1)
    }))

  it.scoped("is read row by row, and ends its cursor with the block", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      server.on("select many", rows({ n: 1 }, { n: 2 }, { n: 3 }))
      const seen: Array<unknown> = []
      yield* Stream.runForEach(Stream.take(sql<{ readonly n: number }>`select many`.stream, 2), ({ n }) =>
        Effect.sync(() => seen.push(n)))
      assert.deepStrictEqual(seen, [1, 2])
      assert.strictEqual(server.log[server.log.length - 1], "1: end of select many")
    }))
})

describe("the ping bits", () => {
  const pings: ReadonlyArray<
    readonly [
      bits: number,
      validateOn: ReadonlyArray<ValidationMoment>,
      lease: number,
      begin: number,
      statement: number
    ]
  > = [
    [0, [], 0, 0, 0],
    [1, ["acquire"], 1, 0, 0],
    [2, ["transaction"], 0, 1, 0],
    [4, ["statement"], 0, 0, 1],
    [7, ["acquire", "transaction", "statement"], 1, 1, 1]
  ]

  for (const [bits, validateOn, lease, begin, statement] of pings) {
    it.scoped(`${bits} is validateOn: [${validateOn.join(", ")}]`, () =>
      Effect.gen(function*() {
        const { pool, server } = yield* makeOne({ validateOn, validateAfterIdle: "1 second" })
        const rest = TestClock.adjust("2 seconds")
        const during = <A, E>(self: Effect.Effect<A, E>) =>
          Effect.gen(function*() {
            const before = server.validated.length
            yield* self
            return server.validated.length - before
          })
        yield* rest
        assert.strictEqual(yield* during(pool.use(() => Effect.void)), lease)
        yield* pool.use((connection) =>
          Effect.gen(function*() {
            yield* rest
            assert.strictEqual(yield* during(connection.query("select 2")), statement)
            // never in a transaction
            yield* connection.query("BEGIN")
            yield* rest
            assert.strictEqual(yield* during(connection.query("select 3")), 0)
            yield* connection.query("ROLLBACK")
          })
        )
        yield* rest
        yield* pool.session(Effect.zipRight(
          rest,
          Effect.map(during(pool.withTransaction(Effect.void)), (count) => assert.strictEqual(count, begin))
        ))
        assert.lengthOf(server.connections, 1)
      }))
  }
})

describe("better than SteadyDB", () => {
  it.scoped("a statement is executed once, whatever the server says of it: no blind repeats", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      for (const answer of [refuse("Deadlock"), refuse("LockTimeout"), refuse("Unknown"), lose]) {
        server.log.length = 0
        server.on("update", answer, 1)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(sql`update`)))
        assert.strictEqual(sent(server, "update"), 1)
        yield* TestClock.adjust("5 seconds")
      }
    }))

  it.scoped("a statement that was surely not executed is sent again, but not for ever", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      server.on("update", unsent)
      yield* failsWith(refineErrors(sql`update`), "NoSuchConnection")
      assert.strictEqual(sent(server, "update"), 2)
    }))

  it.scoped("after a lost connection no later statement of a transaction runs elsewhere", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("insert a", lose, 1)
      const body = Effect.zipRight(Effect.exit(sql`insert a`), Effect.exit(sql`insert b`))
      yield* failsWith(pool.withTransaction(body), "ConnectionLost")
      assert.deepStrictEqual([server.data, sent(server, "insert b"), server.connections.length], [[], 0, 1])
    }))

  it.scoped("two statements of one lease never land on two connections", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne()
      const exit = yield* Effect.exit(pool.use((connection) =>
        Effect.gen(function*() {
          yield* connection.query("insert a")
          server.last.die()
          yield* connection.query("insert b")
        })
      ))
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(server.data, ["a"])
    }))

  it.scoped("a connection is never recycled between two statements of a lease, as between a call and its result", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne({ maxStatements: 1 })
      yield* settle
      yield* pool.use((connection) =>
        Effect.zipRight(connection.query("call procedure"), connection.query("select result"))
      )
      assert.deepStrictEqual(server.log, ["2: call procedure", "2: select result"])
    }))

  it.scoped("a handle is dead after its end, and does not open itself again", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeOne()
      const escaped = yield* pool.use(Effect.succeed)
      yield* failsWith(escaped.query("select 2"), "LeaseReleased")
      assert.deepStrictEqual(server.log, [])
    }))

  it.scoped("a validation that hangs is bounded", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne({ validateTimeout: "2 seconds" })
      yield* TestClock.adjust("2 seconds")
      server.last.mute = true
      const asked = yield* Effect.fork(sql`select 2`)
      yield* TestClock.adjust("2 seconds")
      yield* asked
      assert.deepStrictEqual(server.log, ["2: select 2"])
    }))
})

describe("a pooled connection with SQL", () => {
  const begun = (connection: Effect.Effect.Success<ReturnType<typeof makeOne>>["pool"]) =>
    connection.use((connection) => Effect.zipRight(connection.query("BEGIN"), connection.query("insert x")))

  it.scoped("on return rolls back what was begun, always, or forgets the whole session, as reset says", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [SqlPool.Reset, ReadonlyArray<string>, ReadonlyArray<string>]> = [
        ["rollback-if-needed", ["ROLLBACK"], []],
        ["always-rollback", ["ROLLBACK"], ["ROLLBACK"]],
        ["session", ["ROLLBACK", "RESET"], ["RESET"]]
      ]
      for (const [reset, afterBegin, afterSelect] of cases) {
        const { pool, server } = yield* makeOne({ reset })
        yield* settle
        server.log.length = 0
        yield* begun(pool)
        yield* settle
        assert.deepStrictEqual(server.sentOn(1).slice(2), afterBegin)
        server.log.length = 0
        yield* pool.use((connection) => connection.query("select 2"))
        yield* settle
        assert.deepStrictEqual(server.sentOn(1).slice(1), afterSelect)
        assert.deepStrictEqual(server.data, [])
      }
    }))

  it.scoped("uncommitted work is gone when it is returned, and committed work stays", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      yield* pool.withTransaction(sql`insert kept`)
      yield* begun(pool)
      yield* sql`select 1`
      assert.deepStrictEqual(server.data, ["kept"])
    }))

  it.scoped("what a user sets stays with the connection until it is replaced", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne({ setup: ["SET mine"] })
      yield* sql`SET theirs`
      yield* sql`select 1`
      assert.deepStrictEqual([...server.last.settings], ["mine", "theirs"])
      server.last.die()
      yield* sql`select 1`
      assert.deepStrictEqual([...server.last.settings], ["mine"])
    }))

  it.scoped("gives rows as objects or as arrays, with autocommit or in a transaction, per lease", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      yield* pool.use((connection) => Effect.zipRight(connection.query("select o"), connection.values("select a")))
      yield* sql`insert a`
      yield* pool.withTransaction(sql`insert b`)
      assert.deepStrictEqual(server.log, [
        "1: select o",
        "1: select a",
        "1: insert a",
        "1: BEGIN",
        "1: insert b",
        "1: COMMIT"
      ])
    }))
})
