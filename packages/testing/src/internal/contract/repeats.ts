import * as SqlPool from "@dbpool/sql/SqlPool"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { equal, failsWith, within } from "./checks.js"
import type { Client, Lab } from "./lab.js"
import { group, row } from "./row.js"

/** its connection dies while it runs on the server */
const lostOnTheWay = (lab: Lab, client: Client, effect: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(Effect.exit(effect))
    yield* lab.running(client)
    yield* lab.killAll(client)
    return yield* yield* within(4000, Fiber.join(fiber), "what was on its way")
  })

/** @internal */
export const repeats = group("repeating", ["cancel", "sessions", "pool"], [
  row("a statement marked as idempotent is repeated when its connection is lost", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      yield* lostOnTheWay(lab, client, SqlPool.idempotent(lab.sleep(client, 0.3)))
    })),
  row("one that is not is never repeated", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      yield* failsWith(lostOnTheWay(lab, client, lab.sleep(client, 0.3)), "ConnectionLost", "the statement")
      yield* lab.quiet(client)
    })),
  row("nor is any in a transaction, however it is marked", ["transactions"], (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
      const transaction = client.sql.withTransaction(Effect.zipRight(
        lab.insert(client, table, 1),
        SqlPool.idempotent(lab.sleep(client, 0.3))
      ))
      yield* failsWith(lostOnTheWay(lab, client, transaction), "ConnectionLost", "the transaction")
      yield* equal(yield* table.names, [], "the table")
    })),
  row("nor in a lease", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      const lease = client.pool.use((connection) => SqlPool.idempotent(connection.query(lab.syntax.sleep(0.3))))
      yield* failsWith(lostOnTheWay(lab, client, lease), "ConnectionLost", "the statement")
    }))
])
