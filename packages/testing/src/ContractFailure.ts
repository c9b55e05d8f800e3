/**
 * How a row of the contract fails.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * What is wrong, in two words for a table: a result that differs or an error of the wrong kind; an error of the right
 * kind that does not say so, in a bare `SqlError`; nothing within the time allowed; a defect where an error belongs; a
 * connection that did not come back.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason = "wrong result" | "untyped error" | "timed out" | "defect" | "leaked connection"

/**
 * Why a row of the contract failed.
 *
 * @since 0.1.0
 * @category errors
 */
export class ContractFailure extends Data.TaggedError("ContractFailure")<{
  readonly reason: Reason
  readonly message: string
}> {}
