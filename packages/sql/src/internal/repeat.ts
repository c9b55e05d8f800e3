/**
 * Sending a statement again, on another connection: only where the lease was taken for that one statement, so that nothing
 * else can depend on the connection that is gone.
 *
 * Where one connection is found dead, those that were idle beside it may be, too: what was not executed is sent until it
 * meets one that works, once for each of them and once more. What may have been executed is sent once more, if at all.
 */
import * as AcquireOptions from "@dbpool/core/AcquireOptions"
import type * as Pool from "@dbpool/core/Pool"
import type { AcquireError } from "@dbpool/core/PoolError"
import { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { QueryError } from "../SqlPoolError.js"
import { toSqlError } from "./channel.js"
import type { Dialect } from "./member.js"
import * as Region from "./region.js"

type Failure = SqlError | QueryError | AcquireError

const lift = (error: Failure): SqlError => error instanceof SqlError ? error : toSqlError(error)

const tagOf = (error: Failure): string => {
  const { _tag } = (error instanceof SqlError ? error.cause : error) as { readonly _tag: string }
  return _tag
}

/**
 * What all attempts of a statement have in common: one `acquireTimeout`, for the waiting of all of them together. The time
 * that a statement was under way does not count.
 *
 * @internal
 */
export class Patience {
  private readonly since: bigint
  private lentAt: bigint

  constructor(readonly dialect: Dialect) {
    this.since = this.lentAt = dialect.clock.unsafeCurrentTimeNanos()
  }

  /** a connection is there, and the statement is about to be sent */
  lent(): void {
    this.lentAt = this.dialect.clock.unsafeCurrentTimeNanos()
  }

  /** for how long the next attempt may wait, after an error of the last one */
  rest(error: Failure): Effect.Effect<AcquireOptions.AcquireOptions> {
    const { clock, config } = this.dialect
    return Effect.map(AcquireOptions.Region, (region) => {
      const { timeout = config.acquireTimeout } = region
      const until = tagOf(error) === "NoSuchConnection" ? clock.unsafeCurrentTimeNanos() : this.lentAt
      const waited = Number(until - this.since) / 1e6
      // what is no duration is for the pool to refuse
      return {
        ...region,
        timeout: Option.match(Duration.decodeUnknown(timeout), {
          onNone: () => timeout,
          onSome: (whole) => Math.max(0, Duration.toMillis(whole) - waited)
        })
      }
    })
  }
}

/** how often it may be sent again: not at all, unless nothing was executed, or it does no harm if it was */
const repeatsAfter = ({ config }: Dialect, pool: Pool.Pool<any>, error: Failure): Effect.Effect<number> =>
  Effect.withFiberRuntime((fiber) => {
    const tag = tagOf(error)
    if (tag === "NoSuchConnection" && config.retryUnsent) return Effect.map(pool.stats, ({ idle }) => idle + 1)
    return Effect.succeed(tag === "ConnectionLost" && Region.of(fiber).idempotent === true ? 1 : 0)
  })

/** the others may be dead, too; any other error of a repeat is the last word */
const isWorthAnother = (left: number, error: Failure): boolean => left > 1 && tagOf(error) === "NoSuchConnection"

/** a session has no other connection: the first error says what happened to the statement */
const told = (first: Failure, second: Failure): SqlError => lift(second._tag === "SessionLost" ? first : second)

/** @internal */
export const single = <A>(
  patience: Patience,
  pool: Pool.Pool<any>,
  attempt: Effect.Effect<A, Failure>
): Effect.Effect<A, SqlError> => {
  const again = (first: Failure, last: Failure, left: number): Effect.Effect<A, SqlError> =>
    Effect.flatMap(patience.rest(last), (rest) =>
      Effect.catchAll(
        Effect.provideService(attempt, AcquireOptions.Region, rest),
        (error) => isWorthAnother(left, error) ? again(first, error, left - 1) : Effect.fail(told(first, error))
      ))
  return Effect.catchAll(
    attempt,
    (first) =>
      Effect.flatMap(
        repeatsAfter(patience.dialect, pool, first),
        (left) => left === 0 ? Effect.fail(lift(first)) : again(first, first, left)
      )
  )
}

/** @internal */
export const stream = <A>(
  patience: Patience,
  pool: Pool.Pool<any>,
  attempt: Stream.Stream<A, Failure>
): Stream.Stream<A, SqlError> =>
  Stream.suspend(() => {
    let answered = false
    const watched = Stream.mapChunks(attempt, (rows) => {
      answered = true
      return rows
    })
    const again = (first: Failure, last: Failure, left: number): Stream.Stream<A, SqlError> =>
      Stream.unwrap(Effect.map(patience.rest(last), (rest) =>
        Stream.catchAll(Stream.provideService(watched, AcquireOptions.Region, rest), (error) =>
          isWorthAnother(left, error) && !answered ? again(first, error, left - 1) : Stream.fail(told(first, error)))))
    return Stream.catchAll(
      watched,
      (first) =>
        Stream.unwrap(Effect.map(repeatsAfter(patience.dialect, pool, first), (left) =>
          left > 0 && !answered ? again(first, first, left) : Stream.fail(lift(first))))
    )
  })
