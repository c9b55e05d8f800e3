/**
 * Sending a statement once more, on another connection: only where the lease was taken for that one statement, so that
 * nothing else can depend on the connection that is gone, and never a third time.
 */
import type { AcquireError } from "@dbpool/core/PoolError"
import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { toSqlError } from "./channel.js"
import type { Dialect } from "./member.js"
import * as Region from "./region.js"

type Failure = SqlError | AcquireError

const lift = (error: Failure): SqlError => error instanceof SqlError ? error : toSqlError(error)

/** nothing was executed, or it does no harm if it was */
const mayRepeat = ({ config }: Dialect, error: Failure): Effect.Effect<boolean> =>
  Effect.withFiberRuntime((fiber) => {
    const { _tag } = (error instanceof SqlError ? error.cause : error) as { readonly _tag: string }
    return Effect.succeed(
      _tag === "NoSuchConnection"
        ? config.retryUnsent
        : _tag === "ConnectionLost" && Region.of(fiber).idempotent === true
    )
  })

/** a session has no other connection: the first error says what happened to the statement */
const told = (first: Failure, second: Failure): SqlError => lift(second._tag === "SessionLost" ? first : second)

/** @internal */
export const single = <A>(dialect: Dialect, attempt: Effect.Effect<A, Failure>): Effect.Effect<A, SqlError> =>
  Effect.catchAll(attempt, (first) =>
    Effect.flatMap(mayRepeat(dialect, first), (again) =>
      again
        ? Effect.mapError(attempt, (second) => told(first, second))
        : Effect.fail(lift(first))))

/** @internal */
export const stream = <A>(dialect: Dialect, attempt: Stream.Stream<A, Failure>): Stream.Stream<A, SqlError> =>
  Stream.suspend(() => {
    let answered = false
    const watched = Stream.mapChunks(attempt, (rows) => {
      answered = true
      return rows
    })
    return Stream.catchAll(
      watched,
      (first) =>
        Stream.unwrap(Effect.map(mayRepeat(dialect, first), (again) =>
          again && !answered
            ? Stream.mapError(attempt, (second) => told(first, second))
            : Stream.fail(lift(first))))
    )
  })
