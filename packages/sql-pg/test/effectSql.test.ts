/** `@effect/sql` and what is built on it, unchanged, over a pool of ours. */
import * as PgPool from "@dbpool/sql-pg/PgPool"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Migrator from "@effect/sql/Migrator"
import * as Model from "@effect/sql/Model"
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as SqlResolver from "@effect/sql/SqlResolver"
import * as SqlSchema from "@effect/sql/SqlSchema"
import * as Statement from "@effect/sql/Statement"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { makePool, makeTable, server, unique } from "./support.js"

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
const camel = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
const names = { transformQueryNames: snake, transformResultNames: camel }

/** the official client, for as far as one comes without a connection */
const official = SqlClient.make({
  acquirer: Effect.fail(new SqlError({ message: "not for running" })),
  compiler: PgClient.makeCompiler(snake),
  spanAttributes: [],
  transformRows: Statement.defaultTransforms(camel).array
}).pipe(Effect.provide(Reactivity.layer))

const templates = (sql: SqlClient.SqlClient): Record<string, Statement.Statement<any>> => {
  const condition = sql`fooBar = ${1}`
  const json = Statement.custom<any>("PgJson")({ fooBar: 1 }, undefined, undefined)
  return {
    in: sql`select * from t where ${sql.in("fooBar", [1, 2])} and x in ${sql.in([3, 4])}`,
    insert: sql`insert into t ${sql.insert({ fooBar: 1, b: null })}`,
    insertMany: sql`insert into t ${sql.insert([{ a: 1 }, { a: 2 }]).returning("*")}`,
    returning: sql`insert into t ${sql.insert({ a: 1 }).returning(sql`id, ${sql("fooBar")}`)}`,
    update: sql`update t set ${sql.update({ a: 1, fooBar: 2 }, ["a"])} where x = ${3}`,
    updateReturning: sql`update t set ${sql.update({ a: 1 }).returning("*")}`,
    updateValues: sql`update t set a = d.a from ${sql.updateValues([{ a: 1 }, { a: 2 }], "d")}`,
    andOr: sql`select 1 where ${sql.and([condition, sql.or(["a = 1", sql`b = ${2}`]), sql.in("c", [])])}`,
    csv: sql`select 1 ${sql.csv("order by", ["a", sql`b desc`])}`,
    join: sql`select ${sql.join(" || ", false)([sql`${"a"}`, sql`${"b"}`])}`,
    json: sql`select ${json}`,
    literal: sql`select ${sql.literal("now()")}`,
    unsafe: sql.unsafe("select $1", [1]),
    nested: sql`select * from (${sql`select ${1} as a where ${sql.in("b", [1])}`}) x where y = ${2}`,
    updateValuesReturning: sql`update t set a = d.a from ${
      sql.updateValues([{ fooBar: 1 }], "d").returning(sql`t.id`)
    }`,
    identifiers: sql`select ${sql("fooBar")}, ${sql("a.fooBar")} from ${sql("t")}`,
    dialect: sql`select ${
      sql.onDialect({
        pg: () => sql`${1}`,
        mysql: () => sql`my`,
        sqlite: () => sql`lite`,
        mssql: () => sql`ms`,
        clickhouse: () => sql`click`
      })
    }`,
    dialectOrElse: sql`select ${sql.onDialectOrElse({ pg: () => sql`'pg'`, orElse: () => sql`'?'` })}`,
    // a parameter that looks like a helper stays a parameter
    lookalike: sql`select ${{ _tag: "Literal", value: "; drop table x" } as any}`
  }
}

describe("the helpers of the template", () => {
  it.scopedLive("make the same SQL as @effect/sql-pg, with and without transforms", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool(names)
      const [ours, theirs] = [templates(sql), templates(yield* official)]
      for (const [name, template] of Object.entries(ours)) {
        assert.deepStrictEqual(template.compile(), theirs[name]!.compile(), name)
        assert.deepStrictEqual(template.compile(true), theirs[name]!.compile(true), name)
      }
      const plain = [templates(sql.withoutTransforms()), templates((yield* official).withoutTransforms())] as const
      for (const name of Object.keys(plain[0])) {
        assert.deepStrictEqual(plain[0][name]!.compile(), plain[1][name]!.compile(), name)
      }
    }))

  it.scopedLive("are all compared there", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool(names)
      const used = new Set<PropertyKey>()
      templates(
        new Proxy(sql, {
          get: (target, key) => {
            used.add(key)
            return Reflect.get(target, key)
          }
        })
      )
      const others = ["safe", "reserve", "withTransaction", "withoutTransforms", "reactive", "reactiveMailbox"]
      const helpers = Object.keys(yield* official).filter((name) => !others.includes(name))
      assert.isAbove(helpers.length, 10)
      assert.deepStrictEqual(helpers.filter((name) => !used.has(name)), [])
    }))

  it.scopedLive("compose with fragments of other clients, and with a transformer", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool(names)
      const foreign = yield* official
      assert.isTrue(Statement.isFragment(sql`select 1`))
      assert.deepStrictEqual(yield* sql`select * from (${foreign`select ${7}::int as foo_bar`}) q`, [{ fooBar: 7 }])
      const seen: Array<string> = []
      const rows = yield* sql`select ${1}::int as x`.pipe(Statement.withTransformer((self, sql, _context, span) =>
        Effect.sync(() => {
          seen.push(`${span.name}: ${self.compile()[0]}`)
          return sql`select * from (${self}) q, (select 9 as y) z`
        })
      ))
      assert.deepStrictEqual(rows, [{ x: 1, y: 9 }] as never)
      assert.deepStrictEqual(seen, ["sql.execute: select $1::int as x"])
    }))
})

describe("modules of @effect/sql", () => {
  const Item = Schema.Struct({ id: Schema.Number, name: Schema.String })

  it.scopedLive("SqlSchema decodes what it inserts and finds", () =>
    Effect.gen(function*() {
      const { sql, table } = yield* makeTable()
      const insert = SqlSchema.single({
        Request: Item,
        Result: Item,
        execute: (item) => sql`insert into ${sql(table)} ${sql.insert(item).returning("*")}`
      })
      const find = SqlSchema.findOne({
        Request: Schema.Number,
        Result: Item,
        execute: (id) => sql`select * from ${sql(table)} where id = ${id}`
      })
      assert.deepStrictEqual(yield* insert({ id: 1, name: "a" }), { id: 1, name: "a" })
      assert.deepStrictEqual(yield* find(1), Option.some({ id: 1, name: "a" }))
      assert.deepStrictEqual(yield* find(2), Option.none())
    }))

  it.scopedLive("SqlResolver batches, and inside a transaction runs in it", () =>
    Effect.gen(function*() {
      const { pool, sql, table } = yield* makeTable({ maxConnections: 2 })
      yield* sql`insert into ${sql(table)} values (1, 'a')`
      const batches: Array<ReadonlyArray<number>> = []
      const byId = yield* SqlResolver.findById("ItemById", {
        Id: Schema.Number,
        Result: Item,
        ResultId: (item) => item.id,
        execute: (ids) => {
          batches.push(ids)
          return sql`select * from ${sql(table)} where ${sql.in("id", ids)}`
        }
      })
      const found = (ids: ReadonlyArray<number>) =>
        Effect.map(Effect.forEach(ids, byId.execute, { batching: true }), (items) => items.map(Option.isSome))
      assert.deepStrictEqual(yield* found([1, 2]), [true, false])
      assert.deepStrictEqual(batches, [[1, 2]])
      yield* pool.withTransaction(Effect.gen(function*() {
        yield* sql`insert into ${sql(table)} values (2, 'b')`
        assert.deepStrictEqual(yield* found([1, 2]), [true, true])
      }))
    }))

  it.scopedLive("Model repositories insert, update, find and delete", () =>
    Effect.gen(function*() {
      const { admin, sql, table } = yield* makeTable(names)
      yield* admin(`alter table ${table} alter column id add generated by default as identity`)
      class Thing extends Model.Class<Thing>("Thing")({ id: Model.Generated(Schema.Number), name: Schema.String }) {}
      const repository = yield* Model.makeRepository(Thing, { tableName: table, spanPrefix: "Thing", idColumn: "id" })
        .pipe(Effect.provideService(SqlClient.SqlClient, sql))
      const { id } = yield* repository.insert(Thing.insert.make({ name: "a" }))
      yield* repository.update(Thing.update.make({ id, name: "b" }))
      assert.strictEqual(Option.getOrThrow(yield* repository.findById(id)).name, "b")
      yield* repository.delete(id)
      assert.isTrue(Option.isNone(yield* repository.findById(id)))
    }))

  it.scopedLive("Migrator runs each migration once", () =>
    Effect.gen(function*() {
      const { admin, sql, table } = yield* makeTable()
      const migrations = unique("migrations")
      yield* Effect.addFinalizer(() => admin(`drop table ${migrations}`))
      const migrate = Migrator.make({})({
        table: migrations,
        loader: Migrator.fromRecord({
          "1_add": Effect.flatMap(SqlClient.SqlClient, (sql) => sql`insert into ${sql(table)} values (1, 'a')`),
          "2_more": Effect.flatMap(SqlClient.SqlClient, (sql) => sql`insert into ${sql(table)} values (2, 'b')`)
        })
      }).pipe(Effect.provideService(SqlClient.SqlClient, sql)) as Effect.Effect<ReadonlyArray<unknown>, unknown>
      assert.strictEqual((yield* migrate).length, 2)
      assert.strictEqual((yield* migrate).length, 0)
    }))

  it.scopedLive("`reserve` is one connection for a scope, with all that a Connection can do", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ transformResultNames: camel })
      yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* sql.reserve
        yield* connection.executeRaw("create temporary table reserved (n int)", [])
        yield* connection.execute("insert into reserved values ($1)", [7], undefined)
        assert.deepStrictEqual(yield* connection.executeValues("select n from reserved", []), [[7]])
        const upper = (rows: ReadonlyArray<any>) => rows.map(({ n }) => ({ N: n }))
        assert.deepStrictEqual(yield* connection.execute("select n from reserved", [], upper as never), [{ N: 7 }])
        assert.deepStrictEqual(yield* connection.executeUnprepared("select n from reserved", [], undefined), [{ n: 7 }])
        const rows = yield* Stream.runCollect(connection.executeStream("select n from reserved", [], undefined))
        assert.deepStrictEqual(Chunk.toArray(rows), [{ n: 7 }])
        yield* connection.executeRaw("drop table reserved", [])
        assert.strictEqual((yield* pool.stats).leased, 1)
      }))
      assert.strictEqual((yield* pool.stats).leased, 0)
    }))

  it.scopedLive("reactive queries run again when their keys are invalidated", () =>
    Effect.gen(function*() {
      const { admin, table } = yield* makeTable()
      const { url } = yield* server
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const counts = yield* Queue.unbounded<number>()
        const query = Effect.map(sql`select * from ${sql(table)}`, (rows) => rows.length)
        const fiber = yield* Effect.fork(
          Stream.runForEach(sql.reactive([table], query), (n) => Queue.offer(counts, n))
        )
        assert.strictEqual(yield* Queue.take(counts), 0)
        yield* Reactivity.mutation(sql`insert into ${sql(table)} values (1, 'a')`, [table])
        assert.strictEqual(yield* Queue.take(counts), 1)
        yield* Fiber.interrupt(fiber)
        const mailbox = yield* Effect.scoped(
          Effect.flatMap(sql.reactiveMailbox([table], query), (mailbox) => mailbox.take)
        )
        assert.strictEqual(mailbox, 1)
      }).pipe(
        // built together, the layers share one Reactivity
        Effect.provide(
          Layer.merge(PgPool.layer({ url: Redacted.make(url), applicationName: unique("app") }), Reactivity.layer)
        )
      )
      assert.strictEqual((yield* admin(`select * from ${table}`)).length, 1)
    }))
})

describe("spans", () => {
  /** what a tracer that is not Effect's own sees */
  const recorder = () => {
    const spans: Array<{ readonly name: string; readonly kind: string; readonly attributes: Record<string, unknown> }> =
      []
    const tracer = Tracer.make({
      context: (f) => f(),
      span: (name, parent, context, links, startTime, kind, own) => {
        const attributes = new Map<string, unknown>(Object.entries(own?.attributes ?? {}))
        return {
          _tag: "Span",
          name,
          spanId: "span",
          traceId: "trace",
          parent,
          context,
          status: { _tag: "Started", startTime },
          attributes,
          links,
          sampled: true,
          kind,
          end: () => spans.push({ name, kind, attributes: Object.fromEntries(attributes) }),
          attribute: (key, value) => attributes.set(key, value),
          event: () => {},
          addLinks: () => {}
        }
      }
    })
    return { spans, tracer }
  }

  const program = Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const select = sql`select ${1}::int as one`
    yield* select
    yield* select.values
    yield* select.raw
    yield* select.withoutTransform
    yield* select.unprepared
    yield* Stream.runDrain(select.stream)
    yield* sql.withTransaction(sql.withTransaction(select))
  })

  it.scopedLive("are those of the official client, for every way to run a statement, and name their pool", () =>
    Effect.gen(function*() {
      const { database, host, password, port, user } = yield* server
      const options = {
        host,
        port,
        database,
        username: user,
        password: Redacted.make(password),
        applicationName: unique("app"),
        name: "main",
        spanAttributes: { team: "blue" }
      }
      const [ours, theirs] = [recorder(), recorder()]
      yield* program.pipe(Effect.withTracer(ours.tracer), Effect.provide(PgPool.layer(options)))
      yield* program.pipe(Effect.withTracer(theirs.tracer), Effect.provide(PgClient.layer(options)))
      assert.strictEqual(ours.spans.length, 9)
      assert.deepStrictEqual(
        ours.spans,
        theirs.spans.map((span) => ({
          ...span,
          attributes: { ...span.attributes, "db.client.connection.pool.name": "main" }
        }))
      )
    }))

  it.scopedLive("are not made for nobody: with Effect's own tracer, or with tracing off", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool()
      const { spans, tracer } = recorder()
      yield* sql`select 1`
      yield* sql`select 1`.pipe(Effect.withTracerEnabled(false), Effect.withTracer(tracer))
      assert.deepStrictEqual(spans, [])
    }))
})
