import * as SqlPool from "@dbpool/sql/SqlPool"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { PoolSettings } from "../../ContractDialect.js"
import { equal, eventually, failsWith, within } from "./checks.js"
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

/** inserts on a connection that is found deaf before anything of the statement is sent; there are others to be had */
const insertUnsent = (lab: Lab, settings: Partial<PoolSettings> = {}) =>
  Effect.gen(function*() {
    const { client, proxy } = yield* lab.openProxied({
      maxConnections: 1,
      validateOn: ["statement"],
      validateAfterIdle: "5 millis",
      validateTimeout: "150 millis",
      closeTimeout: "150 millis",
      ...settings
    })
    const table = yield* lab.table()
    yield* lab.one(client)
    yield* Effect.sleep("20 millis")
    yield* proxy.deaf(undefined, "open")
    const exit = yield* Effect.exit(within(4000, lab.insert(client, table, 1), "the statement"))
    yield* within(4000, lab.one(client), "the next statement")
    // the server has heard nothing of the end of the deaf one
    yield* proxy.cut
    yield* eventually(Effect.exit(lab.one(client)), Exit.isSuccess, "the pool goes on")
    return { exit, table }
  })

const needs = ["cancel", "sessions"] as const

/** @internal */
export const repeats = group("repeating", ["pool"], [
  row("a statement that was not sent is sent on another connection, once", (lab) =>
    Effect.gen(function*() {
      const { exit, table } = yield* insertUnsent(lab)
      yield* exit
      yield* equal(yield* table.names, ["n1"], "the table")
    })),
  row("with `retryUnsent: false` it fails instead, and says that it was not executed", (lab) =>
    Effect.gen(function*() {
      const { exit, table } = yield* insertUnsent(lab, { retryUnsent: false })
      const error = yield* failsWith(exit, "NoSuchConnection", "the statement")
      yield* equal(error.isRetryable, true, "whether it may be repeated")
      yield* equal(yield* table.names, [], "the table")
    })),
  row(
    "a statement marked as idempotent is repeated when its connection is lost",
    needs,
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 1 })
        yield* lostOnTheWay(lab, client, SqlPool.idempotent(lab.sleep(client, 0.3)))
      })
  ),
  row("one that is not is never repeated", needs, (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      yield* failsWith(lostOnTheWay(lab, client, lab.sleep(client, 0.3)), "ConnectionLost", "the statement")
      yield* lab.quiet(client)
    })),
  row("nor is any in a transaction, however it is marked", [...needs, "transactions"], (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
      const transaction = client.sql.withTransaction(Effect.zipRight(
        lab.insert(client, table, 1),
        SqlPool.idempotent(lab.sleep(client, 0.3))
      ))
      yield* failsWith(lostOnTheWay(lab, client, transaction), "ConnectionLost", "the transaction")
      yield* equal(yield* table.names, [], "the table")
    })),
  row("nor in a lease", needs, (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      const lease = client.pool.use((connection) => SqlPool.idempotent(connection.query(lab.syntax.sleep(0.3))))
      yield* failsWith(lostOnTheWay(lab, client, lease), "ConnectionLost", "the statement")
    }))
])
