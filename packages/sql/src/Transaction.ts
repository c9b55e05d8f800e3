/**
 * What can be said about a transaction.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Schedule from "effect/Schedule"
import type { ConflictReason } from "./StatementError.js"

/**
 * What the server decides on.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransactionOptions {
  /** Default: the server's own. */
  readonly isolation?: "read uncommitted" | "read committed" | "repeatable read" | "serializable" | undefined
  /** Default: the server's own. */
  readonly accessMode?: "read write" | "read only" | undefined
  /**
   * Waits at its BEGIN until it can neither fail nor make others fail because of a conflict. Only for transactions that
   * are serializable and read only, where the server has it (PostgreSQL). Default: `false`
   */
  readonly deferrable?: boolean | undefined
}

/**
 * Why a whole transaction can be repeated: the server rolled it back because of what others did, or the connection was
 * gone before its first statement.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransactionConflict {
  readonly reason: ConflictReason | "NoSuchConnection"
  readonly cause: unknown
}

/**
 * What can be asked of a transaction that is not nested in another.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<R = never> extends TransactionOptions {
  /** A bound from having a connection to COMMIT, which is not begun after it; then it is rolled back. Default: none */
  readonly timeout?: Duration.DurationInput | undefined
  /**
   * When to repeat a transaction in which the server refused a statement because of a conflict, or that never began. What
   * is left of it is rolled back, and its connection given back, before the pause. What the connection saw decides, whatever errors the transaction turned it into.
   * Default: never
   */
  readonly retry?: Schedule.Schedule<unknown, TransactionConflict, R> | undefined
}
