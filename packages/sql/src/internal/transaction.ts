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
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { DriverConnection } from "../Driver.js"
import type { TransactionError } from "../SqlPoolError.js"
import {
  CommitFailed,
  CommitUnknown,
  ConnectionLost,
  InvalidTransaction,
  LeaseReleased,
  NoSuchConnection,
  TransactionTimeout
} from "../SqlPoolError.js"
import { isConflict } from "../StatementError.js"
import type { Options, TransactionOptions } from "../Transaction.js"
import * as Carrier from "./carrier.js"
import type { AfterImplicitCommit, Journal } from "./level.js"
import { Level } from "./level.js"
import type { Dialect, Member } from "./member.js"
import { Stale, toQueryError } from "./queryError.js"
import * as Trace from "./trace.js"

/** @internal */
export interface Transactor {
  readonly pool: Pool.Pool<Member>
  readonly dialect: Dialect
  readonly afterImplicitCommit: AfterImplicitCommit
}

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
    const invalid = check(transactor.dialect, options, parent !== undefined)
    if (invalid !== undefined) {
      return Effect.fail(lift(new InvalidTransaction({ pool: transactor.dialect.name, ...invalid })))
    }
    return Trace.transaction(
      fiber,
      transactor.dialect.attributes,
      parent === undefined
        ? outermost(transactor, options, lift, effect)
        : nested(transactor, parent, lift, effect)
    )
  })

/** what is wrong with the options, if anything is; they go into the text of BEGIN, so the types alone will not do */
const check = (
  { driver }: Dialect,
  options: Options<any>,
  isNested: boolean
): { readonly option: string | undefined; readonly requirement: string } | undefined => {
  if (driver.begin === undefined) return { option: undefined, requirement: "is nothing that this database knows" }
  for (const [option, value] of Object.entries(options)) {
    if (value === undefined) continue
    if (isNested) {
      return { option, requirement: "cannot be set on a transaction nested in another, which decides on it" }
    }
    const allowed = values[option as keyof TransactionOptions]
    if (allowed !== undefined && !allowed.includes(value)) {
      return { option, requirement: `must be one of ${allowed.join(", ")}` }
    }
    if (allowed !== undefined && !driver.transactionOptions.includes(option as keyof TransactionOptions)) {
      return { option, requirement: "is nothing that this database knows" }
    }
    if (option === "timeout" && !Option.exists(Duration.decodeUnknown(value), (d) => Duration.toMillis(d) > 0)) {
      return { option, requirement: "must be a duration above zero" }
    }
  }
  return undefined
}

const values: Record<keyof TransactionOptions, ReadonlyArray<unknown>> = {
  isolation: ["read uncommitted", "read committed", "repeatable read", "serializable"],
  accessMode: ["read write", "read only"],
  deferrable: [true, false]
}

/** repeats what the server undid, in a fresh lease each time */
const outermost = <A, E, R, X, RS>(
  transactor: Transactor,
  options: Options<RS>,
  lift: (error: TransactionError) => X,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | X, R | RS> => {
  const { retry } = options
  if (retry === undefined) return once(transactor, options, lift, effect, blank())
  return Effect.flatMap(Schedule.driver(retry), (driver) => {
    const attempt: Effect.Effect<A, E | X, R | RS> = Effect.suspend(() => {
      const journal = blank()
      return Effect.catchAllCause(
        once(transactor, options, lift, effect, journal),
        (cause) =>
          journal.conflict === undefined || Cause.isInterruptedOnly(cause)
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

const blank = (): Journal => ({ begin: undefined, conflict: undefined, stale: false, savepoints: 0 })

/** if its connection turns out to be stale before BEGIN, another one is tried */
const once = <A, E, R, X>(
  transactor: Transactor,
  options: Options<any>,
  lift: (error: TransactionError) => X,
  effect: Effect.Effect<A, E, R>,
  journal: Journal
): Effect.Effect<A, E | X, R> => {
  const attempt = () => lent(transactor, options, lift, effect, journal)
  if (!transactor.dialect.config.validateOn.includes("transaction")) return attempt()
  return Effect.catchAllCause(attempt(), (cause) => {
    if (!journal.stale || Cause.isInterruptedOnly(cause)) return Effect.failCause(cause)
    Object.assign(journal, blank())
    return attempt()
  })
}

const lent = <A, E, R, X>(
  transactor: Transactor,
  options: Options<any>,
  lift: (error: TransactionError) => X,
  effect: Effect.Effect<A, E, R>,
  journal: Journal
): Effect.Effect<A, E | X, R> => {
  const { dialect, pool } = transactor
  // the pool's own failures must be told from those of the effect, which may be of the same kind
  let begun = false
  return Effect.mapError(
    pool.use((member) => {
      begun = true
      return Effect.uninterruptibleMask((restore) => {
        const level = new Level(member, journal, transactor.afterImplicitCommit)
        const starting = begin(transactor, options, level)
        const rest = finished(level, effect, lift)
        const body = starting === undefined ? rest : Effect.zipRight(Effect.mapError(starting, lift), rest)
        // up to here it may be interrupted, or run out of time; the COMMIT cannot
        const bounded = options.timeout === undefined ? body : Effect.timeoutFail(body, {
          duration: options.timeout,
          onTimeout: () =>
            lift(new TransactionTimeout({ pool: dialect.name, afterMillis: Duration.toMillis(options.timeout!) }))
        })
        return exitInside(pool, level, restore(bounded), (exit) => {
          level.end()
          return Exit.isSuccess(exit)
            ? Effect.zipRight(Effect.mapError(commit(transactor, level), lift), exit)
            : Effect.zipRight(rollback(transactor, level, exit.cause), exit)
        })
      })
    }),
    (error) => begun ? error as E | X : lift(error as AcquireError)
  )
}

/** what is sent before the body runs, if anything is; `check` has seen to it that the driver can */
const begin = ({ dialect }: Transactor, options: Options<any>, { journal, member }: Level) => {
  const how = dialect.driver.begin!(options)
  if (typeof how === "object") journal.begin = how
  const first = typeof how === "object"
    ? member.proof.ensure("transaction")
    : member.proof.before("transaction", member.begin(how))
  return first && Effect.mapError(
    first,
    (cause) => {
      journal.stale = cause instanceof Stale
      const error = toQueryError(dialect, cause, false)
      if (error instanceof NoSuchConnection) journal.conflict = { reason: "NoSuchConnection", cause: error }
      return error
    }
  )
}

/** the effect, and the end of all that it has under way */
const finished = <A, E, R, X>(
  level: Level,
  effect: Effect.Effect<A, E, R>,
  lift: (error: TransactionError) => X
): Effect.Effect<A, E | X, R> =>
  Effect.flatMap(
    effect,
    (a) => level.tryFinish() ? Effect.succeed(a) : Effect.as(Effect.mapError(level.finish, lift), a)
  )

/**
 * Runs an effect on the connection of a level, and what becomes of it outside of it again. Where it cannot be interrupted
 * there is no need of a region that sees to that, which costs more than all the rest.
 */
const exitInside = <A, E, R, B, E2, R2>(
  pool: object,
  level: Level,
  effect: Effect.Effect<A, E, R>,
  then: (exit: Exit.Exit<A, E>) => Effect.Effect<B, E2, R2>
): Effect.Effect<B, E2, R | R2> =>
  Effect.withFiberRuntime((fiber) => {
    const outside = fiber.currentContext as Context.Context<unknown>
    const connection = Carrier.make(outside, pool, level)
    return Effect.zipRight(
      set(Context.add(outside, SqlClient.TransactionConnection, connection)),
      Effect.flatMap(
        Effect.exit(effect),
        (exit) => Effect.zipRight(set(outside), then(exit))
      )
    )
  })

const set = (context: Context.Context<unknown>) =>
  FiberRef.set(FiberRef.currentContext, context as Context.Context<never>)

/** The pool does it for those who have been interrupted, or left a statement running, without keeping them. */
const rollback = (transactor: Transactor, { member: { connection } }: Level, cause: Cause.Cause<unknown>) =>
  Cause.isInterrupted(cause) || connection.condition() !== "dirty"
    ? Effect.void
    : Effect.exit(
      bounded(transactor.dialect, connection, connection.rollback, transactor.dialect.config.resetTimeout)
    )

/**
 * Waits for the server, but not for ever: then the connection is destroyed, which ends the effect. Cheaper than a race,
 * and safe where the caller's fiber has been interrupted already.
 */
const bounded = <A, E>(
  { deadlines }: Dialect,
  connection: DriverConnection,
  effect: Effect.Effect<A, E>,
  millis: number
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const ended = deadlines.watch(millis, () => connection.destroy())
    return Effect.matchCauseEffect(effect, {
      onFailure: (cause) => {
        ended()
        return Effect.failCause(cause)
      },
      onSuccess: (a) => {
        ended()
        return Effect.succeed(a)
      }
    })
  })

/** Nobody but us can send anything any more. */
const commit = (transactor: Transactor, level: Level): Effect.Effect<void, TransactionError> => {
  const { dialect: { config: { commitTimeout }, name: pool } } = transactor
  const { journal, member: { connection } } = level
  if (journal.begin !== undefined) return Effect.void
  const status = connection.transactionStatus()
  if (status === "none" && connection.condition() !== "broken") {
    if (level.isCommitted) return Effect.void
    return Effect.fail(new LeaseReleased({ pool, what: "transaction" }))
  }
  // a conflict that the transaction survived is no reason to repeat it, and would be fatal after a COMMIT of unknown fate
  if (status === "open") journal.conflict = undefined
  return Effect.matchCauseEffect(bounded(transactor.dialect, connection, connection.commit, commitTimeout), {
    onSuccess: (outcome) =>
      outcome === "committed"
        ? Effect.void
        : Effect.fail(new CommitFailed({ pool, reason: "RolledBack", cause: undefined })),
    onFailure: (cause) => Effect.fail(commitError(transactor.dialect, journal, status, Cause.squash(cause)))
  })
}

const commitError = (
  dialect: Dialect,
  journal: Journal,
  status: "none" | "open" | "failed",
  cause: unknown
): TransactionError => {
  const pool = dialect.name
  const failure = dialect.driver.classify(cause)
  if (failure._tag === "refused") {
    const error = new CommitFailed({ pool, reason: failure.reason, cause })
    if (isConflict(failure.reason)) journal.conflict = { reason: failure.reason, cause: error }
    return error
  }
  // a transaction that has failed is rolled back whatever becomes of its COMMIT
  return failure._tag === "unsent" || status === "failed"
    ? new ConnectionLost({ pool, inTransaction: true, cause })
    : new CommitUnknown({ pool, cause })
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
    const level = new Level(parent.member, parent.journal, parent.afterImplicitCommit, parent)
    const begin = parent.unlocked(`SAVEPOINT ${savepoint}`, [], "object")
    return Effect.zipRight(
      // if it fails or is interrupted, the server has it or not: undoing to it is not safe, and nothing has happened since
      Effect.mapError(restore(begin), lift),
      exitInside(transactor.pool, level, restore(finished(level, effect, lift)), (exit): Effect.Effect<A, E | X> => {
        level.end()
        if (Exit.isSuccess(exit)) {
          return Effect.zipRight(Effect.mapError(keep(transactor, parent, savepoint), lift), exit)
        }
        parent.undoTo(savepoint)
        // after an interrupt the caller is not kept: the next statement of the parent does it, if there is one
        return Cause.isInterrupted(exit.cause) ? exit : Effect.zipRight(Effect.exit(restore(parent.settle)), exit)
      })
    )
  }))

/** makes what a savepoint did part of its parent, unless a statement in it had failed and nobody said so */
const keep = (
  transactor: Transactor,
  parent: Level,
  savepoint: string
): Effect.Effect<void, TransactionError> =>
  Effect.suspend(() => {
    const { connection } = parent.member
    const failed = connection.transactionStatus() === "failed"
    if (failed) parent.undoTo(savepoint)
    const end = failed ? parent.settle : parent.unlocked(`RELEASE SAVEPOINT ${savepoint}`, [], "object")
    return Effect.zipRight(
      bounded(transactor.dialect, connection, end, transactor.dialect.config.resetTimeout),
      failed
        ? Effect.fail(new CommitFailed({ pool: transactor.dialect.name, reason: "RolledBack", cause: undefined }))
        : Effect.void
    )
  })
