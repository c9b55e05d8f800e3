import * as Batch from "@dbpool/sql-lindorm/Batch"
import * as Catalog from "@dbpool/sql-lindorm/Catalog"
import * as AvaticaServer from "@dbpool/testing/AvaticaServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as gateway from "./gateway.js"
import { counts, eventually, failsWith, makePool, makeTable, shared, unique } from "./support.js"

describe("a statement", () => {
  it.scopedLive("gives rows as objects, as arrays, and as a result with columns and counts", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const { pool, sql, table } = yield* makeTable(url)
      const inserted = yield* sql.unsafe(`insert into ${table} values (1, 'one'), (2, 'two')`).raw
      assert.deepInclude(inserted, { updateCount: 2, rows: [], columns: [] })
      assert.deepStrictEqual(yield* sql.unsafe(`select * from ${table} order by id`), [
        { ID: 1, NAME: "one" },
        { ID: 2, NAME: "two" }
      ])
      assert.deepStrictEqual(yield* sql.unsafe(`select id, name from ${table} where id = ?`, [2]).values, [[2, "two"]])
      const raw = yield* pool.use((connection) => connection.raw(`select id, name as n from ${table} where id = 1`))
      assert.deepStrictEqual(raw, {
        columns: [
          { name: "ID", table: table.toUpperCase(), typeName: "INTEGER", typeId: 4 },
          { name: "N", table: table.toUpperCase(), typeName: "VARCHAR", typeId: 12 }
        ],
        rows: [[1, "one"]],
        updateCount: -1,
        updateCounts: []
      })
    }))

  it.scopedLive("is compiled with ? for parameters and quoted identifiers, and transforms names both ways", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const { sql } = yield* makePool(url, {
        transformQueryNames: (name) => name.toUpperCase(),
        transformResultNames: (name) => name.toLowerCase()
      })
      const table = unique("names")
      yield* sql`create table ${sql(table)} (id int primary key, name varchar(10))`
      yield* sql`insert into ${sql(table)} ${sql.insert([{ id: 1, name: "a" }, { id: 2, name: "b" }])}`
      yield* sql`update ${sql(table)} set ${sql.update({ name: "c" })} where ${sql.in("id", [2, 3])}`
      const select = sql`select ${sql("id")}, name from ${sql(table)} where ${sql.and([sql`id > ${1}`])}`
      assert.deepStrictEqual(select.compile()[0], `select "ID", name from "${table.toUpperCase()}" where id > ?`)
      assert.deepStrictEqual(yield* select, [{ id: 2, name: "c" }])
      const plain = sql.withoutTransforms()
      assert.deepStrictEqual(yield* plain`select * from ${plain(table.toUpperCase())} where id > ${1}`, [
        { ID: 2, NAME: "c" }
      ])
    }))

  it.scopedLive("with too few or too many values is refused here: the server would reuse those of the row before", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const between = yield* gateway.make(url)
      const { names, pool, sql, table } = yield* makeTable(url, {}, between.url)
      const insert = `insert into ${table} values (?, ?)`
      for (const params of [[1], [1, "one", 2]]) {
        const error = yield* failsWith(pool.use((c) => c.query(insert, params)), "StatementError")
        assert.include(error.message, `the statement has 2 parameters, and ${params.length} were given`)
      }
      const batch = yield* Effect.flip(Batch.execute(sql, insert, [[1, "one"], [2]]))
      assert.include(batch.message, "the statement has 2 parameters, and 1 were given")
      assert.strictEqual(between.count("Execute") + between.count("ExecuteBatch"), 0)
      assert.deepStrictEqual(yield* names, [])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("that the server refuses says why, and the connection goes on", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const h2 = yield* AvaticaServer.make({ engine: "h2" })
      for (const [at, user] of [[url, "SA"], [h2.url, ""]] as const) {
        const { pool, sql, table } = yield* makeTable(at, { user })
        const child = unique("child")
        yield* sql.unsafe(
          `create table ${child} (id int primary key, parent int, amount int not null, ` +
            `constraint ${child}_parent foreign key (parent) references ${table} (id), ` +
            `constraint ${child}_amount check (amount >= 0))`
        )
        yield* sql.unsafe(`insert into ${table} values (1, 'one')`)
        const refused = (statement: string) =>
          Effect.map(failsWith(pool.use((c) => c.query(statement)), "StatementError"), ({ reason }) => reason)
        assert.strictEqual(yield* refused(`insert into ${table} values (1, 'uno')`), "UniqueViolation")
        assert.strictEqual(yield* refused(`insert into ${child} values (1, 7, 1)`), "ForeignKeyViolation")
        assert.strictEqual(yield* refused(`insert into ${child} values (1, 1, null)`), "NotNullViolation")
        assert.strictEqual(yield* refused(`insert into ${child} values (1, 1, -1)`), "CheckViolation")
        assert.strictEqual(yield* refused("selec 1"), "Syntax")
        assert.strictEqual(yield* refused(`select * from ${unique("nothing")}`), "Syntax")
        assert.strictEqual((yield* pool.stats).opened, 1)
      }
    }))

  it.scopedLive("is closed on the server, however it ends", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make()
      const { pool, sql, table } = yield* makeTable(server.url, { maxConnections: 1 })
      yield* sql.unsafe(`insert into ${table} values (?, ?)`, [1, "one"])
      yield* sql.unsafe(`select * from ${table}`)
      yield* Effect.flip(sql.unsafe(`insert into ${table} values (1, 'one')`))
      yield* Effect.flip(sql.unsafe(`insert into ${table} values (?, ?)`, [1]))
      yield* Effect.flip(sql.unsafe("selec 1"))
      yield* Batch.execute(sql, `insert into ${table} values (?, ?)`, [[2, "two"]])
      yield* Batch.executeAll(sql, [`delete from ${table}`])
      yield* Catalog.tables(sql)
      // the last close may still be under way
      yield* pool.use((connection) => connection.query("values 1"))
      yield* eventually(counts(server), ({ statements }) => statements === 0, "no statement is left")
    }))

  it.scopedLive("is answered before it is closed, and the next one waits for that", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const between = yield* gateway.make(url)
      const { pool, sql } = yield* makePool(between.url, { maxConnections: 1 })
      const close = between.hold("CloseStatement")
      yield* sql`values 1`
      const next = yield* Effect.fork(sql`values 2`.values)
      yield* eventually(Effect.sync(() => between.count("CloseStatement")), (n) => n === 1, "it is being closed")
      assert.strictEqual(between.count("CreateStatement"), 1)
      close()
      assert.deepStrictEqual(yield* Fiber.join(next), [[2]])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("that is interrupted before it was executed never is", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const between = yield* gateway.make(url)
      const { names, pool, sql, table } = yield* makeTable(url, { maxConnections: 1 }, between.url)
      const go = between.hold("Prepare")
      const fiber = yield* Effect.fork(sql.unsafe(`insert into ${table} values (?, ?)`, [1, "one"]))
      yield* eventually(Effect.sync(() => between.count("Prepare")), (n) => n === 1, "it is being prepared")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* pool.stats).idle, 0)
      go()
      yield* sql`values 1`
      assert.strictEqual(between.count("Execute"), 0)
      assert.deepStrictEqual(yield* names, [])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("that is interrupted while it runs keeps its connection until the server has answered", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const between = yield* gateway.make(url)
      const { names, pool, sql, table } = yield* makeTable(url, { maxConnections: 1 }, between.url)
      const go = between.hold("Execute", "answer")
      const fiber = yield* Effect.fork(sql.unsafe(`insert into ${table} values (?, ?)`, [1, "one"]))
      yield* eventually(names, (names) => names.length === 1, "it is executed")
      yield* Fiber.interrupt(fiber)
      const next = yield* Effect.fork(sql`values 1`.values)
      yield* Effect.sleep("50 millis")
      assert.strictEqual(between.count("CreateStatement"), 0)
      assert.strictEqual((yield* pool.stats).waiting, 1)
      go()
      assert.deepStrictEqual(yield* Fiber.join(next), [[1]])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})

describe("a batch", () => {
  it.scopedLive("runs a statement with many rows in one request, also in a transaction", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const between = yield* gateway.make(url)
      const { names, pool, sql, table } = yield* makeTable(url, {}, between.url)
      const rows = Array.from({ length: 300 }, (_, i) => [i, `name ${i}`])
      const insert = `insert into ${table} values (?, ?)`
      const changed = yield* Batch.execute(sql, insert, rows)
      assert.deepStrictEqual(changed, rows.map(() => 1))
      assert.strictEqual(between.count("ExecuteBatch"), 1)
      assert.deepStrictEqual(yield* names, rows.map(([, name]) => name))
      yield* Effect.flip(pool.withTransaction(
        Effect.zipRight(Batch.execute(sql, insert, [[1000, "more"]]), Effect.fail("no"))
      ))
      assert.strictEqual((yield* names).length, 300)
      assert.deepStrictEqual(yield* Batch.execute(sql, insert, []), [])
    }))

  it.scopedLive("runs many statements in one request, and says which were refused by failing", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const { names, sql, table } = yield* makeTable(url)
      const changed = yield* Batch.executeAll(sql, [
        `insert into ${table} values (1, 'one')`,
        `insert into ${table} values (2, 'two')`,
        `update ${table} set name = 'x'`
      ])
      assert.deepStrictEqual(changed, [1, 1, 2])
      const error = yield* Effect.flip(Batch.executeAll(sql, [`insert into ${table} values (1, 'again')`]))
      assert.include(error.message, "UniqueViolation")
      assert.deepStrictEqual(yield* names, ["x", "x"])
    }))
})

describe("the catalog", () => {
  it.scopedLive("tells tables and columns", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const { sql, table } = yield* makeTable(url)
      const name = table.toUpperCase()
      const tables = yield* Catalog.tables(sql, { table: name })
      assert.deepStrictEqual(
        tables.map(({ TABLE_NAME, TABLE_TYPE }) => [TABLE_NAME, TABLE_TYPE]),
        [[name, "TABLE"]]
      )
      assert.deepStrictEqual(yield* Catalog.tables(sql, { table: name, types: ["VIEW"] }), [])
      const columns = yield* Catalog.columns(sql, { table: name })
      assert.deepStrictEqual(
        columns.map(({ COLUMN_NAME, DATA_TYPE, TYPE_NAME }) => [COLUMN_NAME, DATA_TYPE, TYPE_NAME]),
        [["ID", 4, "INTEGER"], ["NAME", 12, "VARCHAR"]]
      )
      assert.strictEqual((yield* Catalog.columns(sql, { table: name, column: "NA%" })).length, 1)
      // more than a first frame holds
      assert.isAbove((yield* Catalog.columns(sql)).length, 200)
    }))
})
