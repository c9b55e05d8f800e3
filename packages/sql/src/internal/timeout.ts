/**
 * How long a caller waits for the answer to a statement. At the end of it the statement is interrupted, and whoever holds
 * the connection has it cancelled, as with every other interrupt.
 */
import * as PoolConfig from "@dbpool/core/PoolConfig"
import type { InvalidPoolConfig } from "@dbpool/core/PoolError"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { QueryOptions } from "../SqlConnection.js"
import type { Dialect } from "./member.js"
import { TimedOut } from "./queryError.js"
import * as Region from "./region.js"

/** what the call says comes before the region, and that before the pool */
const millisFor = (
  { config, name }: Dialect,
  fiber: Fiber.RuntimeFiber<any, any>,
  options: QueryOptions | undefined
): number | Effect.Effect<number, InvalidPoolConfig> => {
  const timeout = options?.timeout ?? Region.of(fiber).timeout
  return timeout === undefined ? config.statementTimeout : PoolConfig.bound(name, "timeout", timeout)
}

/** @internal */
export const bound = <A>(
  dialect: Dialect,
  fiber: Fiber.RuntimeFiber<any, any>,
  options: QueryOptions | undefined,
  statement: Effect.Effect<A, unknown>
): Effect.Effect<A, unknown> => {
  const within = (millis: number) => millis === Infinity ? statement : dialect.deadlines.bound(statement, millis)
  const millis = millisFor(dialect, fiber, options)
  return typeof millis === "number" ? within(millis) : Effect.flatMap(millis, within)
}

/** each wait for rows has the whole time @internal */
export const boundStream = <A>(
  dialect: Dialect,
  fiber: Fiber.RuntimeFiber<any, any>,
  options: QueryOptions | undefined,
  rows: Stream.Stream<A, unknown>
): Stream.Stream<A, unknown> => {
  const within = (millis: number) =>
    millis === Infinity ? rows : Stream.timeoutFail(rows, () => new TimedOut(millis), millis)
  const millis = millisFor(dialect, fiber, options)
  return typeof millis === "number" ? within(millis) : Stream.unwrap(Effect.map(millis, within))
}
