/**
 * How what users hand over is read and, when it is wrong, shown.
 */
import * as Duration from "effect/Duration"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"

/** @internal */
export const show = (value: unknown): string => {
  if (Duration.isDuration(value)) return Duration.format(value)
  return typeof value === "string" ? JSON.stringify(value) : Inspectable.toStringUnknown(value, 0)
}

/**
 * `NaN` for what is no duration. Effect reads a negative number as zero, which would hide the mistake.
 *
 * @internal
 */
export const decodeMillis = (input: Duration.DurationInput): number => {
  if (typeof input === "number") return input
  if (typeof input === "bigint" && input < 0n) return NaN
  if (typeof input === "string" && input.trimStart().startsWith("-")) return NaN
  if (Array.isArray(input) && !input.every((part) => part >= 0)) return NaN
  return Option.match(Duration.decodeUnknown(input), { onNone: () => NaN, onSome: Duration.toMillis })
}
