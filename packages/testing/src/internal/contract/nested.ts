import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { equal, errorOf, within } from "./checks.js"
import type { Client, Lab, Table } from "./lab.js"
import { group, row } from "./row.js"

/** inserts, and then changes its mind */
const undone = (lab: Lab, client: Client, table: Table, id: number) =>
  Effect.ignore(client.sql.withTransaction(Effect.zipRight(lab.insert(client, table, id), Effect.fail("undo"))))

const done = (lab: Lab, client: Client, table: Table, id: number) =>
  client.sql.withTransaction(lab.insert(client, table, id))

/** @internal */
export const nested = group("nested transactions", ["savepoints"], [
  row("an inner one that fails is undone alone", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
      yield* client.sql.withTransaction(Effect.gen(function*() {
        yield* lab.insert(client, table, 1)
        yield* undone(lab, client, table, 2)
        yield* lab.insert(client, table, 3)
        yield* done(lab, client, table, 4)
      }))
      yield* equal(yield* table.names, ["n1", "n3", "n4"], "the table")
    })),
  row("an outer one that fails undoes the inner ones that had succeeded", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
      const outer = Effect.zipRight(done(lab, client, table, 1), Effect.fail("undo all"))
      yield* equal(yield* errorOf(client.sql.withTransaction(outer), "the outer one"), "undo all", "the error")
      yield* equal(yield* table.names, [], "the table")
    })),
  row("three levels: the middle one takes the innermost with it", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
      yield* client.sql.withTransaction(Effect.gen(function*() {
        yield* lab.insert(client, table, 1)
        yield* Effect.ignore(client.sql.withTransaction(
          Effect.zipRight(done(lab, client, table, 2), Effect.fail("undo"))
        ))
        yield* client.sql.withTransaction(Effect.zipRight(undone(lab, client, table, 3), done(lab, client, table, 4)))
      }))
      yield* equal(yield* table.names, ["n1", "n4"], "the table")
    })),
  row("many in a row never touch each other", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
      const ids = Array.from({ length: 20 }, (_, i) => i + 1)
      yield* client.sql.withTransaction(
        Effect.forEach(ids, (id) => (id % 2 === 0 ? done : undone)(lab, client, table, id))
      )
      yield* equal(yield* table.names, ids.filter((id) => id % 2 === 0).map((id) => `n${id}`), "the table")
    })),
  row(
    "an error of the server inside is undone with its level, and the outer one goes on",
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
        yield* client.sql.withTransaction(Effect.gen(function*() {
          yield* lab.insert(client, table, 1)
          yield* Effect.ignore(client.sql.withTransaction(
            Effect.zipRight(lab.insert(client, table, 2), lab.insert(client, table, 1))
          ))
          yield* lab.insert(client, table, 3)
        }))
        yield* equal(yield* table.names, ["n1", "n3"], "the table")
      })
  ),
  row("of two side by side, one that fails takes nothing of the other", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
      const bothBegun = yield* Deferred.make<void>()
      const slowly = (id: number, then: Effect.Effect<unknown, unknown>) =>
        Effect.ignore(client.sql.withTransaction(Effect.gen(function*() {
          yield* lab.insert(client, table, id)
          // a suite that lets only one begin must not wait for the other
          yield* Effect.timeoutOption(Deferred.await(bothBegun), "50 millis")
          yield* then
        })))
      yield* client.sql.withTransaction(Effect.all([
        slowly(1, Effect.fail("undo")),
        Effect.zipLeft(slowly(2, Effect.sleep("30 millis")), Deferred.succeed(bothBegun, undefined))
      ], { concurrency: "unbounded" }))
      yield* equal(yield* table.names, ["n2"], "the table")
    })),
  row("twenty side by side: exactly what succeeded is kept", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
      const ids = Array.from({ length: 20 }, (_, i) => i + 1)
      yield* client.sql.withTransaction(
        Effect.forEach(ids, (id) => (id % 3 === 0 ? undone : done)(lab, client, table, id), {
          concurrency: "unbounded"
        })
      )
      yield* equal(yield* table.names, ids.filter((id) => id % 3 !== 0).map((id) => `n${id}`), "the table")
    })),
  row("a statement of the outer one beside an inner one that fails is kept", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
      yield* client.sql.withTransaction(Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        const inner = yield* Effect.fork(Effect.ignore(client.sql.withTransaction(Effect.gen(function*() {
          yield* lab.insert(client, table, 1)
          yield* Deferred.succeed(begun, undefined)
          yield* Effect.sleep("30 millis")
          yield* Effect.fail("undo")
        }))))
        yield* Deferred.await(begun)
        yield* lab.insert(client, table, 2)
        yield* Fiber.join(inner)
      }))
      yield* equal(yield* table.names, ["n2"], "the table")
    })),
  row(
    "one that is interrupted beside another leaves the other whole, and nothing of itself",
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
        yield* client.sql.withTransaction(Effect.gen(function*() {
          const begun = yield* Deferred.make<void>()
          const first = yield* Effect.fork(client.sql.withTransaction(Effect.gen(function*() {
            yield* lab.insert(client, table, 1)
            yield* Deferred.succeed(begun, undefined)
            yield* Effect.sleep("40 millis")
            yield* lab.insert(client, table, 2)
          })))
          yield* Deferred.await(begun)
          const second = yield* Effect.fork(
            client.sql.withTransaction(Effect.zipRight(lab.insert(client, table, 3), Effect.never))
          )
          yield* Effect.sleep("10 millis")
          yield* within(2000, Fiber.interrupt(second), "interrupting the second")
          yield* Fiber.join(first)
        }))
        yield* equal(yield* table.names, ["n1", "n2"], "the table")
      })
  )
])
