/**
 * One level of a transaction: the transaction itself, or a savepoint inside it. Statements of a level run one after the
 * other, and not at all while a level nested in it is open.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { QueryError } from "../SqlPoolError.js"
import { ConnectionLost, LeaseReleased } from "../SqlPoolError.js"
import { isConflict } from "../StatementError.js"
import type { TransactionConflict } from "../Transaction.js"
import type { Channel, Member, Mode } from "./member.js"
import { ChannelConnection, toQueryError } from "./member.js"
import { Mutex } from "./mutex.js"

/** what the connection saw during one attempt of a whole transaction; every level of it writes here @internal */
export interface Journal {
  conflict: TransactionConflict | undefined
  savepoints: number
}

/** @internal */
export class Level implements Channel {
  readonly mutex = new Mutex()
  readonly asConnection: Connection = new ChannelConnection(this)
  /** the savepoint of a nested level that was interrupted: undone before anything else happens on this level */
  private undo: string | undefined = undefined
  private ended = false

  constructor(readonly member: Member, readonly journal: Journal) {}

  end(): void {
    this.ended = true
  }

  run(sql: string, params: ReadonlyArray<unknown>, mode: Mode): Effect.Effect<any, QueryError> {
    return this.mutex.withLock(this.unlocked(sql, params, mode))
  }

  /** the caller holds the lock */
  unlocked(sql: string, params: ReadonlyArray<unknown>, mode: Mode): Effect.Effect<any, QueryError> {
    return Effect.suspend(() => {
      const refusal = this.refusal()
      if (refusal !== undefined) return Effect.fail(refusal)
      const statement = Effect.mapError(
        this.member.connection.execute(sql, params, mode),
        (cause) => this.failed(cause)
      )
      return this.undo === undefined ? statement : Effect.zipRight(this.settle, statement)
    })
  }

  stream(sql: string, params: ReadonlyArray<unknown>): Stream.Stream<any, QueryError> {
    return Stream.unwrapScoped(Effect.flatMap(this.mutex.scoped, () => {
      const refusal = this.refusal()
      if (refusal !== undefined) return Effect.fail(refusal)
      return Effect.as(
        this.settle,
        Stream.mapError(this.member.connection.stream(sql, params), (cause) => this.failed(cause))
      )
    }))
  }

  nextSavepoint(): string {
    return `dbpool_${++this.journal.savepoints}`
  }

  /** a nested level failed or was interrupted: what it did goes before anything else happens */
  undoTo(savepoint: string): void {
    this.undo ??= savepoint
  }

  /** the caller holds the lock */
  get settle(): Effect.Effect<void, QueryError> {
    return Effect.suspend(() => {
      const savepoint = this.undo
      if (savepoint === undefined) return Effect.void
      const { connection } = this.member
      return Effect.zipRight(
        connection.execute(`ROLLBACK TO SAVEPOINT ${savepoint}`, [], "object"),
        connection.execute(`RELEASE SAVEPOINT ${savepoint}`, [], "object")
      ).pipe(
        Effect.mapError((cause) => this.failed(cause)),
        Effect.andThen(() => {
          this.undo = undefined
        })
      )
    })
  }

  /** why nothing may be sent any more, if so: the transaction is over, by us, by the server, or by a raw COMMIT */
  refusal(): QueryError | undefined {
    const { connection, dialect } = this.member
    if (this.ended) return new LeaseReleased({ pool: dialect.name, what: "transaction" })
    if (connection.condition() === "broken") {
      return new ConnectionLost({
        pool: dialect.name,
        inTransaction: true,
        cause: new Error("the connection was lost earlier in this transaction")
      })
    }
    return connection.condition() !== "busy" && connection.transactionStatus() === "none"
      ? new LeaseReleased({ pool: dialect.name, what: "transaction" })
      : undefined
  }

  failed(cause: unknown): QueryError {
    const error = toQueryError(this.member.dialect, cause, true)
    if (error._tag === "StatementError" && isConflict(error.reason)) {
      this.journal.conflict = { reason: error.reason, cause: error }
    }
    return error
  }
}
