import * as PoolSchedule from "@dbpool/core/PoolSchedule"
import * as AvaticaServer from "@dbpool/testing/AvaticaServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as gateway from "./gateway.js"
import { eventually, failsWith, makeTable, shared } from "./support.js"

const make = Effect.gen(function*() {
  const { url } = yield* shared
  const between = yield* gateway.make(url)
  const made = yield* makeTable(url, { maxConnections: 1 }, between.url)
  const insert = (id: number) => made.sql.unsafe(`insert into ${made.table} values (?, ?)`, [id, `name ${id}`])
  return { url, between, insert, ...made }
})

describe("a transaction", () => {
  it.scopedLive("is committed or rolled back, and autocommit is back afterwards", () =>
    Effect.gen(function*() {
      const { between, insert, names, pool } = yield* make
      yield* pool.withTransaction(Effect.zipRight(insert(1), Effect.zipRight(insert(2), names))).pipe(
        Effect.tap((seen) => Effect.sync(() => assert.deepStrictEqual(seen, [])))
      )
      assert.deepStrictEqual(yield* names, ["name 1", "name 2"])
      yield* Effect.flip(pool.withTransaction(Effect.zipRight(insert(3), Effect.fail("no"))))
      yield* insert(4)
      assert.deepStrictEqual(yield* names, ["name 1", "name 2", "name 4"])
      assert.strictEqual(between.count("Commit"), 1)
      assert.strictEqual(between.count("Rollback"), 1)
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("has savepoints, and its isolation level and access mode end with it", () =>
    Effect.gen(function*() {
      const { insert, names, pool, sql } = yield* make
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* insert(1)
        yield* Effect.ignore(pool.withTransaction(Effect.zipRight(insert(2), Effect.fail("no"))))
        yield* pool.withTransaction(insert(3))
      }))
      assert.deepStrictEqual(yield* names, ["name 1", "name 3"])
      const level = sql`values session_isolation_level()`.values
      const before = yield* level
      assert.deepStrictEqual(
        yield* level.pipe(pool.transaction({ isolation: "serializable", accessMode: "read only" })),
        [["SERIALIZABLE"]]
      )
      const readOnly = yield* Effect.flip(insert(4).pipe(pool.transaction({ accessMode: "read only" })))
      assert.include(String(readOnly), "read-only")
      assert.deepStrictEqual(yield* level, before)
      yield* insert(5)
      yield* failsWith(Effect.void.pipe(pool.transaction({ deferrable: true })), "InvalidTransaction")
    }))

  it.scopedLive("whose commit was sent and not answered is CommitUnknown, and is not sent again", () =>
    Effect.gen(function*() {
      const { between, insert, names, pool } = yield* make
      between.on("Commit", gateway.lost, 1)
      yield* failsWith(pool.withTransaction(insert(1)), "CommitUnknown")
      assert.strictEqual(between.count("Commit"), 1)
      assert.deepStrictEqual(yield* names, ["name 1"])
      between.on("Commit", async () => gateway.html(503, "Service Unavailable"), 1)
      yield* failsWith(pool.withTransaction(insert(2)), "CommitUnknown")
      yield* insert(3)
      assert.deepStrictEqual(yield* names, ["name 1", "name 3"])
    }))

  it.scopedLive("is committed even if its connection cannot be used any more afterwards", () =>
    Effect.gen(function*() {
      const { between, insert, names, pool } = yield* make
      let syncs = 0
      between.on("ConnectionSync", async (_, pass) => ++syncs === 2 ? undefined : pass())
      yield* pool.withTransaction(insert(1))
      assert.deepStrictEqual(yield* names, ["name 1"])
      between.on("ConnectionSync", async (_, pass) => pass())
      yield* insert(2)
      assert.strictEqual((yield* pool.stats).opened, 2)
    }))

  it.scopedLive("that could not begin, or only in part, leaves its connection as it was", () =>
    Effect.gen(function*() {
      const { between, insert, names, pool } = yield* make
      between.on("ConnectionSync", async () => gateway.refusal({ errorMessage: "not now" }), 1)
      const error = yield* failsWith(pool.withTransaction(insert(1)), "StatementError")
      assert.include(error.message, "not now")
      between.on("ConnectionSync", async (_, pass) => {
        await pass()
        return gateway.refusal({ errorMessage: "half of it" })
      }, 1)
      yield* failsWith(pool.withTransaction(insert(1)), "StatementError")
      yield* insert(2)
      assert.deepStrictEqual(yield* names, ["name 2"])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("that is interrupted is rolled back before anybody gets its connection", () =>
    Effect.gen(function*() {
      const { between, insert, names, pool } = yield* make
      const fiber = yield* Effect.fork(pool.withTransaction(Effect.zipRight(insert(1), Effect.never)))
      yield* eventually(Effect.sync(() => between.count("Execute")), (n) => n === 1, "it is written")
      yield* eventually(Effect.sync(() => between.count("CloseStatement")), (n) => n === 1, "and its statement closed")
      yield* Fiber.interrupt(fiber)
      yield* insert(2)
      assert.deepStrictEqual(yield* names, ["name 2"])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("that conflicts with another is repeated when that is asked for", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ engine: "h2" })
      const { names, pool, sql, table } = yield* makeTable(server.url, { user: "" })
      yield* sql.unsafe(`insert into ${table} values (1, '0'), (2, '0')`)
      const add = (first: number, second: number) =>
        pool.transaction({ retry: PoolSchedule.conflict })(Effect.gen(function*() {
          yield* sql.unsafe(`update ${table} set name = name || 'x' where id = ${first}`)
          yield* Effect.sleep("50 millis")
          yield* sql.unsafe(`update ${table} set name = name || 'x' where id = ${second}`)
        }))
      yield* Effect.all([add(1, 2), add(2, 1)], { concurrency: 2 })
      assert.deepStrictEqual(yield* names, ["0xx", "0xx"])
    }))

  it.scopedLive("begun by a statement that switches autocommit off is found and undone by always-rollback", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ engine: "h2" })
      const { names, pool, sql, table } = yield* makeTable(server.url, {
        user: "",
        maxConnections: 1,
        reset: "always-rollback"
      })
      yield* pool.use((connection) =>
        Effect.zipRight(
          connection.query("set autocommit false"),
          connection.query(`insert into ${table} values (1, 'one')`)
        )
      )
      yield* sql.unsafe(`insert into ${table} values (2, 'two')`)
      assert.deepStrictEqual(yield* names, ["two"])
    }))
})
