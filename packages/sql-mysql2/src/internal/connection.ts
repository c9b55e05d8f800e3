/**
 * One `mysql2` connection as a driver connection.
 *
 * A statement is over when its whole answer has been read. An error does not say whether the transaction it was sent in
 * is still open, so the server is asked then, and the statement is over when that is known, too.
 */
import type * as Pool from "@dbpool/core/Pool"
import type { DriverConnection, Objection } from "@dbpool/sql/Driver"
import { fromCallback } from "@dbpool/sql/Driver"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constVoid } from "effect/Function"
import type * as Stream from "effect/Stream"
import mysql from "mysql2"
import { Cancel } from "./cancel.js"
import type { Address, Control } from "./control.js"
import {
  ClientError,
  idleTooLong,
  isFatal,
  isReadOnlyServer,
  isServerError,
  isUnknownCommand,
  Unsent
} from "./errors.js"
import type { Results } from "./results.js"
import { Answer } from "./results.js"
import * as rows from "./rows.js"
import { Running } from "./running.js"
import { Sender } from "./sender.js"
import { Statement } from "./statement.js"
import type { Limits } from "./watch.js"
import { Watch } from "./watch.js"
import type { Command, Wire } from "./wire.js"
import { isPlain, listen, Status, wireOf } from "./wire.js"

type Mode = "object" | "array" | "raw"

/** what all connections of a pool have in common, and what one of them learns for the others @internal */
export interface Shared extends Limits {
  readonly control: Control
  /** the statement that gives a session of MySQL what it had after its login, and a reset has taken */
  readonly settings: string
  /** the server does not know COM_RESET_CONNECTION */
  hasNoReset: boolean
  /** statements that cannot be prepared */
  readonly unpreparable: Set<string>
}

/** @internal */
export class MysqlConnection implements DriverConnection {
  readonly wire: Wire
  readonly status = new Status()
  private readonly sender: Sender
  private watch: Watch | undefined = undefined
  private readonly client: mysql.Connection
  private opened = false
  private closing = false
  private broken: { readonly cause: unknown } | undefined = undefined
  private lost: ((cause: unknown) => void) | undefined = undefined
  private running: Running | undefined = undefined
  /** the server is no longer the one to write to */
  private retired = false
  /** some servers never say that they commit by themselves */
  private saysAutocommit = true
  /** where and as what the server knows this connection, if it can be cancelled there */
  address: Address | undefined = undefined
  /** nothing is sent before its end */
  private readonly cancelling: Cancel
  /** called whenever the connection becomes free, or breaks */
  private readonly onChange = new Set<() => void>()

  constructor(config: mysql.ConnectionOptions, private readonly shared: Shared) {
    this.client = mysql.createConnection(config)
    this.wire = wireOf(this.client)
    this.sender = new Sender(this.wire, this.status, shared.unpreparable)
    this.cancelling = new Cancel(shared.control, this)
    // without a listener the error of an idle socket ends the process
    this.client.on("error", (cause: unknown) => this.breaks(cause))
    this.client.on("end", () => this.breaks(new Error("the server closed the connection")))
  }

  /** opens it; interrupting that leaves the socket to `close` */
  get dial(): Effect.Effect<void, unknown> {
    return Effect.async<void, unknown>((resume) => {
      const broke = () => resume(Effect.fail(this.broken?.cause))
      this.onChange.add(broke)
      this.client.connect((error: unknown) => {
        this.onChange.delete(broke)
        if (error !== null && error !== undefined) return resume(Effect.fail(error))
        // not before: TLS has put another stream in the place of the first
        const watch = new Watch(this.wire, this.shared, (error) => this.abort(error))
        this.watch = watch
        listen(this.wire, this.status, (command) => {
          watch.heard()
          if (this.running !== undefined && this.running.command === command) this.running.answered = true
        })
        this.opened = true
        resume(Effect.void)
      })
    })
  }

  /** says goodbye if there is somebody to say it to; a statement still running is cancelled first, or it would run on */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.closing = true
      if (!this.opened) return Effect.sync(() => this.destroy())
      const goodbye = Effect.async<void>((resume) => {
        if (this.broken !== undefined) return resume(Effect.void)
        this.onChange.add(() => resume(Effect.void))
        this.wire.stream.once("close", () => this.breaks(new Error("the connection was closed")))
        this.client.end()
      })
      return Effect.zipRight(Effect.ignore(this.cancel), goodbye)
    })
  }

  destroy(): void {
    this.abort(new Error("the connection was destroyed"))
  }

  /** The server would work on, and keep its locks, for nobody. A COMMIT it may finish. */
  private abort(cause: Error): void {
    const { address, broken, running } = this
    if (broken === undefined && running?.ending === false && address !== undefined) {
      this.shared.control.kill("CONNECTION", address, () => {})
    }
    this.breaks(cause)
  }

  onLost(listener: (cause: unknown) => void): void {
    this.lost = listener
    if (this.broken !== undefined) listener(this.broken.cause)
  }

  condition(): Pool.Condition {
    if (this.broken !== undefined) return "broken"
    if (!this.isFree) return "busy"
    if (this.retired) return "broken"
    const { autocommit, inTransaction, known } = this.status
    return known && !inTransaction && (autocommit || !this.saysAutocommit) ? "clean" : "dirty"
  }

  /** no statement is running, and no cancel under way that could hit the next one */
  get isFree(): boolean {
    return !this.isRunning && !this.cancelling.isUnderWay
  }

  get isRunning(): boolean {
    return this.running !== undefined
  }

  transactionStatus(): "none" | "open" {
    return this.status.inTransaction ? "open" : "none"
  }

  committedImplicitly(): boolean {
    return this.sender.committedImplicitly
  }

  execute(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    objection?: Objection,
    unprepared: boolean = false
  ): Effect.Effect<any, unknown> {
    return fromCallback((done) => this.submit(sql, params, mode, objection, unprepared, done))
  }

  /** `execute` by a callback; answers what to do when nobody waits for it any more */
  submit(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    objection: Objection | undefined,
    unprepared: boolean,
    done: (exit: Exit.Exit<any, unknown>) => void
  ): () => void {
    const answer = new Answer()
    return this.start(
      objection,
      false,
      (running) => {
        const isText = unprepared || (params.length === 0 && this.sender.isKnownAsText(sql))
        return this.send(running, new Statement(sql, params, isText, mode === "array"), answer)
      },
      (exit) => done(Exit.isFailure(exit) ? exit : Exit.succeed(mode === "raw" ? answer.raw : answer.allRows))
    )
  }

  stream(sql: string, params: ReadonlyArray<unknown>, objection?: Objection): Stream.Stream<any, unknown> {
    return rows.stream(this, sql, params, objection)
  }

  readonly validate: Effect.Effect<void, unknown> = Effect.suspend(() =>
    this.run(undefined, true, (running) => isPlain(this.wire.ping((error) => this.ends(running, error))))
  )

  /** also when nothing seems to be open: after an error nobody knows */
  readonly rollback: Effect.Effect<void, unknown> = Effect.suspend(() =>
    Effect.zipRight(this.text("ROLLBACK"), this.commitItself)
  )

  readonly commit: Effect.Effect<"committed" | "rolledBack", unknown> = Effect.suspend(() =>
    Effect.as(this.text("COMMIT"), "committed" as const)
  )

  readonly resetSession: Effect.Effect<void, unknown> = Effect.suspend(() =>
    this.shared.hasNoReset ? this.changeUser : Effect.catchAll(this.resetConnection, (error) => {
      if (!isServerError(error) || !isUnknownCommand(error)) return Effect.fail(error)
      this.shared.hasNoReset = true
      return this.changeUser
    })
  ).pipe(Effect.zipRight(Effect.suspend(() => Effect.zipRight(this.settings, this.commitItself))))

  /** MySQL goes back to the server's own settings, and does not say them all; MariaDB keeps the character set */
  private readonly settings: Effect.Effect<void, unknown> = Effect.suspend(() =>
    this.wire._isMariaDB ? Effect.void : Effect.asVoid(this.text(this.shared.settings))
  )

  /** single statements are to commit by themselves, even where the server is configured otherwise */
  readonly commitItself: Effect.Effect<void, unknown> = Effect.suspend(() =>
    this.status.autocommit || !this.saysAutocommit ? Effect.void : Effect.map(this.text("SET autocommit=1"), () => {
      this.saysAutocommit = this.status.autocommit
    })
  )

  private readonly resetConnection: Effect.Effect<void, unknown> = Effect.suspend(() =>
    this.run(undefined, true, (running) => isPlain(this.wire.reset((error) => this.ends(running, error))))
  )

  private readonly changeUser: Effect.Effect<void, unknown> = Effect.suspend(() =>
    this.run(undefined, true, (running) => isPlain(this.wire.changeUser({}, (error) => this.ends(running, error))))
  )

  /** a statement of our own, without parameters, that ends in a moment; its rows are arrays */
  text(sql: string): Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, unknown> {
    return Effect.suspend(() => {
      const answer = new Answer()
      return Effect.map(
        this.run(
          undefined,
          true,
          (running) => this.send(running, new Statement(sql, [], true, true, true), answer)
        ),
        () => answer.allRows
      )
    })
  }

  abandon(): void {
    const { running } = this
    if (running === undefined || running.ending || this.broken !== undefined) return
    this.cancelling.begin(running.patience)
  }

  readonly cancel: Effect.Effect<void, unknown> = Effect.suspend(() => {
    this.abandon()
    return this.untilFree
  })

  /** calls back when the connection is free, or with an error when it never will be; answers how to stop waiting */
  private whenFree(callback: (exit: Exit.Exit<void, unknown>) => void): () => void {
    const look = () => {
      if (this.broken !== undefined) callback(Exit.fail(this.broken.cause))
      else if (this.isFree) callback(Exit.void)
      else this.onChange.add(look)
    }
    look()
    return () => this.onChange.delete(look)
  }

  /** waits until the connection is free */
  get untilFree(): Effect.Effect<void, unknown> {
    return fromCallback((callback) => this.whenFree(callback))
  }

  /** why nothing can be sent, if so */
  refuses(objection: Objection | undefined): unknown {
    const objected = objection?.()
    if (objected !== undefined) return objected
    if (this.broken !== undefined) return new Unsent(this.broken.cause)
    return this.closing ? new Unsent(new Error("the pool is closing the connection")) : undefined
  }

  /** waits until a statement can be sent: for the end of one that is wanted, or for the cancel of one that is not */
  get turn(): Effect.Effect<void, unknown> {
    return Effect.suspend(() => this.running?.wanted === true ? this.untilFree : this.cancel)
  }

  /** From here on the connection is busy. Throws a `ClientError` when nothing can be sent. */
  begin(
    send: (running: Running) => Command,
    done: (error: unknown) => void,
    ending: boolean,
    patience: number
  ): Running {
    const running = new Running(done, ending, patience)
    this.running = running
    try {
      running.command = send(running)
    } catch (cause) {
      this.running = undefined
      throw cause instanceof ClientError ? cause : new ClientError(cause)
    }
    this.watch?.set(this.isRunning)
    return running
  }

  /** for `begin`: a statement, its answer, and the end of it */
  send(running: Running, statement: Statement, results: Results): Command {
    return this.sender.send(running, statement, results, (error) => this.ends(running, error))
  }

  /** nobody waits for it any more; what was not sent yet is not sent at all */
  leaves(running: Running): void {
    running.wanted = false
    const { command } = running
    if (this.running !== running || command === undefined || command.next !== null) return
    running.ending = true
    command.start = () => null
  }

  /** the answer has come, or there will be none */
  ends(running: Running, error?: unknown): void {
    if (this.running !== running) return
    if (error === undefined || error === null) return this.settles(running, undefined)
    if (!isServerError(error)) return this.failsHere(running, error)
    if (error.errno === idleTooLong && !this.wire._isMariaDB) return this.breaks(error, new Unsent(error))
    if (isFatal(error)) return this.breaks(error)
    if (isReadOnlyServer(error, this.status.inReadOnlyTransaction)) this.retired = true
    this.status.forget()
    if (!this.status.inTransaction) return this.settles(running, error)
    // whether it still is in the transaction decides what may be sent next
    running.ending = true
    running.command = isPlain(this.wire.ping((failed) => {
      if (failed !== undefined && failed !== null) this.breaks(failed, error)
      else this.settles(running, error)
    }))
  }

  private failsHere(running: Running, error: unknown): void {
    const { fatal, message } = error as { readonly fatal?: boolean; readonly message?: string }
    if (fatal === true) {
      return this.breaks(error, /in closed state/.test(message ?? "") ? new Unsent(error) : error)
    }
    const failure = error instanceof ClientError ? error : new ClientError(error)
    // what it could not read is followed by more that it would take for the answer to something else
    if (running.answered) this.breaks(error, failure)
    else this.settles(running, failure)
  }

  private settles(running: Running, error: unknown): void {
    if (this.running !== running) return
    this.running = undefined
    running.command = undefined
    this.cancelling.settle()
    this.watch?.set(this.isRunning)
    running.done(error)
    this.changed()
  }

  private run(
    objection: Objection | undefined,
    ending: boolean,
    send: (running: Running) => Command
  ): Effect.Effect<void, unknown> {
    return fromCallback((done) => this.start(objection, ending, send, done))
  }

  /** `run` by a callback; answers what to do when nobody waits for it any more */
  private start(
    objection: Objection | undefined,
    ending: boolean,
    send: (running: Running) => Command,
    done: (exit: Exit.Exit<void, unknown>) => void
  ): () => void {
    const refusal = this.refuses(objection)
    if (refusal !== undefined) {
      done(Exit.fail(refusal))
      return constVoid
    }
    if (!this.isFree) {
      if (this.running?.wanted !== true) this.abandon()
      let left = false
      let leave = constVoid
      const stop = this.whenFree((exit) => {
        if (left) return
        if (Exit.isFailure(exit)) done(exit)
        else leave = this.start(objection, ending, send, done)
      })
      return () => {
        left = true
        stop()
        leave()
      }
    }
    try {
      const running = this.begin(
        send,
        (error) => done(error === undefined ? Exit.void : Exit.fail(error)),
        ending,
        0
      )
      return () => this.leaves(running)
    } catch (error) {
      done(Exit.fail(error))
      return constVoid
    }
  }

  breaks(cause: unknown, failure: unknown = cause): void {
    if (this.broken !== undefined) return
    this.broken = { cause }
    this.cancelling.end()
    // `mysql2` would only say that it is done, and wait for the server to close it
    this.wire.stream.destroy()
    this.lost?.(cause)
    const { running } = this
    this.running = undefined
    running?.done(failure)
    this.changed()
  }

  changed(): void {
    if (this.onChange.size === 0) return
    const listeners = [...this.onChange]
    this.onChange.clear()
    for (const listener of listeners) listener()
  }
}
