/**
 * How messages are worded.
 */

/** @internal */
export const millis = (millis: number): string =>
  millis < 1000 ? `${Math.round(millis)} ms` : `${Math.round(millis / 100) / 10} s`
