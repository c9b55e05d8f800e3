import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import { equal, errorOf, fails, failsWith, isTrue, refusedAs, timed, within } from "./checks.js"
import type { Client, Lab, Table } from "./lab.js"
import { group, row } from "./row.js"

interface Constrained {
  readonly id: number
  readonly parent?: number | null
  readonly name?: string | null
  readonly amount?: number
}

const constrained = (lab: Lab) =>
  Effect.gen(function*() {
    const client = yield* lab.open({ maxConnections: 1 })
    const table = yield* lab.table(lab.syntax.createConstrained)
    const insert = (row: Constrained) =>
      client.sql`insert into ${client.sql(table.name)} ${
        client.sql.insert({ parent: null, name: "a name", amount: 0, ...row })
      }`
    yield* insert({ id: 1 })
    return { client, insert }
  })

const update = ({ sql }: Client, table: Table, id: number) =>
  sql`update ${sql(table.name)} set name = ${"changed"} where id = ${id}`

/** @internal */
export const errors = group("errors", [], [
  row(
    "a duplicate key is a UniqueViolation that names its constraint",
    ["constraints"],
    (lab) =>
      Effect.gen(function*() {
        const { client, insert } = yield* constrained(lab)
        const error = yield* refusedAs(insert({ id: 1 }), "UniqueViolation", "a second row with the same key")
        yield* isTrue(error.code !== undefined, "no code")
        yield* equal(error.isRetryable, false, "whether it may be repeated")
        yield* within(1000, lab.one(client), "the next statement")
      })
  ),
  row(
    "a dangling reference is a ForeignKeyViolation",
    ["constraints"],
    (lab) =>
      Effect.flatMap(
        constrained(lab),
        ({ insert }) => refusedAs(insert({ id: 2, parent: 99 }), "ForeignKeyViolation", "a row without its parent")
      )
  ),
  row(
    "a missing value is a NotNullViolation",
    ["constraints"],
    (lab) =>
      Effect.flatMap(
        constrained(lab),
        ({ insert }) => refusedAs(insert({ id: 2, name: null }), "NotNullViolation", "a row without a name")
      )
  ),
  row(
    "a value that a CHECK refuses is a CheckViolation",
    ["constraints"],
    (lab) =>
      Effect.flatMap(
        constrained(lab),
        ({ insert }) => refusedAs(insert({ id: 2, amount: -1 }), "CheckViolation", "a negative amount")
      )
  ),
  row("a statement that makes no sense is a Syntax error, and its connection goes on", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      yield* refusedAs(client.sql.unsafe("this is not a statement"), "Syntax", "nonsense")
      yield* refusedAs(client.sql.unsafe("select * from no_such_table"), "Syntax", "an unknown table")
      yield* within(1000, lab.one(client), "the next statement")
    })),
  row("what the driver said is in the message", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open()
      const outcome = yield* Effect.either(client.sql.unsafe("select * from no_such_table"))
      if (Either.isRight(outcome)) return yield* fails("wrong result", "it succeeded")
      const { _tag, message } = outcome.left
      yield* equal(_tag, "SqlError", "the error of the client's own channel")
      yield* isTrue(/no_such_table/i.test(message), `the message is "${message}"`)
    })),
  row("of two transactions that lock each other out, one is told so and the other goes on", [
    "transactions",
    "rowLocks"
  ], (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 2 })
      yield* lab.insert(client, table, 1)
      yield* lab.insert(client, table, 2)
      const first = yield* Deferred.make<void>()
      const second = yield* Deferred.make<void>()
      const crossing = (a: number, mine: Deferred.Deferred<void>, theirs: Deferred.Deferred<void>, b: number) =>
        Effect.exit(client.sql.withTransaction(Effect.gen(function*() {
          yield* update(client, table, a)
          yield* Deferred.succeed(mine, undefined)
          yield* Deferred.await(theirs)
          yield* update(client, table, b)
        })))
      const exits = yield* within(
        8000,
        Effect.all([crossing(1, first, second, 2), crossing(2, second, first, 1)], { concurrency: "unbounded" }),
        "both transactions"
      )
      const failed = exits.filter(Exit.isFailure)
      if (failed.length !== 1) return yield* fails("wrong result", `${failed.length} of two failed`)
      const error = yield* refusedAs(failed[0]!, "Deadlock", "the victim")
      yield* equal(error.isRetryable, false, "whether the one statement may be repeated")
      yield* equal(yield* table.names, ["changed", "changed"], "the table")
    })),
  row("too few parameters are a typed error, and nothing is made up", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
      const { placeholder } = lab.syntax
      const text = `${lab.syntax.insert} ${table.name} (id, name) values (${placeholder(1)}, ${placeholder(2)})`
      yield* client.sql.unsafe(text, [1, "one"])
      yield* failsWith(within(2000, client.sql.unsafe(text, [2]), "the statement"), "StatementError", "it")
      yield* within(1000, lab.one(client), "the next statement")
      yield* equal(yield* table.names, ["one"], "the table")
    })),
  row("a parameter that cannot be sent is a typed error, and its connection goes on", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
      const circular: Record<string, unknown> = {}
      circular.self = circular
      const { placeholder } = lab.syntax
      const text = `${lab.syntax.insert} ${table.name} (id, name) values (1, ${placeholder(1)})`
      const sent = within(2000, client.sql.unsafe(text, [circular as never]), "the statement")
      yield* failsWith(sent, "StatementError", "a circular parameter")
      yield* within(1000, lab.one(client), "the next statement")
      yield* equal(yield* table.names, [], "the table")
    })),
  row("a wrong password is told at once, and never shown", (lab) =>
    Effect.gen(function*() {
      const secret = "not-the-password-4711"
      const [took, exit] = yield* timed(
        within(4000, lab.open({ password: Redacted.make(secret), initializeTimeout: "10 seconds" }), "the layer")
      )
      const error = yield* failsWith(exit, "ConnectFailed", "the layer")
      yield* isTrue(took < 2000, `it took ${took} ms`)
      yield* isTrue(
        ![String(error), error.message, JSON.stringify(error)].join().includes(secret),
        "it shows the password"
      )
    })),
  row("a server that is not there fails the layer within initializeTimeout", (lab) =>
    Effect.gen(function*() {
      const address = yield* Effect.scoped(lab.proxy)
      const [took, exit] = yield* timed(
        within(4000, lab.open({ address, initializeTimeout: "300 millis" }), "the layer")
      )
      yield* failsWith(exit, "ConnectFailed", "the layer")
      yield* isTrue(took < 1500, `it took ${took} ms`)
    })),
  row(
    "a server that accepts and never answers fails the layer within initializeTimeout",
    (lab) =>
      Effect.gen(function*() {
        const proxy = yield* lab.proxy
        yield* proxy.deaf()
        const [took, exit] = yield* timed(
          within(4000, lab.open({ address: proxy, initializeTimeout: "300 millis" }), "the layer")
        )
        yield* errorOf(exit, "the layer")
        yield* isTrue(took < 1500, `it took ${took} ms`)
      })
  )
])
