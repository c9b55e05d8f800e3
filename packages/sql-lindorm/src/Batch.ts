/**
 * Many rows in one request: `executeBatch` of the protocol. Rows are written in order; if one is refused the statement
 * fails, and under autocommit those before it stay written.
 *
 * @since 0.1.0
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { AvaticaResult } from "./AvaticaResult.js"
import { BatchOfRows, BatchOfStatements } from "./internal/request.js"

/**
 * Runs one statement with each of these rows of parameters. Answers how many rows of the table each changed; -2 where
 * the server did not count. The number of parameters is checked for every row before anything is sent.
 *
 * @example
 * ```ts
 * import * as Batch from "@dbpool/sql-lindorm/Batch"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.flatMap(SqlClient.SqlClient, (sql) =>
 *   Batch.execute(sql, "upsert into tb (id, name) values (?, ?)", [["i001", "n001"], ["i002", "n002"]]))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const execute = (
  sql: SqlClient.SqlClient,
  statement: string,
  rows: ReadonlyArray<ReadonlyArray<unknown>>
): Effect.Effect<ReadonlyArray<number>, SqlError> =>
  rows.length === 0 ? Effect.succeed([]) : counts(sql, statement, new BatchOfRows(rows))

/**
 * Runs several statements, which have no parameters, in one request. Answers how many rows each changed.
 *
 * @example
 * ```ts
 * import * as Batch from "@dbpool/sql-lindorm/Batch"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.flatMap(SqlClient.SqlClient, (sql) =>
 *   Batch.executeAll(sql, ["delete from tb where id = 'i001'", "delete from tb where id = 'i002'"]))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const executeAll = (
  sql: SqlClient.SqlClient,
  statements: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<number>, SqlError> =>
  statements.length === 0 ? Effect.succeed([]) : counts(sql, statements.join("; "), new BatchOfStatements(statements))

/**
 * Writes rows, overwriting those that have the same primary key: `UPSERT INTO table (columns) VALUES (...)`, in one
 * request however many there are. All rows must have the columns of the first. In a transaction it belongs to it.
 *
 * @example
 * ```ts
 * import * as Batch from "@dbpool/sql-lindorm/Batch"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.flatMap(SqlClient.SqlClient, (sql) =>
 *   Batch.upsert(sql, "tb", [
 *     { id: "i001", name: "n001", address: "a001" },
 *     { id: "i002", name: "n002", address: "a002" }
 *   ]))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const upsert = (
  sql: SqlClient.SqlClient,
  table: string,
  rows: ReadonlyArray<Record<string, unknown>>
): Effect.Effect<void, SqlError> => {
  const [first] = rows
  if (first === undefined) return Effect.void
  const columns = Object.keys(first)
  const other = rows.findIndex((row) => Object.keys(row).length !== columns.length || columns.some((c) => !(c in row)))
  if (other !== -1) {
    // the columns that it lacks would be overwritten with NULL
    const cause = new TypeError(`row ${other + 1} has other columns than the first`)
    return Effect.fail(new SqlError({ cause, message: `upsert into ${table}: ${cause.message}` }))
  }
  const [statement] = sql`UPSERT INTO ${sql(table)} ${sql.insert(first)}`.compile()
  const values = rows.map((row) => columns.map((column) => row[column]))
  const written: Effect.Effect<unknown, SqlError> = values.length === 1
    ? sql.unsafe(statement, values[0])
    : counts(sql, statement, new BatchOfRows(values))
  return Effect.asVoid(written)
}

const counts = (sql: SqlClient.SqlClient, statement: string, request: BatchOfRows | BatchOfStatements) =>
  Effect.map(sql.unsafe(statement, [request]).raw, (result) => (result as AvaticaResult).updateCounts)
