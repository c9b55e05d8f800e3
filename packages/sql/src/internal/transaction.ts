/**
 * Transactions and savepoints: BEGIN, what runs inside, and the end of it, whichever way it ends.
 *
 * The lease is the pool's `use`: a transaction that ends without COMMIT or ROLLBACK, because its fiber was interrupted or
 * its connection lost, gives the connection back as it is, and the pool cancels, rolls back or closes it.
 */
import type * as Pool from "@dbpool/core/Pool"
import type { AcquireError } from "@dbpool/core/PoolError"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import type { DriverConnection } from "../Driver.js"
import type { TransactionError } from "../SqlPoolError.js"
import {
  CommitFailed,
  CommitUnknown,
  ConnectionLost,
  InvalidTransaction,
  NoSuchConnection,
  TransactionTimeout
} from "../SqlPoolError.js"
import { isConflict } from "../StatementError.js"
import type { Options } from "../Transaction.js"
import * as Carrier from "./carrier.js"
import type { Journal } from "./level.js"
import { Level } from "./level.js"
import type { Dialect, Member } from "./member.js"
import { toQueryError } from "./member.js"

/** @internal */
export interface Transactor {
  readonly pool: Pool.Pool<Member>
  readonly dialect: Dialect
  readonly commitTimeout: number
  readonly resetTimeout: number
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * Runs an effect in a transaction, or in a savepoint if the fiber is in one already. Errors of the transaction itself go
 * through `lift`; those of the effect are passed on as they are.
 *
 * @internal
 */
export const run = <A, E, R, X, RS = never>(
  transactor: Transactor,
  options: Options<RS>,
  lift: (error: TransactionError) => X,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | X, R | RS> =>
  Effect.withFiberRuntime((fiber) => {
    const parent = Carrier.find(fiber.currentContext, transactor.pool)
    if (parent === undefined) return outermost(transactor, options, lift, effect)
    const option = Object.entries(options).find(([, value]) => value !== undefined)?.[0]
    if (option === undefined) return nested(transactor, parent, lift, effect)
    return Effect.fail(lift(
      new InvalidTransaction({
        pool: transactor.dialect.name,
        option,
        requirement: "cannot be set on a transaction nested in another, which decides on it"
      })
    ))
  })

/** repeats what the server undid, in a fresh lease each time */
const outermost = <A, E, R, X, RS>(
  transactor: Transactor,
  options: Options<RS>,
  lift: (error: TransactionError) => X,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | X, R | RS> => {
  const { retry } = options
  if (retry === undefined) return once(transactor, options, lift, effect, { conflict: undefined, savepoints: 0 })
  return Effect.flatMap(Schedule.driver(retry), (driver) => {
    const attempt: Effect.Effect<A, E | X, R | RS> = Effect.suspend(() => {
      const journal: Journal = { conflict: undefined, savepoints: 0 }
      return Effect.catchAllCause(
        once(transactor, options, lift, effect, journal),
        (cause) =>
          journal.conflict === undefined || Cause.isInterrupted(cause)
            ? Effect.failCause(cause)
            : Effect.matchEffect(driver.next(journal.conflict), {
              onFailure: () => Effect.failCause(cause),
              onSuccess: () => attempt
            })
      )
    })
    return attempt
  })
}

const once = <A, E, R, X>(
  transactor: Transactor,
  options: Options<any>,
  lift: (error: TransactionError) => X,
  effect: Effect.Effect<A, E, R>,
  journal: Journal
): Effect.Effect<A, E | X, R> => {
  const { dialect, pool } = transactor
  // the pool's own failures must be told from those of the effect, which may be of the same kind
  let lent = false
  return Effect.mapError(
    pool.use((member) => {
      lent = true
      return Effect.uninterruptibleMask((restore) => {
        const level = new Level(member, journal)
        const begin = Effect.mapError(
          member.connection.execute(dialect.driver.begin(options), [], "object"),
          (cause) => {
            const error = toQueryError(dialect, cause, false)
            if (error instanceof NoSuchConnection) journal.conflict = { reason: "NoSuchConnection", cause: error }
            return lift(error)
          }
        )
        const body = inside(pool, level, effect)
        const bounded = options.timeout === undefined ? body : Effect.timeoutFail(body, {
          duration: options.timeout,
          onTimeout: () =>
            lift(new TransactionTimeout({ pool: dialect.name, afterMillis: Duration.toMillis(options.timeout!) }))
        })
        return Effect.flatMap(
          Effect.exit(restore(Effect.zipRight(begin, bounded))),
          (exit) => finish(transactor, level, restore, lift, exit)
        )
      })
    }),
    (error) => lent ? error as E | X : lift(error as AcquireError)
  )
}

const inside = <A, E, R>(pool: object, level: Level, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(
    effect,
    (context: Context.Context<R>) =>
      Context.add(context, SqlClient.TransactionConnection, Carrier.make(context, pool, level)) as Context.Context<R>
  )

const finish = <A, E, X>(
  transactor: Transactor,
  level: Level,
  restore: Restore,
  lift: (error: TransactionError) => X,
  exit: Exit.Exit<A, E>
): Effect.Effect<A, E | X> =>
  Effect.suspend(() => {
    const { connection } = level.member
    if (Exit.isSuccess(exit)) {
      // statements that were forked inside come first; waiting for them can be interrupted, the COMMIT cannot
      const committing = restore(level.mutex.withLock(Effect.uninterruptible(commit(transactor, level))))
      return Effect.zipRight(
        Effect.onError(Effect.mapError(committing, lift), () => Effect.sync(() => level.end())),
        exit
      )
    }
    level.end()
    // the pool restores what an interrupt leaves behind, without keeping the caller
    const rollback = Cause.isInterrupted(exit.cause) || connection.condition() !== "dirty"
      ? Effect.void
      : bounded(connection, connection.reset, transactor.resetTimeout)
    return Effect.zipRight(rollback, exit)
  })

/**
 * Waits for the server, but not for ever: then the connection is destroyed, which ends the effect. Cheaper than a race,
 * and safe where the caller's fiber has been interrupted already.
 */
const bounded = <A>(
  connection: DriverConnection,
  effect: Effect.Effect<A, unknown>,
  millis: number
): Effect.Effect<Exit.Exit<A, unknown>> => {
  const watchdog = Effect.andThen(Effect.sleep(Duration.millis(millis)), () => connection.destroy())
  return Effect.flatMap(
    Effect.forkDaemon(Effect.interruptible(watchdog)),
    (timer) =>
      Effect.map(Effect.exit(effect), (exit) => {
        timer.unsafeInterruptAsFork(timer.id())
        return exit
      })
  )
}

const commit = (transactor: Transactor, level: Level): Effect.Effect<void, TransactionError> =>
  Effect.zipRight(
    level.settle,
    Effect.suspend((): Effect.Effect<void, TransactionError> => {
      const { dialect } = transactor
      const { connection } = level.member
      const refusal = level.refusal()
      level.end()
      if (refusal !== undefined) return Effect.fail(refusal)
      return Effect.flatMap(
        bounded(connection, connection.commit, transactor.commitTimeout),
        Exit.match({
          onSuccess: (outcome) =>
            outcome === "committed"
              ? Effect.void
              : Effect.fail(new CommitFailed({ pool: dialect.name, reason: "RolledBack", cause: undefined })),
          onFailure: (cause) => Effect.fail(commitError(dialect, level, Cause.squash(cause)))
        })
      )
    })
  )

const commitError = (dialect: Dialect, level: Level, cause: unknown): TransactionError => {
  const pool = dialect.name
  const failure = dialect.driver.classify(cause)
  if (failure._tag === "unsent") return new ConnectionLost({ pool, inTransaction: true, cause })
  if (failure._tag === "lost") return new CommitUnknown({ pool, cause })
  const error = new CommitFailed({ pool, reason: failure.reason, cause })
  if (isConflict(failure.reason)) level.journal.conflict = { reason: failure.reason, cause: error }
  return error
}

/** a savepoint; the parent's other statements wait until it is over */
const nested = <A, E, R, X>(
  transactor: Transactor,
  parent: Level,
  lift: (error: TransactionError) => X,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | X, R> =>
  parent.mutex.withLock(Effect.uninterruptibleMask((restore) => {
    const savepoint = parent.nextSavepoint()
    const level = new Level(parent.member, parent.journal)
    const begin = Effect.mapError(parent.unlocked(`SAVEPOINT ${savepoint}`, [], "object"), lift)
    return Effect.flatMap(Effect.exit(restore(begin)), (begun): Effect.Effect<A, E | X, R> => {
      if (Exit.isFailure(begun)) {
        // it may have reached the server, or not: undoing to it would not be safe, but nothing happened since either
        return begun
      }
      return Effect.flatMap(
        Effect.exit(restore(inside(transactor.pool, level, effect))),
        (exit) => leave(transactor, parent, level, savepoint, restore, lift, exit)
      )
    })
  }))

const leave = <A, E, X>(
  transactor: Transactor,
  parent: Level,
  level: Level,
  savepoint: string,
  restore: Restore,
  lift: (error: TransactionError) => X,
  exit: Exit.Exit<A, E>
): Effect.Effect<A, E | X> =>
  Effect.suspend(() => {
    const { connection } = level.member
    if (Exit.isSuccess(exit)) {
      return Effect.zipRight(
        Effect.mapError(
          level.mutex.withLock(Effect.suspend((): Effect.Effect<void, TransactionError> => {
            const settled = level.settle
            level.end()
            return Effect.zipRight(
              settled,
              Effect.suspend(() => {
                if (connection.transactionStatus() !== "failed") {
                  return parent.unlocked(`RELEASE SAVEPOINT ${savepoint}`, [], "object")
                }
                parent.undoTo(savepoint)
                return Effect.zipRight(
                  parent.settle,
                  Effect.fail(
                    new CommitFailed({ pool: transactor.dialect.name, reason: "RolledBack", cause: undefined })
                  )
                )
              })
            )
          })),
          lift
        ),
        exit
      )
    }
    level.end()
    parent.undoTo(savepoint)
    // after an interrupt the caller is not kept: the next statement of the parent does it, if there is one
    return Cause.isInterrupted(exit.cause)
      ? exit
      : Effect.zipRight(Effect.exit(restore(parent.settle)), exit)
  })
