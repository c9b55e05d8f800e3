/**
 * A connection on loan, as `SqlPool.use` hands it out.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { QueryError } from "./SqlPoolError.js"

/**
 * A row of a result, by the names of its columns.
 *
 * @since 0.1.0
 * @category models
 */
export interface Row {
  readonly [column: string]: unknown
}

/**
 * What can be said about one statement.
 *
 * @since 0.1.0
 * @category models
 */
export interface QueryOptions {
  /**
   * How long it may take, for a stream each wait for rows; then it is cancelled on the server and fails with reason
   * `StatementTimeout`. `Duration.infinity` lifts the limit. Default: that of the region
   * (`SqlPool.withStatementTimeout`), or else the pool's `statementTimeout`
   */
  readonly timeout?: Duration.DurationInput | undefined
  /** Leaves no prepared statement behind on the connection. Default: `false` */
  readonly unprepared?: boolean | undefined
}

/**
 * Statements on it run one after the other, in the order in which they were asked for; one that is interrupted is
 * cancelled on the server, which in a transaction leaves nothing to do but to roll back. One that takes longer than its
 * timeout is cancelled too; the connection can be used again when the server has ended it. After the end of its lease each
 * fails with `LeaseReleased`, and nothing is sent.
 *
 * Every method fails with `StatementError` when the server refuses the statement, `NoSuchConnection` when the
 * connection is gone and the statement was not executed, and `ConnectionLost` when it was lost with the statement
 * under way.
 *
 * @since 0.1.0
 * @category models
 */
export interface SqlConnection {
  /** Rows as objects. Placeholders are the dialect's own: `$1`, `?`. */
  readonly query: <A extends object = Row>(
    sql: string,
    params?: ReadonlyArray<unknown>,
    options?: QueryOptions
  ) => Effect.Effect<ReadonlyArray<A>, QueryError>
  /** Rows as arrays. */
  readonly values: (
    sql: string,
    params?: ReadonlyArray<unknown>,
    options?: QueryOptions
  ) => Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, QueryError>
  /** The driver's own result, with row counts and field types. */
  readonly raw: (
    sql: string,
    params?: ReadonlyArray<unknown>,
    options?: QueryOptions
  ) => Effect.Effect<unknown, QueryError>
  /** Rows as they come, with back-pressure. Other statements wait until the stream has ended: don't nest them in it. */
  readonly stream: <A extends object = Row>(
    sql: string,
    params?: ReadonlyArray<unknown>,
    options?: QueryOptions
  ) => Stream.Stream<A, QueryError>
}
