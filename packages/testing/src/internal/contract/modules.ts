import * as Reactivity from "@effect/experimental/Reactivity"
import * as Migrator from "@effect/sql/Migrator"
import * as Model from "@effect/sql/Model"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as SqlResolver from "@effect/sql/SqlResolver"
import * as SqlSchema from "@effect/sql/SqlSchema"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { equal, errorOf, isTrue, within } from "./checks.js"
import type { Client, Lab, Table } from "./lab.js"
import { group, row } from "./row.js"

const Item = Schema.Struct({ id: Schema.Number, name: Schema.NullOr(Schema.String) })

const byIds = ({ sql }: Client, table: Table, ids: ReadonlyArray<number>) =>
  sql`select id, name from ${sql(table.name)} where ${sql.in("id", ids)} order by id`

const filled = (lab: Lab) =>
  Effect.gen(function*() {
    const [client, table] = yield* lab.openWithTable({ maxConnections: 2 })
    for (const id of [1, 2, 3]) yield* lab.insert(client, table, id)
    return [client, table] as const
  })

/** what is built on `SqlClient`, unchanged @internal */
export const modules = group("modules of @effect/sql", [], [
  row("SqlSchema decodes what it finds: findAll, findOne, single, void", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* filled(lab)
      const find = { Request: Schema.Number, Result: Item, execute: (id: number) => byIds(client, table, [id]) }
      yield* equal(yield* SqlSchema.findAll(find)(2), [{ id: 2, name: "n2" }], "findAll")
      yield* equal(yield* SqlSchema.findOne(find)(9), Option.none(), "findOne of nothing")
      yield* equal(yield* SqlSchema.single(find)(3), { id: 3, name: "n3" }, "single")
      const insert = SqlSchema.void({ Request: Item, execute: ({ id, name }) => lab.insert(client, table, id, name) })
      yield* insert({ id: 4, name: null })
      yield* equal(yield* table.names, ["n1", "n2", "n3", null], "the table")
    })),
  row("SqlSchema refuses rows that are not what they should be", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* filled(lab)
      const find = SqlSchema.findAll({
        Request: Schema.Number,
        Result: Schema.Struct({ id: Schema.String }),
        execute: (id) => byIds(client, table, [id])
      })
      const error = yield* errorOf(find(1), "a row with a number where a text should be")
      yield* equal((error as { readonly _tag: string })._tag, "ParseError", "the error")
    })),
  row("SqlResolver.findById asks once for a batch", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* filled(lab)
      const batches: Array<ReadonlyArray<number>> = []
      const byId = yield* SqlResolver.findById("ContractItemById", {
        Id: Schema.Number,
        Result: Item,
        ResultId: ({ id }) => id,
        execute: (ids) => {
          batches.push([...ids])
          return byIds(client, table, ids)
        }
      })
      const found = yield* Effect.forEach([1, 9, 3], byId.execute, { batching: true })
      yield* equal(found.map(Option.isSome), [true, false, true], "found")
      yield* equal(batches, [[1, 9, 3]], "batches")
    })),
  row("SqlResolver.ordered and grouped give each request its rows", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* filled(lab)
      const ordered = yield* SqlResolver.ordered("ContractOrdered", {
        Request: Schema.Number,
        Result: Item,
        execute: (ids) => byIds(client, table, ids)
      })
      const items = yield* Effect.forEach([1, 2, 3], ordered.execute, { batching: true })
      yield* equal(items.map(({ id }) => id), [1, 2, 3], "ordered")
      const grouped = yield* SqlResolver.grouped("ContractGrouped", {
        Request: Schema.Number,
        RequestGroupKey: (id) => id,
        Result: Item,
        ResultGroupKey: ({ id }) => id,
        execute: (ids) => byIds(client, table, ids)
      })
      const groups = yield* Effect.forEach([3, 1], grouped.execute, { batching: true })
      yield* equal(groups.map((group) => group.map(({ id }) => id)), [[3], [1]], "grouped")
    })),
  row("SqlResolver inside a transaction runs in it", ["transactions"], (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 2 })
      const insert = yield* SqlResolver.void("ContractInsert", {
        Request: Item,
        execute: (items) => Effect.forEach(items, ({ id, name }) => lab.insert(client, table, id, name))
      })
      const both = Effect.forEach([1, 2], (id) => insert.execute({ id, name: `n${id}` }), { batching: true })
      yield* Effect.exit(client.sql.withTransaction(Effect.zipRight(both, Effect.fail("undo"))))
      yield* equal(yield* table.names, [], "after a rollback")
      yield* client.sql.withTransaction(both)
      yield* equal(yield* table.names, ["n1", "n2"], "after a commit")
    })),
  row("Model repositories insert, update, find and delete", ["models", "returning"], (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open()
      const table = yield* lab.table(lab.syntax.createSerial)
      class Thing extends Model.Class<Thing>("Thing")({ id: Model.Generated(Schema.Number), name: Schema.String }) {}
      const repository = yield* Model.makeRepository(Thing, {
        tableName: table.name,
        spanPrefix: "Thing",
        idColumn: "id"
      }).pipe(Effect.provide(client.context))
      const { id } = yield* repository.insert(Thing.insert.make({ name: "a" }))
      yield* repository.update(Thing.update.make({ id, name: "b" }))
      yield* equal(Option.getOrThrow(yield* repository.findById(id)).name, "b", "what was found")
      yield* repository.delete(id)
      yield* equal(yield* repository.findById(id), Option.none(), "what is left")
    })),
  row(
    "Migrator runs each migration once, in order, and keeps none of one that fails",
    ["models", "transactions"],
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open()
        const { sql } = client
        const migrations = yield* lab.tableName("contract_migrations")
        const table = yield* lab.tableName("contract_migrated")
        const create = (lab.syntax.createTable(table)).map((text) => sql.unsafe(text))
        const loader = (broken: boolean) =>
          Migrator.fromRecord({
            "1_create": Effect.all(create),
            "2_fill": sql.unsafe(`insert into ${table} (id, name) values (1, 'a')`),
            ...(broken
              ? {
                "3_broken": Effect.zipRight(
                  sql.unsafe(`insert into ${table} (id, name) values (2, 'b')`),
                  sql.unsafe("this is not a statement")
                )
              }
              : {})
          })
        const migrate = (broken: boolean) =>
          (Migrator.make({})({ table: migrations, loader: loader(broken) }) as Effect.Effect<
            ReadonlyArray<readonly [number, string]>,
            unknown,
            SqlClient.SqlClient
          >).pipe(Effect.provide(client.context))
        yield* equal(yield* migrate(false), [[1, "create"], [2, "fill"]], "the first run")
        yield* equal(yield* migrate(false), [], "the second run")
        yield* isTrue(Exit.isFailure(yield* Effect.exit(migrate(true))), "a migration that fails is reported as done")
        yield* equal(yield* lab.server.query(`select name from ${table}`), [{ name: "a" }], "the table")
      })
  ),
  row("reactive queries run again when their keys are invalidated", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable()
      const { sql } = client
      const counts = yield* Queue.unbounded<number>()
      const query = Effect.map(sql`select id from ${sql(table.name)}`, (rows) => rows.length)
      const fiber = yield* Effect.fork(
        Stream.runForEach(sql.reactive([table.name], query), (n) => Queue.offer(counts, n))
      )
      yield* equal(yield* within(2000, Queue.take(counts), "the first run"), 0, "rows at first")
      const { mutation } = Context.get(client.context, Reactivity.Reactivity)
      yield* mutation([table.name], lab.insert(client, table, 1))
      yield* equal(yield* within(2000, Queue.take(counts), "the second run"), 1, "rows then")
      yield* Fiber.interrupt(fiber)
      const first = yield* Effect.scoped(
        Effect.flatMap(sql.reactiveMailbox([table.name], query), (mailbox) => mailbox.take)
      )
      yield* equal(first, 1, "the mailbox")
    }))
])
