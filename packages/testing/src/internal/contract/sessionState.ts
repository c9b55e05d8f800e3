import * as Effect from "effect/Effect"
import { equal } from "./checks.js"
import { group, row } from "./row.js"

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
  )
])
