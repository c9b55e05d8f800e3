import * as SqlClient from "@effect/sql/SqlClient"
import * as Statement from "@effect/sql/Statement"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { equal, isTrue, within } from "./checks.js"
import type { Lab } from "./lab.js"
import { group, row } from "./row.js"

const filled = (lab: Lab) =>
  Effect.gen(function*() {
    const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
    for (const id of [1, 2, 3, 4]) yield* lab.insert(client, table, id)
    const { sql } = client
    const ids = (condition: Statement.Fragment) =>
      Effect.map(
        sql<{ readonly id: number }>`select id from ${sql(table.name)} where ${condition} order by id`,
        (rows) => rows.map(({ id }) => Number(id))
      )
    return { client, sql, table, ids }
  })

const upper = (rows: ReadonlyArray<any>) => rows.map((row) => ({ ONE: row.one }))

/** @internal */
export const compatibility = group("SqlClient", [], [
  row("parameters in a template are sent as parameters, whatever they look like", (lab) =>
    Effect.gen(function*() {
      const { client, sql, table } = yield* filled(lab)
      const nasty = `'; drop table ${table.name}; -- "quoted" \\ ünïcödé 🦆`
      yield* lab.insert(client, table, 5, nasty)
      const rows = yield* sql`select id from ${sql(table.name)} where name = ${nasty}`
      yield* equal(rows, [{ id: 5 }], "found by it")
      yield* equal((yield* table.names)[4], nasty, "what is stored")
    })),
  row("sql.in, with a column and as a list", (lab) =>
    Effect.gen(function*() {
      const { ids, sql } = yield* filled(lab)
      yield* equal(yield* ids(sql.in("id", [2, 4, 9])), [2, 4], "with a column")
      yield* equal(yield* ids(sql`id in ${sql.in([1, 3])}`), [1, 3], "as a list")
      yield* equal(yield* ids(sql.in("id", [])), [], "of nothing")
    })),
  row("sql.and and sql.or", (lab) =>
    Effect.gen(function*() {
      const { ids, sql } = yield* filled(lab)
      const condition = sql.and([sql`id > ${1}`, sql.or([sql`name = ${"n2"}`, sql`name = ${"n4"}`, "id = 99"])])
      yield* equal(yield* ids(condition), [2, 4], "found")
      yield* equal(yield* ids(sql.and([])), [1, 2, 3, 4], "with no condition")
    })),
  row("sql.insert of one and of many", (lab) =>
    Effect.gen(function*() {
      const { sql, table } = yield* filled(lab)
      yield* sql`${sql.literal(lab.syntax.insert)} ${sql(table.name)} ${
        sql.insert([{ id: 5, name: "five" }, { id: 6, name: null }])
      }`
      yield* equal(yield* table.names, ["n1", "n2", "n3", "n4", "five", null], "the table")
    })),
  row("sql.update of some columns", (lab) =>
    Effect.gen(function*() {
      const { sql, table } = yield* filled(lab)
      yield* sql`update ${sql(table.name)} set ${sql.update({ id: 99, name: "changed" }, ["id"])} where id = ${2}`
      yield* equal(yield* table.names, ["n1", "changed", "n3", "n4"], "the table")
    })),
  row("returning: what was inserted and updated", ["returning"], (lab) =>
    Effect.gen(function*() {
      const { sql, table } = yield* filled(lab)
      const row = { id: 5, name: "five" }
      yield* equal(yield* sql`insert into ${sql(table.name)} ${sql.insert(row).returning("*")}`, [row], "inserted")
    })),
  row("sql.csv, sql.join, sql.literal, identifiers and fragments in fragments", (lab) =>
    Effect.gen(function*() {
      const { sql, table } = yield* filled(lab)
      const inner = sql`select id, name from ${sql(table.name)} where id < ${4}`
      const names = sql.join(", ", false)([sql`${sql("id")}`, sql`${sql("name")}`])
      const rows = yield* sql`select ${names} from (${inner}) q where id > ${1} ${
        sql.csv("order by", [sql`name ${sql.literal("desc")}`, "id"])
      }`
      yield* equal(rows, [{ id: 3, name: "n3" }, { id: 2, name: "n2" }], "rows")
    })),
  row("sql.onDialectOrElse knows the dialect", (lab) =>
    Effect.gen(function*() {
      const { sql } = yield* lab.open()
      const known = sql.onDialectOrElse({
        pg: () => true,
        mysql: () => true,
        sqlite: () => true,
        orElse: () => false
      })
      yield* isTrue(known, "it does not")
    })),
  row(
    "sql.unsafe with parameters, values, raw, unprepared, withoutTransform and stream",
    (lab) =>
      Effect.gen(function*() {
        const { sql, table } = yield* filled(lab)
        const text = `select name from ${table.name} where id = ${lab.syntax.placeholder(1)}`
        const statement = sql.unsafe(text, [2])
        yield* equal(yield* statement, [{ name: "n2" }], "rows")
        yield* equal(yield* statement.values, [["n2"]], "values")
        yield* equal(yield* statement.unprepared, [{ name: "n2" }], "unprepared")
        yield* equal(yield* statement.withoutTransform, [{ name: "n2" }], "withoutTransform")
        yield* isTrue(typeof (yield* statement.raw) === "object", "raw is not the driver's result")
        yield* equal(statement.compile(), [text, [2]], "compiled")
        if (lab.dialect.capabilities.streams === true) {
          yield* equal(Chunk.toArray(yield* Stream.runCollect(statement.stream)), [{ name: "n2" }], "stream")
        }
      })
  ),
  row("a statement can be run again and again, and concurrently", (lab) =>
    Effect.gen(function*() {
      const { sql, table } = yield* filled(lab)
      const statement = sql`select name from ${sql(table.name)} where id = ${3}`
      const all = yield* Effect.replicateEffect(statement, 10, { concurrency: "unbounded" })
      yield* equal(all, Array.from({ length: 10 }, () => [{ name: "n3" }]), "all of them")
    })),
  row("a statement goes on working after its table has changed", (lab) =>
    Effect.gen(function*() {
      const { sql, table } = yield* filled(lab)
      const all = sql`select * from ${sql(table.name)} where id = ${1}`
      for (let i = 0; i < 4; i++) yield* all
      yield* lab.server.query(`alter table ${table.name} add extra integer`)
      for (let i = 0; i < 4; i++) yield* equal(yield* all, [{ id: 1, name: "n1", extra: null }], "a row")
    })),
  row("names are transformed both ways, and withoutTransforms leaves them", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({
        transformQueryNames: (name) => name === "theName" ? "name" : name,
        transformResultNames: (name) => name === "name" ? "theName" : name
      })
      const table = yield* lab.table()
      const { sql } = client
      yield* sql`${sql.literal(lab.syntax.insert)} ${sql(table.name)} ${sql.insert({ id: 1, theName: "a" })}`
      const select = (sql: SqlClient.SqlClient) => sql`select name from ${sql(table.name)}`
      yield* equal(yield* select(sql), [{ theName: "a" }], "transformed")
      yield* equal(yield* select(sql.withoutTransforms()), [{ name: "a" }], "as they are")
      yield* equal(yield* select(sql).withoutTransform, [{ name: "a" }], "as they are, this once")
    })),
  row("withoutTransforms inside a transaction stays in it", ["transactions"], (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1, transformResultNames: (name) => name })
      const { sql } = client
      const look = sql.withoutTransforms()`select name from ${sql(table.name)}`
      const found = within(2000, sql.withTransaction(Effect.zipRight(lab.insert(client, table, 1), look)), "it")
      yield* equal(yield* found, [{ name: "n1" }], "what it sees")
    })),
  row("`reserve` is one connection for a scope, with all that a Connection can do", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      const { connection, release } = yield* lab.hold(client)
      const { one } = lab.syntax
      yield* equal(yield* connection.execute(one, [], undefined), [{ one: 1 }], "execute")
      yield* equal(yield* connection.execute(one, [], upper as never), [{ ONE: 1 }], "execute, transformed")
      yield* equal(yield* connection.executeUnprepared(one, [], undefined), [{ one: 1 }], "executeUnprepared")
      yield* equal(yield* connection.executeValues(one, []), [[1]], "executeValues")
      yield* isTrue(typeof (yield* connection.executeRaw(one, [])) === "object", "executeRaw gives nothing")
      if (lab.dialect.capabilities.streams === true) {
        const rows = yield* Stream.runCollect(connection.executeStream(one, [], undefined))
        yield* equal(Chunk.toArray(rows), [{ one: 1 }], "executeStream")
      }
      yield* release
    })),
  row("a statement's transformer sees it, and may change it", (lab) =>
    Effect.gen(function*() {
      const { sql, table } = yield* filled(lab)
      const seen: Array<string> = []
      const rows = yield* sql`select id from ${sql(table.name)} where id < ${3}`.pipe(
        Statement.withTransformer((self, sql) =>
          Effect.sync(() => {
            seen.push("seen")
            return sql`select id, name from (select * from ${sql(table.name)}) t where id in (${self})`
          })
        )
      )
      yield* equal(rows, [{ id: 1, name: "n1" }, { id: 2, name: "n2" }], "rows")
      yield* equal(seen, ["seen"], "what it saw")
    })),
  row("the client is found under @effect/sql's own tag, and is its own `safe`", (lab) =>
    Effect.gen(function*() {
      const { context, sql } = yield* lab.open()
      yield* isTrue(Context.get(context, SqlClient.SqlClient) === sql, "another client")
      yield* isTrue(sql.safe === sql && SqlClient.TypeId in sql, "not a SqlClient")
      yield* isTrue(Statement.isFragment(sql`select 1`), "its statements are no fragments")
    }))
])
