/**
 * What the pool of the SQL layer is a pool of: a driver's connection, with the face that `@effect/sql` wants to see.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Driver, DriverConnection } from "../Driver.js"
import type { QueryError, SqlPoolError } from "../SqlPoolError.js"
import { ConnectionLost, LeaseReleased, NoSuchConnection } from "../SqlPoolError.js"
import { StatementError } from "../StatementError.js"

/** @internal */
export type Mode = "object" | "array" | "raw"

/** what every statement of one pool has in common @internal */
export interface Dialect {
  readonly name: string
  readonly driver: Driver
}

/** what a statement's error means; an objection of our own means what it says @internal */
export const toQueryError = (dialect: Dialect, cause: unknown, inTransaction: boolean): QueryError => {
  if (cause instanceof LeaseReleased) return cause
  const pool = dialect.name
  const failure = dialect.driver.classify(cause)
  if (failure._tag === "refused") {
    const { code, constraint, reason } = failure
    return new StatementError({ pool, reason, code, constraint, inTransaction, cause })
  }
  return failure._tag === "unsent" && !inTransaction
    ? new NoSuchConnection({ pool, cause })
    : new ConnectionLost({ pool, inTransaction, cause })
}

/** `SqlClient` knows one error only: ours travels inside @internal */
export const toSqlError = (error: SqlPoolError): SqlError => new SqlError({ cause: error, message: error.message })

/** statements on one connection, wherever it is used: for one statement, a lease or a transaction @internal */
export interface Channel {
  readonly run: (
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    unprepared?: boolean
  ) => Effect.Effect<any, QueryError>
  readonly stream: (sql: string, params: ReadonlyArray<unknown>) => Stream.Stream<any, QueryError>
}

/** @internal */
export class ChannelConnection implements Connection {
  constructor(readonly channel: Channel) {}

  execute(
    sql: string,
    params: ReadonlyArray<unknown>,
    transformRows: (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined
  ): Effect.Effect<ReadonlyArray<any>, SqlError> {
    return this.rows(sql, params, transformRows, false)
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
    transformRows: (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined
  ): Effect.Effect<ReadonlyArray<any>, SqlError> {
    return this.rows(sql, params, transformRows, true)
  }

  private rows(
    sql: string,
    params: ReadonlyArray<unknown>,
    transformRows: (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined,
    unprepared: boolean
  ): Effect.Effect<ReadonlyArray<any>, SqlError> {
    const rows = Effect.mapError(this.channel.run(sql, params, "object", unprepared), toSqlError)
    return transformRows === undefined ? rows : Effect.map(rows, transformRows)
  }

  executeStream(
    sql: string,
    params: ReadonlyArray<unknown>,
    transformRows: (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined
  ): Stream.Stream<any, SqlError> {
    const rows = Stream.mapError(this.channel.stream(sql, params), toSqlError)
    return transformRows === undefined ?
      rows :
      Stream.mapChunks(rows, (chunk) => Chunk.unsafeFromArray(transformRows(Chunk.toReadonlyArray(chunk))))
  }
}

/**
 * A holder that goes on while its statement is still running has interrupted it: it is cancelled now, rather than by
 * whoever needs the connection next. Only for those who still hold the lease.
 *
 * @internal
 */
export const abandonUnfinished = ({ connection }: Member): void => {
  if (connection.condition() === "busy") connection.abandon()
}

/** @internal */
export class Member implements Channel {
  /** for single statements, whose lease begins and ends with them: no lock, nobody else is there */
  readonly asConnection: Connection = new ChannelConnection(this)

  constructor(readonly dialect: Dialect, readonly connection: DriverConnection) {}

  run(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    unprepared?: boolean
  ): Effect.Effect<any, QueryError> {
    return Effect.mapError(
      this.connection.execute(sql, params, mode, undefined, unprepared),
      (cause) => toQueryError(this.dialect, cause, false)
    )
  }

  stream(sql: string, params: ReadonlyArray<unknown>): Stream.Stream<any, QueryError> {
    return Stream.mapError(this.connection.stream(sql, params), (cause) => toQueryError(this.dialect, cause, false))
  }
}
