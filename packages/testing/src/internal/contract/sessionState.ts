import * as Effect from "effect/Effect"
import { equal, isTrue, refusedAs } from "./checks.js"
import { group, row } from "./row.js"

const unset = (rows: ReadonlyArray<any>) => rows.length === 1 && [null, "", undefined].includes(rows[0].value)

/** @internal */
export const sessionState = group("session state", ["sessionState"], [
  row(
    "a lease keeps it: variables and temporary tables are there for its later statements",
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 2 })
        const { connection } = yield* lab.hold(client)
        yield* connection.execute(lab.syntax.setVariable("mine"), [], undefined)
        yield* connection.execute(lab.syntax.createTemporary("contract_temporary"), [], undefined)
        yield* connection.execute("insert into contract_temporary values (7)", [], undefined)
        yield* equal(yield* connection.executeValues(lab.syntax.variable, []), [["mine"]], "the variable")
        yield* equal(yield* connection.executeValues("select n from contract_temporary", []), [[7]], "the table")
      })
  ),
  row(
    "a transaction keeps it: variables are there for its later statements",
    ["transactions"],
    (lab) =>
      Effect.gen(function*() {
        const { sql } = yield* lab.open({ maxConnections: 2 })
        yield* sql.withTransaction(Effect.gen(function*() {
          yield* sql.unsafe(lab.syntax.setVariable("mine"))
          yield* equal(yield* sql.unsafe(lab.syntax.variable), [{ value: "mine" }], "the variable")
        }))
      })
  ),
  row("with `reset: \"session\"` a variable does not reach the next borrower", (lab) =>
    Effect.gen(function*() {
      const { sql } = yield* lab.open({ maxConnections: 1, reset: "session" })
      yield* sql.unsafe(lab.syntax.setVariable("left behind"))
      const rows = yield* sql.unsafe(lab.syntax.variable)
      yield* isTrue(unset(rows), `the next borrower sees ${JSON.stringify(rows)}`)
    })),
  row("with `reset: \"session\"` a temporary table does not reach the next borrower", (lab) =>
    Effect.gen(function*() {
      const { sql } = yield* lab.open({ maxConnections: 1, reset: "session" })
      yield* sql.unsafe(lab.syntax.createTemporary("contract_temporary"))
      yield* refusedAs(sql`select n from contract_temporary`, "Syntax", "the next borrower's look at it")
    })),
  row(
    "with `reset: \"session\"` an isolation level set by hand does not reach the next borrower",
    ["isolation"],
    (lab) =>
      Effect.gen(function*() {
        const { sql } = yield* lab.open({ maxConnections: 1, reset: "session" })
        const before = yield* sql.unsafe(lab.syntax.isolation)
        yield* sql.unsafe(lab.syntax.setSerializable)
        yield* equal(yield* sql.unsafe(lab.syntax.isolation), before, "the next borrower's level")
      })
  ),
  row(
    "with `reset: \"session\"` statements with parameters go on working, though the server forgot them",
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 1, reset: "session" })
        const table = yield* lab.table()
        for (let id = 1; id <= 5; id++) yield* lab.insert(client, table, id)
        yield* equal((yield* table.names).length, 5, "rows")
      })
  ),
  row("`setup` holds for every connection, and again after `reset: \"session\"`", (lab) =>
    Effect.gen(function*() {
      const { sql } = yield* lab.open({
        maxConnections: 2,
        reset: "session",
        setup: [lab.syntax.setVariable("from setup")]
      })
      for (let i = 0; i < 3; i++) {
        const rows = yield* Effect.replicateEffect(sql.unsafe(lab.syntax.variable), 4, { concurrency: "unbounded" })
        yield* equal(rows, Array.from({ length: 4 }, () => [{ value: "from setup" }]), "what borrowers see")
        yield* sql.unsafe(lab.syntax.setVariable("left behind"))
      }
    }))
])
