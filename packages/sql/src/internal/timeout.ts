/**
 * How long a caller waits for the answer to a statement. At the end of it the statement is interrupted, and whoever holds
 * the connection has it cancelled, as with every other interrupt.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { QueryOptions } from "../SqlConnection.js"
import type { Dialect } from "./member.js"
import * as Region from "./region.js"

/** @internal */
export class TimedOut extends Error {}

const timedOut = (millis: number) => new TimedOut(`no answer within ${millis} ms`)

/** what the call says comes before the region, and that before the pool; in milliseconds @internal */
export const of = (
  fiber: Fiber.RuntimeFiber<any, any>,
  dialect: Dialect,
  options: QueryOptions | undefined
): number => {
  const timeout = options?.timeout ?? Region.of(fiber).timeout
  return timeout === undefined ? dialect.config.statementTimeout : Duration.toMillis(timeout)
}

/** regions that cannot be interrupted wait no longer than others: a finalizer must not hang either @internal */
export const bound = <A>(statement: Effect.Effect<A, unknown>, millis: number): Effect.Effect<A, unknown> =>
  millis === Infinity ? statement : Effect.timeoutFail(Effect.interruptible(statement), {
    duration: millis,
    onTimeout: () => timedOut(millis)
  })

/** each wait for rows has the whole time @internal */
export const boundStream = <A>(rows: Stream.Stream<A, unknown>, millis: number): Stream.Stream<A, unknown> =>
  millis === Infinity ? rows : Stream.timeoutFail(rows, () => timedOut(millis), millis)
