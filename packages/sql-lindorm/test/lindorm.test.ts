/**
 * A server that behaves like LindormTable, as far as that is known.
 */
import * as Batch from "@dbpool/sql-lindorm/Batch"
import * as AvaticaServer from "@dbpool/testing/AvaticaServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as gateway from "./gateway.js"
import { asLindorm, failsWith, lindormLogin, makePool, unique } from "./support.js"

const make = Effect.gen(function*() {
  const server = yield* AvaticaServer.make({ lindorm: lindormLogin })
  const between = yield* gateway.make(server.url)
  const made = yield* makePool(between.url, asLindorm)
  const table = unique("tb")
  yield* made.sql`create table ${made.sql(table)} (id varchar(10) primary key, name varchar(100), n bigint)`
  const rows = made.sql`select * from ${made.sql(table)} order by id`.values
  return { server, between, table, rows, ...made }
})

describe("on LindormTable", () => {
  it.scopedLive("the login is lindorm_user, lindorm_password and database, as properties", () =>
    Effect.gen(function*() {
      const { between, server } = yield* make
      const info = between.log[0]!.content.info as ReadonlyArray<{ readonly key: string; readonly value: string }>
      assert.deepStrictEqual(Object.fromEntries(info.map(({ key, value }) => [key, value])), {
        lindorm_user: lindormLogin.user,
        lindorm_password: lindormLogin.password,
        database: "test"
      })
      const wrong = yield* failsWith(
        makePool(between.url, { ...asLindorm, password: Redacted.make("guess") }),
        "ConnectFailed"
      )
      assert.isTrue(wrong.fatal)
      assert.include(wrong.message, "Access denied for user 'root'")
      assert.notInclude(wrong.message, "guess")
      // what was not opened is not closed
      assert.strictEqual(between.count("CloseConnection"), 0)
      const unknown = yield* failsWith(makePool(server.url, { ...asLindorm, database: "nowhere" }), "ConnectFailed")
      assert.isTrue(unknown.fatal)
      assert.include(unknown.message, "Unknown database 'nowhere'")
    }))

  it.scopedLive("UPSERT writes and overwrites, as a text, with parameters, by the helper and in batches", () =>
    Effect.gen(function*() {
      const { between, rows, sql, table } = yield* make
      yield* sql.unsafe(`upsert into ${table}(id,name) values ('i001','n001')`)
      yield* sql`UpSert  into ${sql(table)} (id, name) values (${"i002"}, ${"n002"})`
      yield* sql`upsert into ${sql(table)} ${sql.insert({ id: "i003", name: "n003" })}`
      yield* Batch.upsert(sql, table, [{ id: "i003", name: "again", n: 9007199254740993n }])
      yield* Batch.upsert(sql, table, [
        { id: "i004", name: "n004", n: 4 },
        { name: "n005", id: "i005", n: null }
      ])
      yield* Batch.execute(sql, `upsert into ${table} (id, n) values (?, ?)`, [["i001", 1], ["i002", 2]])
      yield* Batch.executeAll(sql, [`upsert into ${table} (id, n) values ('i005', 5)`])
      yield* Batch.upsert(sql, table, [])
      assert.deepStrictEqual(yield* rows, [
        ["i001", "n001", 1n],
        ["i002", "n002", 2n],
        ["i003", "again", 9007199254740993n],
        ["i004", "n004", 4n],
        ["i005", "n005", 5n]
      ])
      assert.strictEqual(between.count("ExecuteBatch"), 2)
    }))

  it.scopedLive("rows of one upsert must have the same columns: those missing would be overwritten with NULL", () =>
    Effect.gen(function*() {
      const { rows, sql, table } = yield* make
      for (const second of [{ id: "i002" }, { id: "i002", n: 2 }, { id: "i002", name: "n", n: 1 }]) {
        const error = yield* Effect.flip(Batch.upsert(sql, table, [{ id: "i001", name: "n001" }, second]))
        assert.include(error.message, "row 2 has other columns than the first")
      }
      assert.deepStrictEqual(yield* rows, [])
    }))

  it.scopedLive("identifiers are in backticks, and texts only in single quotes", () =>
    Effect.gen(function*() {
      const { sql } = yield* make
      const [text] = sql`select ${sql("a`b")} from ${sql("t")} where ${sql.in("x", [1, 2])}`.compile()
      assert.strictEqual(text, "select `a``b` from `t` where `x` IN (?,?)")
    }))

  it.scopedLive("there are no transactions: that is refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const { between, pool, rows, sql, table } = yield* make
      const upsert = sql.unsafe(`upsert into ${table} (id) values ('i001')`)
      yield* failsWith(pool.withTransaction(upsert), "InvalidTransaction")
      const error = yield* Effect.flip(sql.withTransaction(upsert))
      assert.include(String(error), "a transaction is nothing that this database knows")
      assert.deepStrictEqual(yield* rows, [])
      assert.strictEqual(between.count("Commit") + between.count("Rollback"), 0)
    }))
})
