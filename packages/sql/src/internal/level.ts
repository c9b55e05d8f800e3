/**
 * One level of a transaction: the transaction itself, or a savepoint inside it. Statements of a level run one after the
 * other, and not at all while a level nested in it is open.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { BeginWith, DriverConnection } from "../Driver.js"
import type { QueryOptions } from "../SqlConnection.js"
import type { QueryError } from "../SqlPoolError.js"
import { CommitFailed, LeaseReleased } from "../SqlPoolError.js"
import { isConflict } from "../StatementError.js"
import type { TransactionConflict } from "../Transaction.js"
import type { Channel, Mode } from "./channel.js"
import { ChannelConnection } from "./channel.js"
import type { Member } from "./member.js"
import { abandonUnfinished } from "./member.js"
import { Mutex } from "./mutex.js"
import { Spoiled, TimedOut, toQueryError } from "./queryError.js"

/** what the connection saw during one attempt of a whole transaction; every level of it writes here @internal */
export interface Journal {
  /** how the first statement is to begin the transaction, until it has been sent */
  begin: BeginWith<DriverConnection> | undefined
  conflict: TransactionConflict | undefined
  /** the connection did not pass validation, and nothing was sent on it */
  stale: boolean
  savepoints: number
}

/**
 * What becomes of a transaction when a statement has committed it, as DDL does on MySQL: nothing more is sent, or the rest
 * is a transaction of its own, as those expect who write for `@effect/sql`, its migrators above all.
 *
 * @internal
 */
export type AfterImplicitCommit = "ends" | "goesOn"

/** @internal */
export class Level implements Channel {
  readonly mutex = new Mutex(() => {
    if (!this.isOver) abandonUnfinished(this.member)
  })
  readonly asConnection: Connection = new ChannelConnection(this)
  /** the savepoint of a nested level that failed or was interrupted: undone before anything else happens here */
  private undo: string | undefined = undefined
  private ended = false
  /** a statement of this level was given up while it ran: what it did is not known, so the level can only be rolled back */
  private spoiled: Spoiled | undefined = undefined

  constructor(
    readonly member: Member,
    readonly journal: Journal,
    readonly afterImplicitCommit: AfterImplicitCommit,
    private readonly parent?: Level
  ) {}

  /** from here on nothing is sent any more, by this level or those inside it: the connection may be somebody else's */
  end(): void {
    this.ended = true
  }

  private get isOver(): boolean {
    return this.ended || (this.parent !== undefined && this.parent.isOver)
  }

  run(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    options?: QueryOptions
  ): Effect.Effect<any, QueryError> {
    return this.mutex.withLock(Effect.suspend(() => this.settled(this.send(sql, params, mode, options))), this.givenUp)
  }

  /** the caller holds the lock */
  unlocked(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    options?: QueryOptions
  ): Effect.Effect<any, QueryError> {
    return Effect.suspend(() =>
      this.settled(
        Effect.tapErrorCause(this.send(sql, params, mode, options), (cause) => Effect.sync(() => this.givenUp(cause)))
      )
    )
  }

  private settled(statement: Effect.Effect<any, QueryError>): Effect.Effect<any, QueryError> {
    return this.isSettled ? statement : Effect.zipRight(this.settle, statement)
  }

  stream(sql: string, params: ReadonlyArray<unknown>, options?: QueryOptions): Stream.Stream<any, QueryError> {
    return Stream.unwrapScoped(Effect.as(
      Effect.zipRight(this.mutex.scoped, Effect.zipRight(this.begun, this.settle)),
      Stream.mapError(this.member.sendStream(sql, params, options, this.objection), (cause) => this.failed(cause))
    ))
  }

  /** `finish`, if there is nothing to wait for */
  tryFinish(): boolean {
    const { mutex, spoiled } = this
    if (!mutex.isFree || spoiled !== undefined || this.undo !== undefined) return false
    if (this.member.connection.condition() === "busy") return false
    this.end()
    return true
  }

  /** waits for the statements that are still under way, and lets no more in */
  get finish(): Effect.Effect<void, QueryError | CommitFailed> {
    const { connection, dialect: { config: { resetTimeout }, name: pool } } = this.member
    // what a stream has left behind; on a network gone deaf its end would never be heard of
    const quiet = Effect.suspend(() =>
      connection.condition() !== "busy" ? Effect.void : Effect.timeoutFail(Effect.interruptible(connection.cancel), {
        duration: resetTimeout,
        onTimeout: () => {
          connection.destroy()
          return new Error(`the statement before the end was not over within ${resetTimeout} ms`)
        }
      })
    )
    return this.mutex.withLock(
      Effect.suspend((): Effect.Effect<void, QueryError | CommitFailed> =>
        this.spoiled === undefined
          ? Effect.zipRight(
            this.isCommitted ? Effect.void : this.settle,
            Effect.mapError(quiet, (cause) => this.failed(cause))
          ).pipe(
            Effect.andThen(() => this.end())
          )
          : Effect.fail(new CommitFailed({ pool, reason: "RolledBack", cause: undefined }))
      )
    )
  }

  nextSavepoint(): string {
    return `dbpool_${++this.journal.savepoints}`
  }

  /** a nested level failed or was interrupted: what it did goes before anything else happens */
  undoTo(savepoint: string): void {
    this.undo ??= savepoint
  }

  /** everything so far was committed by a statement, and the transaction is to go on */
  get isCommitted(): boolean {
    const { connection } = this.member
    return this.afterImplicitCommit === "goesOn" && connection.committedImplicitly?.() === true
  }

  private get isSettled(): boolean {
    return this.undo === undefined && !this.isCommitted
  }

  /** what has to be sent before anything else is; the caller holds the lock */
  get settle(): Effect.Effect<void, QueryError> {
    return Effect.suspend(() => {
      if (this.isCommitted) {
        const begin = this.member.dialect.driver.begin?.({})
        if (typeof begin === "string") return this.send(begin, [], "object", undefined, this.ours)
      }
      const savepoint = this.undo
      if (savepoint === undefined) return Effect.void
      return Effect.flatMap(this.send(`ROLLBACK TO SAVEPOINT ${savepoint}`, [], "object"), () => {
        // undone for good, even if an interrupt should leave the savepoint itself behind
        this.undo = undefined
        return this.send(`RELEASE SAVEPOINT ${savepoint}`, [], "object")
      })
    })
  }

  /** why nothing may be sent any more, if so: the transaction was ended by us, by the server, or by a raw COMMIT */
  readonly objection = (): LeaseReleased | Spoiled | undefined => {
    const { journal, member: { connection } } = this
    const left = journal.begin === undefined && connection.transactionStatus() === "none" &&
      !["busy", "broken"].includes(connection.condition())
    return this.ours() ?? (left ? this.released : undefined)
  }

  private get released(): LeaseReleased {
    return new LeaseReleased({ pool: this.member.dialect.name, what: "transaction" })
  }

  /** the same, whatever the server has done to it */
  private readonly ours = (): LeaseReleased | Spoiled | undefined => this.isOver ? this.released : this.spoiled

  failed(cause: unknown): QueryError {
    if (cause instanceof TimedOut) this.spoiled ??= new Spoiled("StatementTimeout", "a statement before it timed out")
    const error = toQueryError(this.member.dialect, cause, true)
    if (error._tag === "StatementError" && isConflict(error.reason)) {
      this.journal.conflict = { reason: error.reason, cause: error }
    }
    return error
  }

  /** one that has been answered already is not, and what was sent before it is sent once more */
  private readonly givenUp = (cause: Cause.Cause<unknown>): void => {
    if (Cause.isInterruptedOnly(cause) && this.isSettled && this.member.connection.condition() === "busy") {
      this.spoiled ??= new Spoiled("Cancelled", "a statement before it was interrupted")
    }
  }

  /** for what cannot be sent together with a BEGIN */
  private get begun(): Effect.Effect<void, QueryError> {
    return Effect.suspend(() => this.journal.begin === undefined ? Effect.void : this.unlocked("", [], "raw"))
  }

  private send(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    options?: QueryOptions,
    objection = this.objection
  ): Effect.Effect<any, QueryError> {
    const { journal: { begin }, member } = this
    return begin === undefined
      ? Effect.mapError(member.send(sql, params, mode, options, objection), (cause) => this.failed(cause))
      : Effect.mapError(
        member.beginWith(begin, sql, params, mode, options, this.firstObjection),
        (cause) => this.firstFailed(cause)
      )
  }

  /** what is sent from here on is in a transaction, or the transaction never was one */
  private readonly firstObjection = (): LeaseReleased | Spoiled | undefined => {
    const objection = this.ours()
    if (objection === undefined) this.journal.begin = undefined
    return objection
  }

  private firstFailed(cause: unknown): QueryError {
    const { connection, dialect } = this.member
    const error = toQueryError(dialect, cause, false)
    if (error._tag === "NoSuchConnection") {
      this.journal.conflict = { reason: error._tag, cause: error }
      return error
    }
    if (error._tag === "StatementError" && this.journal.begin === undefined && connection.condition() === "clean") {
      this.spoiled ??= new Spoiled(error.reason, "the transaction did not begin")
    }
    return this.failed(cause)
  }
}
