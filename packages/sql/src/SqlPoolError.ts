/**
 * The errors of the SQL layer, and how to get them back from `@effect/sql`'s `SqlError`.
 *
 * @since 0.1.0
 */
import type * as PoolError from "@dbpool/core/PoolError"
import { isPoolError } from "@dbpool/core/PoolError"
import { SqlError } from "@effect/sql/SqlError"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { textOf } from "./internal/text.js"
import type { StatementError } from "./StatementError.js"

/**
 * What the errors of the SQL layer are recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = "~@dbpool/sql/SqlPoolError"

/**
 * The type of what the errors of the SQL layer are recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@dbpool/sql/SqlPoolError"

/**
 * What a single statement may fail with, once it has a connection; with `InvalidPoolConfig` when its own timeout is wrong.
 *
 * @since 0.1.0
 * @category models
 */
export type QueryError =
  | StatementError
  | NoSuchConnection
  | ConnectionLost
  | LeaseReleased
  | PoolError.InvalidPoolConfig

/**
 * What a transaction may fail with, besides what runs inside it.
 *
 * @since 0.1.0
 * @category models
 */
export type TransactionError =
  | PoolError.AcquireError
  | QueryError
  | CommitFailed
  | CommitUnknown
  | TransactionTimeout
  | InvalidTransaction

/**
 * Every error that may be inside a `SqlError` of a pool's `SqlClient`.
 *
 * @since 0.1.0
 * @category models
 */
export type SqlPoolError = TransactionError

/**
 * Whether a value is one of `SqlPoolError`.
 *
 * @since 0.1.0
 * @category refinements
 */
export const isSqlPoolError = (u: unknown): u is SqlPoolError => Predicate.hasProperty(u, TypeId) || isPoolError(u)

/**
 * The connection is gone and the statement was not executed: nothing of it was sent, or the server said so. Repeating
 * it is safe. Inside a transaction, whose earlier statements are gone too, it is a `ConnectionLost` instead.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoSuchConnection extends Data.TaggedError("NoSuchConnection")<{
  readonly pool: string
  readonly cause: unknown
}> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return true
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `The connection of pool "${this.pool}" was gone before the statement was sent, which was not executed: ` +
      textOf(this.cause)
  }
}

/**
 * The connection was lost while a statement was under way: it may have been executed or not. Inside a transaction
 * everything before it was rolled back, and nothing after it was sent anywhere.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectionLost extends Data.TaggedError("ConnectionLost")<{
  readonly pool: string
  readonly inTransaction: boolean
  readonly cause: unknown
}> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    const outcome = this.inTransaction ? "its transaction was rolled back" : "the statement may have been executed"
    return `Pool "${this.pool}" lost a connection in use; ${outcome}: ${textOf(this.cause)}`
  }
}

/**
 * A lease or a transaction was used after its end. Nothing was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class LeaseReleased extends Data.TaggedError("LeaseReleased")<{
  readonly pool: string
  readonly what: "lease" | "transaction"
}> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `A ${this.what} of pool "${this.pool}" was used after its end; the statement was not sent`
  }
}

/**
 * The server answered COMMIT with an error or with ROLLBACK: nothing of the transaction was kept.
 *
 * `reason` is that of the refused COMMIT, or `RolledBack` when an earlier statement had failed and its error was
 * swallowed inside the transaction.
 *
 * @since 0.1.0
 * @category errors
 */
export class CommitFailed extends Data.TaggedError("CommitFailed")<{
  readonly pool: string
  readonly reason: StatementError["reason"] | "RolledBack"
  readonly cause: unknown
}> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.reason === "SerializationFailure" || this.reason === "Deadlock"
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    return this.reason === "RolledBack"
      ? `Pool "${this.pool}": the server rolled the transaction back instead of committing it, because a statement ` +
        `inside had failed`
      : `Pool "${this.pool}": the COMMIT was refused and nothing was kept: ${textOf(this.cause)}`
  }
}

/**
 * The connection was lost, or `commitTimeout` passed, after COMMIT was sent: whether the transaction was kept can only
 * be found out by looking at the data.
 *
 * @since 0.1.0
 * @category errors
 */
export class CommitUnknown extends Data.TaggedError("CommitUnknown")<{
  readonly pool: string
  readonly cause: unknown
}> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `Pool "${this.pool}" does not know whether a transaction was committed: ${textOf(this.cause)}`
  }
}

/**
 * The transaction took longer than its `timeout` and was rolled back.
 *
 * @since 0.1.0
 * @category errors
 */
export class TransactionTimeout extends Data.TaggedError("TransactionTimeout")<{
  readonly pool: string
  readonly afterMillis: number
}> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return true
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `Pool "${this.pool}" rolled a transaction back after ${this.afterMillis} ms, its own limit`
  }
}

/**
 * A transaction was asked for something impossible, such as options on one nested in another, or where the database has
 * no transactions. Nothing was sent. `option` is the one to blame, if any.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidTransaction extends Data.TaggedError("InvalidTransaction")<{
  readonly pool: string
  readonly option: string | undefined
  readonly requirement: string
}> {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    const culprit = this.option === undefined ? "a transaction" : `transaction option ${this.option}`
    return `Pool "${this.pool}": ${culprit} ${this.requirement}`
  }
}

/**
 * The error channel after `refineErrors`: where there was a `SqlError`, the pool's own errors join it.
 *
 * @since 0.1.0
 * @category models
 */
export type Refine<E> = E extends SqlError ? SqlPoolError | SqlError : E

const refine = <E>(error: E): Refine<E> =>
  (error instanceof SqlError && isSqlPoolError(error.cause) ? error.cause : error) as Refine<E>

/**
 * Brings the pool's typed errors back from the `SqlError`s in which a `SqlClient` has to wrap them.
 *
 * @example
 * ```ts
 * import * as SqlPoolError from "@dbpool/sql/SqlPoolError"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * const count = Effect.gen(function*() {
 *   const sql = yield* SqlClient.SqlClient
 *   return yield* sql`select count(*) from users`
 * }).pipe(
 *   SqlPoolError.refineErrors,
 *   Effect.catchTags({
 *     TooManyConnections: () => Effect.succeed([]),
 *     AcquireTimeout: () => Effect.succeed([])
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const refineErrors = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, Refine<E>, R> =>
  Effect.mapError(self, refine)

/**
 * `refineErrors` for streams.
 *
 * @example
 * ```ts
 * import * as SqlPoolError from "@dbpool/sql/SqlPoolError"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 *
 * const names = Stream.unwrap(Effect.map(SqlClient.SqlClient, (sql) => sql`select name from users`.stream)).pipe(
 *   SqlPoolError.refineStreamErrors,
 *   Stream.catchTag("AcquireTimeout", () => Stream.empty)
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const refineStreamErrors = <A, E, R>(self: Stream.Stream<A, E, R>): Stream.Stream<A, Refine<E>, R> =>
  Stream.mapError(self, refine)
