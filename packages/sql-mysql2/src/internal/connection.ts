/**
 * One `mysql2` connection as a driver connection.
 *
 * A statement is over when its whole answer has been read. An error does not say whether the transaction it was sent in
 * is still open, so the server is asked then, and the statement is over when that is known, too.
 */
import type * as Pool from "@dbpool/core/Pool"
import type { DriverConnection, Objection } from "@dbpool/sql/Driver"
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import mysql from "mysql2"
import type { Address, Control } from "./control.js"
import type { ServerError } from "./errors.js"
import {
  ClientError,
  idleTooLong,
  isFatal,
  isForgotten,
  isPreparedLimit,
  isReadOnlyServer,
  isServerError,
  isUnknownCommand,
  isUnpreparable,
  Unsent
} from "./errors.js"
import * as Parameters from "./parameters.js"
import type { Results } from "./results.js"
import { Answer } from "./results.js"
import * as rows from "./rows.js"
import type { Command, Wire } from "./wire.js"
import { expects, isPlain, listen, Status, wireOf } from "./wire.js"

type Mode = "object" | "array" | "raw"

/** what all connections of a pool have in common, and what one of them learns for the others @internal */
export interface Shared {
  readonly control: Control
  readonly readTimeout: number
  readonly writeTimeout: number
  /** the statement that sets the character set of the login */
  readonly setNames: string
  /** the server does not know COM_RESET_CONNECTION */
  hasNoReset: boolean
  /** statements that cannot be prepared */
  readonly unpreparable: Set<string>
}

/** a text, its parameters, and how it is to be sent @internal */
export interface Statement {
  readonly sql: string
  readonly params: ReadonlyArray<unknown>
  /** as a text, into which the parameters are written; else prepared */
  readonly isText: boolean
  readonly asArrays: boolean
  /** it is none of the program's, and what the program has to say about values is not meant for it */
  readonly isOwn?: boolean
  /** it is not sent again, whatever the server says */
  readonly isLast?: boolean
}

/** one command and those that belong to it @internal */
export interface Running {
  /** what is sent now; a statement may have to be prepared first, or tried again */
  command: Command | undefined
  /** somebody waits for it: its fiber has not been interrupted */
  wanted: boolean
  /** it ends by itself in a moment, or must not be cancelled */
  ending: boolean
  /** how long it may go on before it is cancelled, in milliseconds */
  readonly patience: number
  /** the answer to `command` has begun */
  answered: boolean
  readonly done: (error: unknown) => void
}

/** the first pause before a cancel is repeated */
const missed = 100

/** what the pool and the SQL layer send in transactions; not all servers can prepare it, and none of it has parameters */
const transactional =
  /^(?:(?:SET TRANSACTION ISOLATION LEVEL [A-Z ]+; )?START TRANSACTION(?: READ (?:ONLY|WRITE))?|(?:RELEASE |ROLLBACK TO )?SAVEPOINT \w+)$/

/** ends a transaction because it says so; others that end one do so by the way */
const byHand = /^(?:\s|\/\*[^]*?\*\/|--\s[^\n]*\n|#[^\n]*\n)*(?:commit|rollback)\b/i

/** @internal */
export class MysqlConnection implements DriverConnection {
  readonly wire: Wire
  readonly status = new Status()
  private readonly client: mysql.Connection
  private opened = false
  private closing = false
  private broken: { readonly cause: unknown } | undefined = undefined
  private lost: ((cause: unknown) => void) | undefined = undefined
  private running: Running | undefined = undefined
  /** a statement has committed the last transaction as it succeeded */
  private isCommitted = false
  /** the server is no longer the one to write to */
  private retired = false
  /** some servers never say that they commit by themselves */
  private saysAutocommit = true
  /** where and as what the server knows this connection, if it can be cancelled there */
  address: Address | undefined = undefined
  /** gives up the cancel that is under way; nothing is sent before its end */
  private stopCancel: (() => void) | undefined = undefined
  private pause: ReturnType<typeof setTimeout> | undefined = undefined
  /** called whenever the connection becomes free, or breaks */
  private readonly onChange = new Set<() => void>()

  constructor(config: mysql.ConnectionOptions, private readonly shared: Shared) {
    this.client = mysql.createConnection(config)
    this.wire = wireOf(this.client)
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
        const { stream } = this.wire
        stream.on("timeout", () => this.silence())
        stream.on("drain", () => this.watch())
        listen(this.wire, this.status, (command) => {
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
    return this.running === undefined && this.stopCancel === undefined
  }

  transactionStatus(): "none" | "open" {
    return this.status.inTransaction ? "open" : "none"
  }

  committedImplicitly(): boolean {
    return this.isCommitted
  }

  execute(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    objection?: Objection,
    unprepared: boolean = false
  ): Effect.Effect<any, unknown> {
    return Effect.suspend(() => {
      const answer = new Answer()
      return Effect.map(
        this.run(objection, false, (running) => {
          const isText = unprepared ||
            (params.length === 0 && (transactional.test(sql) || this.shared.unpreparable.has(sql)))
          return this.send(running, { sql, params, isText, asArrays: mode === "array" }, answer)
        }),
        () => mode === "raw" ? answer.raw : answer.rows
      )
    })
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
  ).pipe(Effect.zipRight(Effect.suspend(() => Effect.zipRight(this.setNames, this.commitItself))))

  /** MySQL goes back to the server's own character set, MariaDB to that of the login */
  private readonly setNames: Effect.Effect<void, unknown> = Effect.suspend(() =>
    this.wire._isMariaDB ? Effect.void : Effect.asVoid(this.text(this.shared.setNames))
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
          (running) => this.send(running, { sql, params: [], isText: true, asArrays: true, isOwn: true }, answer)
        ),
        () => answer.rows
      )
    })
  }

  abandon(): void {
    const { running } = this
    if (running === undefined || running.ending || this.broken !== undefined) return
    if (this.stopCancel !== undefined || this.pause !== undefined) return
    if (running.patience === 0) this.requestCancel(missed)
    else this.pause = setTimeout(() => this.requestCancel(missed), running.patience)
  }

  readonly cancel: Effect.Effect<void, unknown> = Effect.suspend(() => {
    this.abandon()
    return this.untilFree
  })

  /** waits until the connection is free */
  get untilFree(): Effect.Effect<void, unknown> {
    return Effect.async<void, unknown>((resume) => {
      const look = () => {
        if (this.broken !== undefined) resume(Effect.fail(this.broken.cause))
        else if (this.isFree) resume(Effect.void)
        else this.onChange.add(look)
      }
      look()
      return Effect.sync(() => this.onChange.delete(look))
    })
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
    options: { readonly ending: boolean; readonly patience: number }
  ): Running {
    const running: Running = { command: undefined, wanted: true, answered: false, done, ...options }
    this.running = running
    try {
      running.command = send(running)
    } catch (cause) {
      this.running = undefined
      throw cause instanceof ClientError ? cause : new ClientError(cause)
    }
    this.watch()
    return running
  }

  /** nobody waits for it any more; what was not sent yet is not sent at all */
  leaves(running: Running): void {
    running.wanted = false
    const { command } = running
    if (this.running !== running || command === undefined || command.next !== null) return
    running.ending = true
    command.start = () => null
  }

  /**
   * Sends a statement by the protocol that the server has for it: prepared, which refuses several at once, or as a text.
   * `mysql2` keeps what it has prepared; what the server says about that concerns nobody else.
   */
  send(running: Running, statement: Statement, results: Results): Command {
    const { asArrays, isOwn, isText, params, sql } = statement
    if (typeof sql !== "string" || !Array.isArray(params)) {
      throw new ClientError(new TypeError("a statement is a text and an array of parameters"))
    }
    const options = isText
      ? { sql: Parameters.format(sql, params, this.dialect), rowsAsArray: asArrays, ...(isOwn ? plainRows : {}) }
      : { sql, values: params.map(Parameters.toSend), rowsAsArray: asArrays }
    const wasOpen = this.status.inTransaction
    const command = isText ? this.wire.query(options) : this.wire.execute(options)
    if (!isText) expects(command, params.length, (expected) => Parameters.miscounted(params.length, expected))
    let isOver = false
    const ends = (error?: unknown) => {
      if (isOver) return
      isOver = true
      if (wasOpen || this.status.inTransaction) {
        this.isCommitted = error === undefined && !this.status.inTransaction && !byHand.test(sql)
      }
      const next = isServerError(error) && running.wanted && this.running === running
        ? this.insteadOf(statement, error, () => this.wire.unprepare(options))
        : undefined
      if (next === undefined) return this.ends(running, error)
      running.answered = false
      running.command = this.send(running, next, results)
    }
    command.on("error", ends)
    command.on("end", () => ends())
    command.on("fields", (fields: unknown) => {
      if (fields !== undefined) results.begin()
    })
    // a row comes with the number of its result, an answer without rows comes alone
    command.on("result", (result: any, index?: number) => {
      if (index !== undefined) return results.row(result)
      this.status.learn(result.serverStatus)
      results.header(result)
    })
    return command
  }

  private get dialect(): Parameters.Dialect {
    return { backslash: this.status.backslash, timezone: this.wire.config.timezone }
  }

  /** what to send when the server has not executed a statement because of how it was sent */
  private insteadOf(statement: Statement, error: ServerError, unprepare: () => void): Statement | undefined {
    if (statement.isText) return undefined
    if (isUnpreparable(error) && statement.params.length === 0) {
      remember(this.shared.unpreparable, statement.sql)
      return { ...statement, isText: true }
    }
    if (statement.isLast) return undefined
    if (isForgotten(error)) unprepare()
    // all connections of the server together may have so many
    else if (isPreparedLimit(error)) this.wire._statements.clear()
    else return undefined
    return { ...statement, isLast: true }
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
      this.settles(running, error)
      if (failed !== undefined && failed !== null) this.breaks(failed)
    }))
  }

  private failsHere(running: Running, error: unknown): void {
    const { fatal, message } = error as { readonly fatal?: boolean; readonly message?: string }
    if (fatal === true) {
      return this.breaks(error, /in closed state/.test(message ?? "") ? new Unsent(error) : error)
    }
    this.settles(running, error instanceof ClientError ? error : new ClientError(error))
    // what it could not read is followed by more that it would take for the answer to something else
    if (running.answered) this.breaks(error)
  }

  private settles(running: Running, error: unknown): void {
    if (this.running !== running) return
    this.running = undefined
    clearTimeout(this.pause)
    this.pause = undefined
    this.watch()
    running.done(error)
    this.changed()
  }

  private run(
    objection: Objection | undefined,
    ending: boolean,
    send: (running: Running) => Command
  ): Effect.Effect<void, unknown> {
    return Effect.async<void, unknown>((resume) => {
      const refusal = this.refuses(objection)
      if (refusal !== undefined) return resume(Effect.fail(refusal))
      if (!this.isFree) return resume(Effect.zipRight(this.turn, this.run(objection, ending, send)))
      try {
        const running = this.begin(
          send,
          (error) => resume(error === undefined ? Effect.void : Effect.fail(error)),
          { ending, patience: 0 }
        )
        return Effect.sync(() => this.leaves(running))
      } catch (error) {
        return resume(Effect.fail(error))
      }
    })
  }

  /** sets how long the server may be silent now */
  private watch(): void {
    const { readTimeout, writeTimeout } = this.shared
    if (readTimeout === Infinity && writeTimeout === Infinity) return
    const { stream } = this.wire
    const millis = this.running === undefined ? Infinity : stream.writableNeedDrain ? writeTimeout : readTimeout
    stream.setTimeout?.(millis === Infinity ? 0 : millis)
  }

  private silence(): void {
    const { running } = this
    // what nobody reads at the moment is no silence of the server
    if (running === undefined || this.wire._paused) return
    const { readTimeout, writeTimeout } = this.shared
    this.abort(
      this.wire.stream.writableNeedDrain
        ? new Error(`the server took nothing of what was sent for ${writeTimeout} ms (writeTimeout)`)
        : new Error(`the server was silent for ${readTimeout} ms (readTimeout)`)
    )
  }

  private breaks(cause: unknown, failure: unknown = cause): void {
    if (this.broken !== undefined) return
    this.broken = { cause }
    clearTimeout(this.pause)
    this.stopCancel?.()
    this.stopCancel = undefined
    // `mysql2` would only say that it is done, and wait for the server to close it
    this.wire.stream.destroy()
    this.lost?.(cause)
    const { running } = this
    this.running = undefined
    running?.done(failure)
    this.changed()
  }

  private changed(): void {
    const listeners = [...this.onChange]
    this.onChange.clear()
    for (const listener of listeners) listener()
  }

  /**
   * A cancel names the connection, not the statement: it may arrive when the next one is already running, so its end is
   * waited for. And it may arrive before the statement, to no effect.
   */
  private requestCancel(patience: number): void {
    this.pause = undefined
    if (this.address === undefined) return this.breaks(new Error("the server has not said how to cancel on it"))
    this.stopCancel = this.shared.control.kill("QUERY", this.address, (error) => {
      this.stopCancel = undefined
      if (error !== undefined) this.breaks(error)
      else if (this.running === undefined) this.changed()
      else this.pause = setTimeout(() => this.requestCancel(2 * patience), patience)
    })
  }
}

const plainRows = { typeCast: true }

const mostUnpreparable = 1000

const remember = (texts: Set<string>, sql: string): void => {
  if (texts.size >= mostUnpreparable) texts.clear()
  texts.add(sql)
}
