/**
 * One `pg.Client` as a driver connection.
 */
import type * as Pool from "@dbpool/core/Pool"
import type { DriverConnection, Objection } from "@dbpool/sql/Driver"
import { fromCallback } from "@dbpool/sql/Driver"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constVoid } from "effect/Function"
import type * as Stream from "effect/Stream"
import type pg from "pg"
import type { Canceller } from "./cancel.js"
import * as cursor from "./cursor.js"
import { ClientError, isFatal, isServerError } from "./errors.js"
import type { Sent } from "./line.js"
import { Line } from "./line.js"
import { nameTrouble, PgStatement, PreparedStatements } from "./prepared.js"
import { slipOf } from "./sharing.js"
import type { Wire } from "./wire.js"
import { batched, wireOf } from "./wire.js"

type Mode = "object" | "array" | "raw"

type Done = (exit: Exit.Exit<any, unknown>) => void

/** what statements may be: most are, those that end a session or a transaction are not */
interface Manner {
  readonly preparable: boolean
  /** it ends by itself in a moment, or must not be cancelled */
  readonly ending: boolean
  /** others may be under way at the same time */
  readonly shared: boolean
  /** what has to succeed before it runs, in the same round trip */
  readonly before: ReadonlyArray<string>
}

/** @internal */
export const statement: Manner = { preparable: true, ending: false, shared: false, before: [] }
/** @internal */
export const unpreparedStatement: Manner = { preparable: false, ending: false, shared: false, before: [] }
/** @internal */
export const sharedStatement: Manner = { preparable: true, ending: false, shared: true, before: [] }
const closing: Manner = { preparable: false, ending: true, shared: false, before: [] }

/** One statement, from its being sent to its end. A class: closures over it would keep it from being collected young. */
class Task implements Sent {
  wanted = true
  /** it was sent a second time */
  again = false
  /** what is to be told at the next ReadyForQuery, or when the connection breaks instead */
  outcome: { readonly error: unknown; readonly result: any } | undefined = undefined

  constructor(
    private readonly connection: PgConnection,
    readonly sql: string,
    readonly params: Array<unknown>,
    readonly mode: Mode,
    readonly manner: Manner,
    readonly objection: Objection | undefined,
    readonly done: Done,
    /** what it was prepared as */
    public name: string | undefined
  ) {}

  over(): void {
    this.connection.finish(this)
  }

  lost(cause: unknown): void {
    this.done(Exit.fail(this.outcome?.error ?? cause))
  }
}

/** @internal */
export class PgConnection implements DriverConnection {
  readonly line: Line
  readonly prepared: PreparedStatements
  private opened = false
  private readonly batch: Wire
  private lost: ((cause: unknown) => void) | undefined = undefined

  constructor(readonly client: pg.Client, canceller: Canceller, preparedStatements: number) {
    this.prepared = new PreparedStatements(preparedStatements)
    this.batch = batched(wireOf(client))
    this.line = new Line(client, canceller, (cause) => this.lost?.(cause))
  }

  /** opens it; interrupting that leaves the socket to `close` */
  get dial(): Effect.Effect<void, unknown> {
    return Effect.andThen(this.line.dial, () => {
      this.opened = true
    })
  }

  /** says goodbye if there is somebody to say it to; a statement still running is cancelled first, or it would run on */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.line.closes()
      return this.opened
        ? Effect.zipRight(Effect.ignore(this.cancel), this.line.goodbye)
        : Effect.sync(() => this.destroy())
    })
  }

  destroy(): void {
    this.line.breaks(new Error("the connection was destroyed"))
  }

  onLost(listener: (cause: unknown) => void): void {
    this.lost = listener
    if (this.line.isBroken !== undefined) listener(this.line.isBroken.cause)
  }

  condition(): Pool.Condition {
    return this.line.condition()
  }

  transactionStatus(): "none" | "open" | "failed" {
    return this.line.transactionStatus()
  }

  execute(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    objection?: Objection,
    unprepared = false,
    before?: ReadonlyArray<string>
  ): Effect.Effect<any, unknown> {
    const manner = unprepared ? unpreparedStatement : statement
    return this.run(sql, params, mode, objection, before === undefined ? manner : { ...manner, before })
  }

  /** runs a statement beside those that are under way, if they all are of this kind */
  share(sql: string, params: ReadonlyArray<unknown>, mode: Mode): Effect.Effect<any, unknown> {
    return this.run(sql, params, mode, undefined, sharedStatement)
  }

  stream(sql: string, params: ReadonlyArray<unknown>, objection?: Objection): Stream.Stream<any, unknown> {
    return cursor.stream(this.line, sql, params, objection)
  }

  readonly validate: Effect.Effect<void, unknown> = Effect.suspend(() => this.end(""))

  readonly rollback: Effect.Effect<void, unknown> = Effect.suspend(() => this.end("ROLLBACK"))

  readonly resetSession: Effect.Effect<void, unknown> = Effect.suspend(() => this.end("DISCARD ALL"))

  /** waited for whatever happens */
  readonly commit: Effect.Effect<"committed" | "rolledBack", unknown> = Effect.async((resume) => {
    this.submit("COMMIT", [], "raw", undefined, closing, (exit) => {
      resume(Exit.map(exit, (result: pg.QueryResult) => result.command === "COMMIT" ? "committed" : "rolledBack"))
    })
  })

  abandon(): void {
    this.line.abandon()
  }

  get cancel(): Effect.Effect<void, unknown> {
    return this.line.cancel
  }

  private end(sql: string): Effect.Effect<pg.QueryResult, unknown> {
    return this.run(sql, [], "raw", undefined, closing)
  }

  private run(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    objection: Objection | undefined,
    manner: Manner
  ): Effect.Effect<any, unknown> {
    return fromCallback((done) => this.submit(sql, params, mode, objection, manner, done))
  }

  /** `run` by a callback; answers what to do when nobody waits for it any more */
  submit(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    objection: Objection | undefined,
    manner: Manner,
    done: Done
  ): () => void {
    const { line } = this
    const refusal = line.refuses(objection)
    if (refusal !== undefined) return refused(done, refusal)
    if (!(manner.shared ? line.isFreeToShare : line.isFree)) {
      let left = false
      let leave = constVoid
      const stop = line.whenTurn((exit) => {
        if (left) return
        if (Exit.isFailure(exit)) done(exit)
        else leave = this.submit(sql, params, mode, objection, manner, done)
      })
      return () => {
        left = true
        stop()
        leave()
      }
    }
    if (typeof sql !== "string" || !Array.isArray(params)) {
      return refused(done, new ClientError(new TypeError("a statement is a text and an array of parameters")))
    }
    const name = manner.preparable && params.length > 0 ? this.prepared.nameOf(sql) : undefined
    const task = new Task(this, sql, params, mode, manner, objection, done, name)
    this.send(task)
    return () => line.leaves(task)
  }

  private send(task: Task): void {
    const { manner: { before, ending, shared }, mode, name, params, sql } = task
    this.line.send(
      new PgStatement(this.prepared, {
        text: sql,
        values: params,
        before,
        name,
        rowMode: mode === "array" ? "array" : undefined,
        // the simple protocol would take several statements in one text
        queryMode: shared ? "extended" : undefined,
        // called twice when a parameter cannot be serialised; the first time counts
        callback: (error, result) => {
          const failed = error !== null && error !== undefined
          task.outcome ??= { error: failed ? error : undefined, result: failed ? undefined : result }
          if (failed && isFatal(error)) this.line.breaks(error)
        }
      }, shared ? this.batch : undefined),
      task,
      ending,
      shared
    )
  }

  /** the server has said ReadyForQuery */
  finish(task: Task): void {
    const { name, outcome, sql } = task
    task.outcome = undefined
    const error = outcome?.error
    const slip = task.manner.shared ? slipOf(this.transactionStatus(), outcome?.result) : undefined
    if (slip !== undefined) {
      this.line.breaks(slip)
      return task.done(Exit.fail(slip))
    }
    if (error !== undefined && name !== undefined && this.isToBeRepeated(task, name, error)) {
      return this.send(Object.assign(task, { again: true, name: this.prepared.nameOf(sql), outcome: undefined }))
    }
    // what came before it may have failed, and `pg` takes the statement for parsed when anything is
    if (error !== undefined && name !== undefined && task.manner.before.length > 0) this.prepared.drop(sql, name)
    // one that others have pushed out meanwhile: `pg` takes note of it when it has been parsed, and would for ever
    if (name !== undefined && !this.prepared.has(sql, name)) delete wireOf(this.client).parsedStatements[name]
    // the connection is well, so what the server did not say came from this side: a parameter or a type parser
    if (error === undefined) task.done(Exit.succeed(shape(outcome?.result, task.mode)))
    else task.done(Exit.fail(isServerError(error) ? error : new ClientError(error)))
  }

  /** Only outside transactions, where nothing was done: inside one, the server has undone all that was. */
  private isToBeRepeated(task: Task, name: string, error: unknown): boolean {
    const trouble = nameTrouble(error, name)
    // a parameter that cannot be serialised makes `pg` close the statement behind our back
    if (trouble !== undefined || !isServerError(error)) this.prepared.drop(task.sql, name, trouble !== "taken")
    return trouble !== undefined && !task.again && task.wanted &&
      (task.manner.shared ? this.line.isFreeToShare : this.line.isFree) && this.transactionStatus() === "none" &&
      this.line.refuses(task.objection) === undefined
  }
}

const refused = (done: Done, error: unknown): () => void => {
  done(Exit.fail(error))
  return constVoid
}

/** several statements in one text have several results */
const shape = (result: any, mode: Mode): any =>
  mode === "raw" ? result : Array.isArray(result) ? result.map((each) => each.rows ?? []) : result?.rows ?? []
