/**
 * What the server refused, and why.
 *
 * @since 0.1.0
 */
import { SqlError } from "@effect/sql/SqlError"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import { textOf } from "./internal/text.js"
import { TypeId } from "./SqlPoolError.js"

/**
 * Why a statement failed, the same words for every dialect. All but one are the server's; `StatementTimeout` is also
 * said by the pool, when a statement took longer than its timeout. `StalePlan` is a prepared statement that the server has
 * forgotten, or whose tables have changed since; outside of transactions it is prepared anew without a word.
 *
 * @since 0.1.0
 * @category models
 */
export type StatementReason =
  | "UniqueViolation"
  | "ForeignKeyViolation"
  | "NotNullViolation"
  | "CheckViolation"
  | "SerializationFailure"
  | "Deadlock"
  | "StalePlan"
  | "LockTimeout"
  | "StatementTimeout"
  | "Cancelled"
  | "Syntax"
  | "Authentication"
  | "Permission"
  | "ReadOnly"
  | "Unknown"

/**
 * The server refused a statement, or it took longer than its timeout. The connection is fine, or is about to be.
 *
 * `code` is the SQLSTATE or error number, `constraint` the violated constraint if the server names it, `cause` the
 * driver's own error. `isRetryable` is true where the same statement may succeed when repeated, which inside a
 * transaction it never may: there the transaction as a whole is to be repeated.
 *
 * @since 0.1.0
 * @category errors
 */
export class StatementError extends Data.TaggedError("StatementError")<{
  readonly pool: string
  readonly reason: StatementReason
  readonly code: string | undefined
  readonly constraint: string | undefined
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
    return !this.inTransaction && isConflict(this.reason)
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `${this.reason}${this.code === undefined ? "" : ` (${this.code})`}: ${textOf(this.cause)}`
  }
}

/**
 * The reasons that come from what others were doing at the same time.
 *
 * @since 0.1.0
 * @category models
 */
export type ConflictReason = "SerializationFailure" | "Deadlock" | "StalePlan" | "LockTimeout"

/**
 * Whether the server refused only because of what others were doing at the same time.
 *
 * @since 0.1.0
 * @category refinements
 */
export const isConflict = (reason: StatementReason): reason is ConflictReason =>
  reason === "SerializationFailure" || reason === "Deadlock" || reason === "StalePlan" || reason === "LockTimeout"

/**
 * Handles the `StatementError`s of one reason, those inside the `SqlError`s of `SqlClient` too, and lets all else pass.
 *
 * @example
 * ```ts
 * import * as StatementError from "@dbpool/sql/StatementError"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * const register = (email: string) =>
 *   Effect.gen(function*() {
 *     const sql = yield* SqlClient.SqlClient
 *     yield* sql`insert into users (email) values (${email})`
 *     return "registered"
 *   }).pipe(
 *     StatementError.catchReason("UniqueViolation", ({ constraint }) => Effect.succeed(`there is one: ${constraint}`))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const catchReason: {
  <A2, E2, R2>(
    reason: StatementReason,
    f: (error: StatementError) => Effect.Effect<A2, E2, R2>
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, E | E2, R | R2>
  <A, E, R, A2, E2, R2>(
    self: Effect.Effect<A, E, R>,
    reason: StatementReason,
    f: (error: StatementError) => Effect.Effect<A2, E2, R2>
  ): Effect.Effect<A | A2, E | E2, R | R2>
} = dual(
  3,
  <A, E, R, A2, E2, R2>(
    self: Effect.Effect<A, E, R>,
    reason: StatementReason,
    f: (error: StatementError) => Effect.Effect<A2, E2, R2>
  ): Effect.Effect<A | A2, E | E2, R | R2> =>
    Effect.catchAll(self, (error): Effect.Effect<A2, E | E2, R2> => {
      const inner = error instanceof SqlError ? error.cause : error
      return inner instanceof StatementError && inner.reason === reason ? f(inner) : Effect.fail(error)
    })
)
