import * as Effect from "effect/Effect"
import { equal } from "./checks.js"
import type { Lab } from "./lab.js"
import { group, row } from "./row.js"

const open = (lab: Lab) =>
  Effect.all({
    a: lab.open({ maxConnections: 1 }),
    b: lab.open({ maxConnections: 1 }),
    table: lab.table()
  })

const rolledBack = <E>(self: Effect.Effect<unknown, E>) => Effect.zipRight(self, Effect.fail("undo"))

/** @internal */
export const twoClients = group("two clients", ["transactions"], [
  row("a statement of B inside a transaction of A runs on B", (lab) =>
    Effect.gen(function*() {
      const { a, b, table } = yield* open(lab)
      yield* Effect.exit(a.sql.withTransaction(rolledBack(Effect.gen(function*() {
        yield* lab.insert(a, table, 1)
        yield* lab.insert(b, table, 2)
        yield* equal(yield* table.names, ["n2"], "what others see meanwhile")
      }))))
      yield* equal(yield* table.names, ["n2"], "the table")
    })),
  row("a transaction of B inside one of A is B's own, and outlives A's", (lab) =>
    Effect.gen(function*() {
      const { a, b, table } = yield* open(lab)
      yield* Effect.exit(a.sql.withTransaction(rolledBack(Effect.gen(function*() {
        yield* lab.insert(a, table, 1)
        yield* b.sql.withTransaction(lab.insert(b, table, 2))
      }))))
      yield* equal(yield* table.names, ["n2"], "the table")
    })),
  row("a transaction of B that fails inside one of A undoes nothing of A's", (lab) =>
    Effect.gen(function*() {
      const { a, b, table } = yield* open(lab)
      yield* a.sql.withTransaction(Effect.gen(function*() {
        yield* lab.insert(a, table, 1)
        yield* Effect.exit(b.sql.withTransaction(rolledBack(lab.insert(b, table, 2))))
      }))
      yield* equal(yield* table.names, ["n1"], "the table")
    })),
  row("A inside B inside A is A's transaction again", ["savepoints"], (lab) =>
    Effect.gen(function*() {
      const { a, b, table } = yield* open(lab)
      yield* Effect.exit(a.sql.withTransaction(rolledBack(
        b.sql.withTransaction(Effect.gen(function*() {
          yield* lab.insert(b, table, 1)
          yield* lab.insert(a, table, 2)
          yield* a.sql.withTransaction(lab.insert(a, table, 3))
        }))
      )))
      yield* equal(yield* table.names, ["n1"], "the table")
    }))
])
