/**
 * How messages are worded.
 */
import * as Inspectable from "effect/Inspectable"

/** @internal */
export const millis = (millis: number): string =>
  millis < 1000 ? `${Math.round(millis)} ms` : `${Math.round(millis / 100) / 10} s`

/**
 * The one-line text of any error: drivers fail with `Error`s, users with whatever they like.
 *
 * @internal
 */
export const cause = (error: unknown): string => {
  if (!(error instanceof Error)) return typeof error === "string" ? error : Inspectable.toStringUnknown(error, 0)
  // several addresses were tried and all refused: Node leaves the message empty and puts the reasons inside
  if (error.message === "" && error instanceof AggregateError) return error.errors.map(cause).join(", ")
  return error.message === "" ? error.name : error.message
}
