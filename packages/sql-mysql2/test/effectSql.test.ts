/** `@effect/sql` and what is built on it, unchanged, over a pool of ours. */
import { refineErrors } from "@dbpool/sql/SqlPoolError"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as MysqlMigrator from "@effect/sql-mysql2/MysqlMigrator"
import * as Migrator from "@effect/sql/Migrator"
import * as Model from "@effect/sql/Model"
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as SqlResolver from "@effect/sql/SqlResolver"
import * as SqlSchema from "@effect/sql/SqlSchema"
import * as Statement from "@effect/sql/Statement"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { failsWith, makePool, makeTable, unique } from "./support.js"

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
const camel = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
const names = { transformQueryNames: snake, transformResultNames: camel }

/** the official client, for as far as one comes without a connection */
const official = SqlClient.make({
  acquirer: Effect.fail(new SqlError({ message: "not for running" })),
  compiler: MysqlClient.makeCompiler(snake),
  spanAttributes: [],
  transformRows: Statement.defaultTransforms(camel).array
}).pipe(Effect.provide(Reactivity.layer))

const templates = (sql: SqlClient.SqlClient): Record<string, Statement.Statement<any>> => ({
  in: sql`select * from t where ${sql.in("fooBar", [1, 2])} and x in ${sql.in([3, 4])}`,
  insert: sql`insert into t ${sql.insert({ fooBar: 1, b: null })}`,
  insertMany: sql`insert into t ${sql.insert([{ a: 1 }, { a: 2 }])}`,
  update: sql`update t set ${sql.update({ a: 1, fooBar: 2 }, ["a"])} where x = ${3}`,
  andOr: sql`select 1 where ${sql.and([sql`fooBar = ${1}`, sql.or(["a = 1", sql`b = ${2}`]), sql.in("c", [])])}`,
  csv: sql`select 1 ${sql.csv("order by", ["a", sql`b desc`])}`,
  literal: sql`select ${sql.literal("now()")}`,
  unsafe: sql.unsafe("select ?", [1]),
  nested: sql`select * from (${sql`select ${1} as a where ${sql.in("b", [1])}`}) x where y = ${2}`,
  dialect: sql`select ${sql.onDialectOrElse({ mysql: () => sql`'mysql'`, orElse: () => sql`'?'` })}`,
  // a parameter that looks like a helper stays a parameter
  lookalike: sql`select ${{ _tag: "Literal", value: "; drop table x" } as any}`
})

describe("the helpers of the template", () => {
  it.scopedLive("make the same SQL as @effect/sql-mysql2, with and without transforms", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool(names)
      const [ours, theirs] = [templates(sql), templates(yield* official)]
      for (const [name, template] of Object.entries(ours)) {
        assert.deepStrictEqual(template.compile(), theirs[name]!.compile(), name)
        assert.deepStrictEqual(template.compile(true), theirs[name]!.compile(true), name)
      }
    }))

  it.scopedLive("run on the server, names transformed both ways", () =>
    Effect.gen(function*() {
      const { admin, sql } = yield* makePool(names)
      const table = unique("things")
      yield* admin(`create table ${table} (id int primary key, long_name text)`)
      yield* Effect.addFinalizer(() => admin(`drop table ${table}`))
      yield* sql`insert into ${sql(table)} ${sql.insert([{ id: 1, longName: "a" }, { id: 2, longName: "b" }])}`
      yield* sql`update ${sql(table)} set ${sql.update({ longName: "c" })} where ${sql.in("id", [2, 3])}`
      assert.deepStrictEqual<unknown>(yield* sql`select * from ${sql(table)} order by id`, [
        { id: 1, longName: "a" },
        { id: 2, longName: "c" }
      ])
      assert.deepStrictEqual<unknown>(yield* sql`select 1 as a_b; select 2 as c_d`.unprepared, [
        [{ aB: 1 }],
        [{ cD: 2 }]
      ])
      const plain = sql.withoutTransforms()
      assert.deepStrictEqual<unknown>(yield* plain`select 1 as a_b`, [{ a_b: 1 }])
    }))
})

describe("modules of @effect/sql", () => {
  class Item extends Schema.Class<Item>("Item")({ id: Schema.Number, name: Schema.String }) {}

  it.scopedLive("SqlSchema and SqlResolver, inside a transaction in it", () =>
    Effect.gen(function*() {
      const { names, sql, table } = yield* makeTable()
      const insert = SqlSchema.void({
        Request: Item,
        execute: (item) => sql`insert into ${sql(table)} ${sql.insert(item)}`
      })
      const find = SqlSchema.findOne({
        Request: Schema.Number,
        Result: Item,
        execute: (id) => sql`select * from ${sql(table)} where id = ${id}`
      })
      const byId = yield* SqlResolver.findById("ById", {
        Id: Schema.Number,
        Result: Item,
        ResultId: ({ id }) => id,
        execute: (ids) => sql`select * from ${sql(table)} where ${sql.in("id", ids)}`
      })
      yield* sql.withTransaction(Effect.zipRight(
        insert(new Item({ id: 1, name: "a" })),
        Effect.map(Effect.forEach([1, 2], byId.execute, { batching: true }), (found) =>
          assert.deepStrictEqual(found.map(Option.isSome), [true, false]))
      ))
      yield* Effect.exit(
        sql.withTransaction(Effect.zipRight(insert(new Item({ id: 2, name: "b" })), Effect.fail("no")))
      )
      assert.deepStrictEqual(yield* find(1), Option.some(new Item({ id: 1, name: "a" })))
      assert.deepStrictEqual(yield* names, ["a"])
    }))

  for (const [what, options] of [["as they are", {}], ["with names transformed", names]] as const) {
    it.scopedLive(`Model repositories insert, update, find and delete, ${what}`, () =>
      Effect.gen(function*() {
        const { admin, sql } = yield* makePool(options)
        const table = unique("things")
        yield* admin(
          `create table ${table} (id int auto_increment primary key, ${
            what === "as they are" ? "longName" : "long_name"
          } text)`
        )
        yield* Effect.addFinalizer(() => admin(`drop table ${table}`))
        class Thing
          extends Model.Class<Thing>("Thing")({ id: Model.Generated(Schema.Number), longName: Schema.String })
        {}
        const repository = yield* Model.makeRepository(Thing, {
          tableName: table,
          spanPrefix: "Thing",
          idColumn: "id"
        }).pipe(Effect.provideService(SqlClient.SqlClient, sql))
        const loaders = yield* Model.makeDataLoaders(Thing, {
          tableName: table,
          spanPrefix: "Thing",
          idColumn: "id",
          window: 5
        }).pipe(Effect.provideService(SqlClient.SqlClient, sql))
        const { id } = yield* repository.insert(Thing.insert.make({ longName: "it's \\ ?" }))
        assert.strictEqual(Option.getOrThrow(yield* repository.findById(id)).longName, "it's \\ ?")
        const updated = yield* repository.update(Thing.update.make({ id, longName: "b" }))
        assert.deepStrictEqual([updated.id, updated.longName], [id, "b"])
        const both = yield* Effect.all(
          ["c", "d"].map((longName) => loaders.insert(Thing.insert.make({ longName }))),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(both.map(({ longName }) => longName), ["c", "d"])
        yield* repository.delete(id)
        assert.isTrue(Option.isNone(yield* repository.findById(id)))
      }))
  }

  it.scopedLive("MysqlMigrator runs each migration once, DDL or not, and keeps no data of one that fails", () =>
    Effect.gen(function*() {
      const { admin, pool, sql } = yield* makePool()
      const [table, migrations] = [unique("migrated"), unique("migrations")]
      yield* Effect.addFinalizer(() => admin(`drop table if exists ${table}, ${migrations}`))
      const loader = (broken: boolean) =>
        Migrator.fromRecord({
          "1_create": sql.unsafe(`create table ${table} (id int primary key, name text)`),
          "2_fill": sql.unsafe(`insert into ${table} values (1, 'a')`),
          "3_more": sql.unsafe(`alter table ${table} add column extra int`),
          ...(broken ? { "4_broken": Effect.zipRight(sql.unsafe(`delete from ${table}`), sql.unsafe("selec")) } : {})
        })
      const migrate = (broken: boolean) =>
        (MysqlMigrator.run({ table: migrations, loader: loader(broken) }) as Effect.Effect<
          ReadonlyArray<readonly [number, string]>,
          unknown,
          SqlClient.SqlClient
        >).pipe(Effect.provideService(SqlClient.SqlClient, sql))
      assert.deepStrictEqual(yield* migrate(false), [[1, "create"], [2, "fill"], [3, "more"]])
      assert.deepStrictEqual(yield* migrate(false), [])
      assert.isTrue(Exit.isFailure(yield* Effect.exit(migrate(true))))
      assert.deepStrictEqual(yield* admin(`select id, name, extra from ${table}`), [{ id: 1, name: "a", extra: null }])
      assert.strictEqual((yield* pool.stats).leased, 0)
    }))
})

describe("DDL in a transaction", () => {
  it.scopedLive("of the pool ends it: what follows is not sent", () =>
    Effect.gen(function*() {
      const { admin, names, pool, sql, table } = yield* makeTable()
      yield* Effect.addFinalizer(() => admin(`drop table if exists ${table}_2`))
      const insert = (id: number) => sql`insert into ${sql(table)} values (${id}, ${`n${id}`})`
      yield* failsWith(
        pool.withTransaction(Effect.all([insert(1), sql.unsafe(`create table ${table}_2 (n int)`), insert(2)])),
        "LeaseReleased"
      )
      assert.deepStrictEqual(yield* names, ["n1"])
    }))

  it.scopedLive("in a nested transaction is an error: its savepoint is gone", () =>
    Effect.gen(function*() {
      const { admin, names, pool, sql, table } = yield* makeTable()
      yield* Effect.addFinalizer(() => admin(`drop table if exists ${table}_2`))
      const ddl = sql.unsafe(`create table if not exists ${table}_2 (n int)`)
      const insert = sql`insert into ${sql(table)} values (1, 'a')`
      yield* failsWith(
        refineErrors(sql.withTransaction(sql.withTransaction(Effect.zipRight(ddl, insert)))),
        "StatementError"
      )
      yield* failsWith(pool.withTransaction(pool.withTransaction(Effect.zipRight(ddl, insert))), "LeaseReleased")
      assert.deepStrictEqual(yield* names, [])
    }))

  it.scopedLive("of SqlClient lets the rest be a transaction of its own", () =>
    Effect.gen(function*() {
      const { admin, names, sql, table } = yield* makeTable()
      yield* Effect.addFinalizer(() => admin(`drop table if exists ${table}_2`))
      const insert = (id: number) => sql`insert into ${sql(table)} values (${id}, ${`n${id}`})`
      const ddl = sql.unsafe(`create table if not exists ${table}_2 (n int)`)
      yield* sql.withTransaction(Effect.all([insert(1), ddl, insert(2)]))
      yield* Effect.exit(sql.withTransaction(Effect.all([insert(3), ddl, insert(4), Effect.fail("no")])))
      yield* failsWith(
        refineErrors(sql.withTransaction(Effect.all([insert(5), sql.unsafe("/* by hand */ commit"), insert(6)]))),
        "LeaseReleased"
      )
      assert.deepStrictEqual(yield* names, ["n1", "n2", "n3", "n5"])
    }))
})
