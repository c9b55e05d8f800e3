import * as SqlPool from "@dbpool/sql/SqlPool"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { equal, isTrue, refusedAs, timed, within } from "./checks.js"
import type { Client, Lab } from "./lab.js"
import { group, row } from "./row.js"

/** a statement that would take 30 s is ended after 150 ms, here and on the server, and its connection goes on */
const endsInTime = (lab: Lab, client: Client, statement: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function*() {
    const [took, exit] = yield* timed(within(3000, statement, "a statement with a timeout of 150 ms"))
    yield* refusedAs(exit, "StatementTimeout", "the statement")
    yield* isTrue(took > 140 && took < 2000, `a timeout of 150 ms took ${took} ms`)
    yield* lab.quiet(client)
    yield* within(2000, unhurried(lab.one(client)), "the next statement")
  })

/** on a busy machine any statement may take 150 ms */
const unhurried = SqlPool.withStatementTimeout(Duration.infinity)

const only = (lab: Lab, client: Client) => Effect.map(lab.sessions(client), (sessions) => sessions.map(({ id }) => id))

/** @internal */
export const timeouts = group("statement timeouts", ["cancel", "sessions", "pool"], [
  row(
    "`statementTimeout` ends a statement on the server, and its connection is lent again",
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 1, statementTimeout: "150 millis" })
        yield* unhurried(lab.one(client))
        const before = yield* only(lab, client)
        yield* endsInTime(lab, client, lab.sleep(client))
        yield* equal(yield* only(lab, client), before, "the pool's sessions")
      })
  ),
  row("`withStatementTimeout` does so for a region, whatever the pool allows", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1, statementTimeout: "20 seconds" })
      yield* endsInTime(lab, client, SqlPool.withStatementTimeout(lab.sleep(client), "150 millis"))
    })),
  row("a lease's statement can have a timeout of its own, and the lease goes on", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      yield* client.pool.use((connection) =>
        Effect.gen(function*() {
          const slow = within(3000, connection.query(lab.syntax.sleep(30), [], { timeout: "150 millis" }), "it")
          yield* refusedAs(slow, "StatementTimeout", "the statement")
          yield* equal(yield* connection.query(lab.syntax.one), [{ one: 1 }], "the next one")
        })
      )
    })),
  row(
    "in a transaction it ends the transaction, of which nothing is kept",
    ["transactions"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1, statementTimeout: "150 millis" })
        yield* endsInTime(
          lab,
          client,
          client.sql.withTransaction(Effect.zipRight(unhurried(lab.insert(client, table, 1)), lab.sleep(client)))
        )
        yield* equal(yield* table.names, [], "the table")
      })
  ),
  row("a stream is not hurried while its consumer takes its time", ["streams"], (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1, statementTimeout: "150 millis" })
      let seen = 0
      const slowly = Stream.runForEach(
        client.sql.unsafe(lab.syntax.series(500)).stream,
        () => Effect.suspend(() => ++seen % 100 === 0 ? Effect.sleep("60 millis") : Effect.void)
      )
      yield* within(5000, slowly, "the stream")
      yield* equal(seen, 500, "rows")
    }))
])
