import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { equal, eventually, failsWith, within } from "./checks.js"
import type { Lab } from "./lab.js"
import { group, row } from "./row.js"

/** whatever the row does meanwhile, the next one finds the server there */
const whileDown = <A, E, R>(lab: Lab, effect: Effect.Effect<A, E, R>) => {
  const { kill, start } = lab.server.restart!
  return Effect.acquireUseRelease(kill, () => effect, () => start)
}

/** @internal */
export const serverRestart = group("server restart", ["restart"], [
  row("no connection of the old server is ever used on the new one", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 3 })
      yield* lab.fill(client)
      yield* whileDown(lab, Effect.sleep("100 millis"))
      yield* eventually(
        Effect.exit(within(3000, lab.one(client), "a statement")),
        Exit.isSuccess,
        "a statement works",
        8000
      )
      yield* within(3000, Effect.replicateEffect(lab.one(client), 20, { concurrency: "unbounded" }), "the next ones")
    })),
  row("those who wait through the outage are served", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 2, acquireTimeout: "20 seconds", failFastAfter: "20 seconds" })
      yield* lab.fill(client)
      const waiting = yield* whileDown(
        lab,
        Effect.zipLeft(
          Effect.zipRight(
            Effect.sleep("50 millis"),
            Effect.replicateEffect(Effect.fork(lab.one(client)), 20)
          ),
          Effect.sleep("200 millis")
        )
      )
      yield* within(10_000, Fiber.joinAll(waiting), "those who wait")
    })),
  row(
    "a transaction that was open is lost, typed, and nothing of it is kept",
    ["transactions"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
        yield* lab.insert(client, table, 1)
        const lost = client.sql.withTransaction(Effect.gen(function*() {
          yield* lab.insert(client, table, 2)
          yield* whileDown(lab, Effect.sleep("50 millis"))
          yield* lab.insert(client, table, 3)
        }))
        yield* failsWith(within(15_000, lost, "the transaction"), "ConnectionLost", "the transaction")
        yield* eventually(Effect.exit(lab.one(client)), Exit.isSuccess, "a statement works", 8000)
        yield* equal(yield* table.names, ["n1"], "the table")
      })
  ),
  row(
    "a statement that ran is ConnectionLost, and is not repeated behind its caller's back",
    ["cancel", "sessions"],
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 1 })
        const fiber = yield* Effect.fork(Effect.exit(lab.sleep(client)))
        yield* lab.running(client)
        yield* whileDown(lab, Effect.sleep("50 millis"))
        const exit = yield* within(1000, Fiber.join(fiber), "the statement")
        yield* failsWith(exit, "ConnectionLost", "the statement")
        yield* eventually(Effect.exit(lab.one(client)), Exit.isSuccess, "a statement works", 8000)
      })
  )
])
