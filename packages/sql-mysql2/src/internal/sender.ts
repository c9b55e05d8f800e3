/**
 * How statements are sent: prepared, which refuses several at once, or as a text. `mysql2` keeps what it has prepared; what
 * the server says about that concerns nobody else.
 */
import type { ServerError } from "./errors.js"
import { ClientError, isForgotten, isPreparedLimit, isServerError, isUnpreparable } from "./errors.js"
import * as Parameters from "./parameters.js"
import type { Results } from "./results.js"
import type { Command, Status, Wire } from "./wire.js"
import { expects, knownCount } from "./wire.js"

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

/** ends a transaction because it says so; others that end one do so by the way */
const byHand = /^(?:\s|\/\*[^]*?\*\/|--\s[^\n]*\n|#[^\n]*\n)*(?:commit|rollback)\b/i

/** of one connection @internal */
export class Sender {
  /** a statement has committed the last transaction as it succeeded */
  committedImplicitly = false

  constructor(
    private readonly wire: Wire,
    private readonly status: Status,
    /** statements that cannot be prepared, as all connections of the pool have learned */
    private readonly unpreparable: Set<string>
  ) {}

  /** whether a statement without parameters is better sent as a text at once */
  isKnownAsText(sql: string): boolean {
    return transactional.test(sql) || this.unpreparable.has(sql)
  }

  /** Sends a statement; `ends` is called once, when the whole answer has come. Throws when nothing can be sent. */
  send(running: Running, statement: Statement, results: Results, ends: (error: unknown) => void): Command {
    const { asArrays, isOwn, isText, params, sql } = statement
    if (typeof sql !== "string" || !Array.isArray(params)) {
      throw new ClientError(new TypeError("a statement is a text and an array of parameters"))
    }
    const wasOpen = this.status.inTransaction
    // options would be copied, which costs as much as sending the statement
    const what = asArrays ? { sql, rowsAsArray: true } : sql
    const known = isText ? undefined : knownCount(this.wire, sql, asArrays)
    if (known !== undefined && known !== params.length) throw Parameters.miscounted(params.length, known)
    const command = isText
      ? this.wire.query({
        sql: Parameters.format(sql, params, this.dialect),
        rowsAsArray: asArrays,
        ...(isOwn ? plainRows : {})
      })
      : this.wire.execute(what, params.map(Parameters.toSend))
    if (!isText && known === undefined) {
      expects(command, params.length, (expected) => Parameters.miscounted(params.length, expected))
    }
    let isOver = false
    const over = (error?: unknown) => {
      if (isOver) return
      isOver = true
      if (wasOpen || this.status.inTransaction) {
        this.committedImplicitly = error === undefined && !this.status.inTransaction && !byHand.test(sql)
      }
      const next = isServerError(error) && running.wanted
        ? this.insteadOf(statement, error, () => this.wire.unprepare(what))
        : undefined
      if (next === undefined) return ends(error)
      running.answered = false
      running.command = this.send(running, next, results, ends)
    }
    command.on("error", over)
    command.on("end", () => over())
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
      remember(this.unpreparable, statement.sql)
      return { ...statement, isText: true }
    }
    if (statement.isLast) return undefined
    if (isForgotten(error)) unprepare()
    // all connections of the server together may have so many
    else if (isPreparedLimit(error)) this.wire._statements.clear()
    else return undefined
    return { ...statement, isLast: true }
  }
}

/** what the pool and the SQL layer send in transactions; not all servers can prepare it, and none of it has parameters */
const transactional =
  /^(?:(?:SET TRANSACTION ISOLATION LEVEL [A-Z ]+; )?START TRANSACTION(?: READ (?:ONLY|WRITE))?|(?:RELEASE |ROLLBACK TO )?SAVEPOINT \w+)$/

const plainRows = { typeCast: true }

const mostUnpreparable = 1000

const remember = (texts: Set<string>, sql: string): void => {
  if (texts.size >= mostUnpreparable) texts.clear()
  texts.add(sql)
}
