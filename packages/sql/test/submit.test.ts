/** Statements of `SqlClient` by a callback, where the driver can do that: all as without. */
import * as SqlPool from "@dbpool/sql/SqlPool"
import { refineErrors } from "@dbpool/sql/SqlPoolError"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { FakeServer, hang, refuse, rows, unsent } from "./server.js"
import { failsWith, makePool, start } from "./support.js"

/** counts the statements that came each way */
const makeCounted = (options: SqlPool.Options = {}, submits = true, sharedBy?: number) =>
  Effect.gen(function*() {
    const server = new FakeServer("", sharedBy)
    const ways: Array<string> = []
    const { driver } = server
    const { sharing, submit } = driver
    server.driver = {
      ...driver,
      connect: Effect.map(driver.connect, (connection) => {
        const execute = connection.execute.bind(connection)
        connection.execute = (...args) => {
          ways.push("execute")
          return execute(...args)
        }
        return connection
      }),
      submit: submits
        ? (...args) => {
          ways.push("submit")
          return submit!(...args)
        }
        : undefined,
      sharing: sharing === undefined ? undefined : {
        ...sharing,
        submit: submits
          ? (...args) => {
            ways.push("shared submit")
            return sharing.submit!(...args)
          }
          : undefined
      }
    }
    const pool = yield* makePool(server, { maxConnections: 1, ...options })
    yield* pool.client`select 1`
    ways.length = 0
    return { server, pool, sql: pool.client, ways }
  })

describe("a driver with a bug", () => {
  const bugs: Record<string, Partial<FakeServer["driver"]>> = {
    "in `submit`": {
      submit: () => {
        throw new Error("oops")
      }
    },
    "in `classify`": {
      classify: () => {
        throw new Error("oops")
      }
    }
  }

  for (const [where, bug] of Object.entries(bugs)) {
    it.scoped(`${where} has its caller die of it: nothing is lost, and nobody hangs`, () =>
      Effect.gen(function*() {
        const server = new FakeServer()
        server.driver = { ...server.driver, ...bug }
        server.on("insert a", refuse("UniqueViolation"))
        const pool = yield* makePool(server, { maxConnections: 1 })
        const exit = yield* Effect.exit(pool.client`insert a`)
        assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
        const { idle, leased } = yield* pool.stats
        assert.deepStrictEqual({ idle, leased }, { idle: 1, leased: 0 })
      }))
  }
})

describe("a driver that submits", () => {
  it.scoped("is asked so for all single statements, whatever their rows are to be", () =>
    Effect.gen(function*() {
      const { server, sql, ways } = yield* makeCounted()
      server.on("select a", rows({ n: 1 }))
      for (const way of [sql`select a`, sql`select a`.withoutTransform, sql`select a`.raw, sql`select a`.values]) {
        assert.deepStrictEqual(yield* way as Effect.Effect<unknown>, [{ n: 1 }])
      }
      yield* sql`select a`.unprepared
      assert.deepStrictEqual(server.unprepared, ["select a"])
      assert.deepStrictEqual(ways, Array.from({ length: 5 }, () => "submit"))
    }))

  it.scoped("is not asked so for what needs more: leases, transactions, a bound, or a validation before", () =>
    Effect.gen(function*() {
      const { pool, sql, ways } = yield* makeCounted()
      yield* pool.use((connection) => connection.query("select a"))
      yield* sql.withTransaction(sql`select a`)
      yield* SqlPool.withStatementTimeout(sql`select a`, "1 second")
      assert.notInclude(ways, "submit")
      for (const options of [{ statementTimeout: "1 second" }, { validateOn: ["statement"] }] as const) {
        const other = yield* makeCounted(options)
        yield* other.sql`select a`
        assert.deepStrictEqual(other.ways, ["execute"])
      }
    }))

  it.scoped("shares by `submit`, too", () =>
    Effect.gen(function*() {
      const { server, sql, ways } = yield* makeCounted({}, true, 4)
      server.on("select a", hang)
      const both = yield* start(Effect.all([sql`select a`, sql`select b`], { concurrency: 2 }))
      assert.deepStrictEqual(ways, ["shared submit", "shared submit"])
      server.last.finish()
      yield* Fiber.join(both)
    }))
})

for (const submits of [true, false]) {
  for (const sharedBy of [undefined, 4]) {
    describe(`a statement of a driver that ${submits ? "submits" : "only executes"}${sharedBy ? " and shares" : ""}`, () => {
      const make = makeCounted({}, submits, sharedBy)

      it.scoped("has its rows, or the typed error of the driver", () =>
        Effect.gen(function*() {
          const { server, sql } = yield* make
          server.on("select a", rows({ n: 1 }))
          server.on("insert a", refuse("UniqueViolation", "users_email_key"))
          assert.deepStrictEqual(yield* sql`select a`, [{ n: 1 }])
          const error = yield* failsWith(refineErrors(sql`insert a`), "StatementError")
          assert.deepStrictEqual([error.reason, error.constraint], ["UniqueViolation", "users_email_key"])
        }))

      it.scoped("is sent again when it was not executed", () =>
        Effect.gen(function*() {
          const { server, sql } = yield* make
          server.on("insert a", unsent, 1)
          yield* sql`insert a`
          assert.deepStrictEqual(server.data, ["a"])
        }))

      it.scoped("is cancelled when its fiber is interrupted, before anybody else gets the connection", () =>
        Effect.gen(function*() {
          const { pool, server, sql } = yield* make
          server.on("select slow", hang)
          const slow = yield* start(sql`select slow`)
          yield* Fiber.interrupt(slow)
          yield* sql`insert a`
          assert.deepStrictEqual(server.cancels, ["1: select slow"])
          assert.strictEqual((yield* pool.stats).leased, 0)
        }))
    })
  }
}
