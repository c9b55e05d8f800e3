/**
 * The one-line text of whatever a driver fails with.
 */
import * as Inspectable from "effect/Inspectable"

/** @internal */
export const textOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return Inspectable.toStringUnknown(cause, 0)
  return cause.message === "" ? cause.name : cause.message
}
