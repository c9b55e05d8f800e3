/**
 * How long a caller waits for the answer to a statement. At the end of it the statement is interrupted, and whoever holds
 * the connection has it cancelled, as with every other interrupt.
 */
import * as PoolConfig from "@dbpool/core/PoolConfig"
import type { InvalidPoolConfig } from "@dbpool/core/PoolError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { QueryOptions } from "../SqlConnection.js"
import type { Dialect } from "./member.js"
import { TimedOut } from "./queryError.js"
import * as Region from "./region.js"

/** what the call says comes before the region */
const ownOf = (fiber: Fiber.RuntimeFiber<any, any>, options: QueryOptions | undefined) =>
  options?.timeout ?? Region.of(fiber).timeout

const check = ({ name }: Dialect, timeout: Duration.DurationInput): Effect.Effect<number, InvalidPoolConfig> =>
  PoolConfig.bound(name, "timeout", timeout)

/** whether nothing bounds the statements of that fiber, unless they say so themselves @internal */
export const isUnbound = ({ config }: Dialect, fiber: Fiber.RuntimeFiber<any, any>): boolean =>
  config.statementTimeout === Infinity && Region.of(fiber).timeout === undefined

/** @internal */
export const bound = <A>(
  dialect: Dialect,
  fiber: Fiber.RuntimeFiber<any, any>,
  options: QueryOptions | undefined,
  statement: Effect.Effect<A, unknown>
): Effect.Effect<A, unknown> => {
  const own = ownOf(fiber, options)
  return own === undefined
    ? within(dialect, statement, dialect.config.statementTimeout)
    : Effect.flatMap(check(dialect, own), (millis) => within(dialect, statement, millis))
}

const within = <A>({ deadlines }: Dialect, statement: Effect.Effect<A, unknown>, millis: number) =>
  millis === Infinity ? statement : deadlines.bound(statement, millis)

/** each wait for rows has the whole time @internal */
export const boundStream = <A>(
  dialect: Dialect,
  fiber: Fiber.RuntimeFiber<any, any>,
  options: QueryOptions | undefined,
  rows: Stream.Stream<A, unknown>
): Stream.Stream<A, unknown> => {
  const own = ownOf(fiber, options)
  return Stream.unwrap(Effect.map(
    own === undefined ? Effect.succeed(dialect.config.statementTimeout) : check(dialect, own),
    (millis) => millis === Infinity ? rows : Stream.timeoutFail(rows, () => new TimedOut(millis), millis)
  ))
}
