/**
 * Statements on one connection, wherever it is used, and the face of it that `@effect/sql` wants to see.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { QueryOptions } from "../SqlConnection.js"
import type { QueryError, SqlPoolError } from "../SqlPoolError.js"

/** @internal */
export type Mode = "object" | "array" | "raw"

/** for one statement, a lease or a transaction @internal */
export interface Channel {
  readonly run: (
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    options?: QueryOptions
  ) => Effect.Effect<any, QueryError>
  readonly stream: (
    sql: string,
    params: ReadonlyArray<unknown>,
    options?: QueryOptions
  ) => Stream.Stream<any, QueryError>
}

/** `SqlClient` knows one error only: ours travels inside @internal */
export const toSqlError = (error: SqlPoolError): SqlError => new SqlError({ cause: error, message: error.message })

type TransformRows = (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined

/** @internal */
export const unprepared: QueryOptions = { unprepared: true }

/** @internal */
export class ChannelConnection implements Connection {
  constructor(readonly channel: Channel) {}

  execute(
    sql: string,
    params: ReadonlyArray<unknown>,
    transformRows: TransformRows
  ): Effect.Effect<ReadonlyArray<any>, SqlError> {
    return this.rows(sql, params, transformRows, undefined)
  }

  executeRaw(sql: string, params: ReadonlyArray<unknown>): Effect.Effect<unknown, SqlError> {
    return Effect.mapError(this.channel.run(sql, params, "raw"), toSqlError)
  }

  executeValues(
    sql: string,
    params: ReadonlyArray<unknown>
  ): Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, SqlError> {
    return Effect.mapError(this.channel.run(sql, params, "array"), toSqlError)
  }

  executeUnprepared(
    sql: string,
    params: ReadonlyArray<unknown>,
    transformRows: TransformRows
  ): Effect.Effect<ReadonlyArray<any>, SqlError> {
    return this.rows(sql, params, transformRows, unprepared)
  }

  private rows(
    sql: string,
    params: ReadonlyArray<unknown>,
    transformRows: TransformRows,
    options: QueryOptions | undefined
  ): Effect.Effect<ReadonlyArray<any>, SqlError> {
    const rows = Effect.mapError(this.channel.run(sql, params, "object", options), toSqlError)
    return transformRows === undefined ? rows : Effect.map(rows, transformRows)
  }

  executeStream(
    sql: string,
    params: ReadonlyArray<unknown>,
    transformRows: TransformRows
  ): Stream.Stream<any, SqlError> {
    const rows = Stream.mapError(this.channel.stream(sql, params), toSqlError)
    return transformRows === undefined ?
      rows :
      Stream.mapChunks(rows, (chunk) => Chunk.unsafeFromArray(transformRows(Chunk.toReadonlyArray(chunk))))
  }
}
