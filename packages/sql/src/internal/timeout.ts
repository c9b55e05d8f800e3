/**
 * How long a caller waits for the answer to a statement. At the end of it the statement is interrupted, and whoever holds
 * the connection has it cancelled, as with every other interrupt.
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { QueryOptions } from "../SqlConnection.js"
import type { Dialect } from "./member.js"
import { TimedOut } from "./queryError.js"
import * as Region from "./region.js"

/** what the call says comes before the region, and that before the pool; in milliseconds */
const of = ({ config }: Dialect, fiber: Fiber.RuntimeFiber<any, any>, options: QueryOptions | undefined): number => {
  const timeout = options?.timeout ?? Region.of(fiber).timeout
  return timeout === undefined ? config.statementTimeout : Duration.toMillis(timeout)
}

/** @internal */
export const bound = <A>(
  dialect: Dialect,
  fiber: Fiber.RuntimeFiber<any, any>,
  options: QueryOptions | undefined,
  statement: Effect.Effect<A, unknown>
): Effect.Effect<A, unknown> => {
  const millis = of(dialect, fiber, options)
  return millis === Infinity ? statement : dialect.deadlines.bound(statement, millis)
}

/** each wait for rows has the whole time @internal */
export const boundStream = <A>(
  dialect: Dialect,
  fiber: Fiber.RuntimeFiber<any, any>,
  options: QueryOptions | undefined,
  rows: Stream.Stream<A, unknown>
): Stream.Stream<A, unknown> => {
  const millis = of(dialect, fiber, options)
  return millis === Infinity ? rows : Stream.timeoutFail(rows, () => new TimedOut(millis), millis)
}
