/**
 * The tables of TPC-B at scale 1, as `pgbench` makes them, in a schema of their own that is dropped at the end. The
 * `filler` of the history holds the id of the transaction that wrote the row, which is how the books are checked.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import type { Dialect } from "./dialect.js"

export const tellers = 10
export const accounts = 100_000

const create = (dialect: Dialect) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.forEach(
      [dialect.drop, ...dialect.create({ accounts, tellers })],
      (statement) => sql.unsafe(statement),
      { discard: true }
    ))

/** Keeps a second run off the same database, by a lock that the server drops with the connection that holds it. */
export const alone = (dialect: Dialect) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const connection = yield* sql.reserve
    const [row] = yield* connection.executeValues(dialect.lock, [])
    if (!row![0]) return yield* Effect.fail(new Error("Another run of the main job is using this database."))
  })

/** the tables, for as long as the scope is open */
export const scoped = (dialect: Dialect) =>
  Effect.acquireRelease(
    create(dialect),
    () => Effect.flatMap(SqlClient.SqlClient, (sql) => Effect.ignore(sql.unsafe(dialect.drop)))
  )
