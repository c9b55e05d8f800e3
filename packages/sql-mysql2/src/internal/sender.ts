/**
 * How statements are sent: prepared, which refuses several at once, or as a text. `mysql2` keeps what it has prepared; what
 * the server says about that concerns nobody else.
 */
import type { ServerError } from "./errors.js"
import { ClientError, isForgotten, isPreparedLimit, isServerError, isUnpreparable } from "./errors.js"
import * as Parameters from "./parameters.js"
import type { Results } from "./results.js"
import type { Running } from "./running.js"
import type { Statement } from "./statement.js"
import type { Command, Ear, Event, Status, Wire } from "./wire.js"
import { execute, expects, preparedOn, tells } from "./wire.js"

/** ends a transaction because it says so; others that end one do so by the way */
const byHand = /^(?:\s|\/\*[^]*?\*\/|--\s[^\n]*\n|#[^\n]*\n)*(?:commit|rollback)\b/i

/** of one connection @internal */
export class Sender {
  /** a statement has committed the last transaction as it succeeded */
  committedImplicitly = false

  constructor(
    private readonly wire: Wire,
    readonly status: Status,
    /** statements that cannot be prepared, as all connections of the pool have learned */
    private readonly unpreparable: Set<string>
  ) {}

  /** whether a statement without parameters is better sent as a text at once */
  isKnownAsText(sql: string): boolean {
    return transactional.test(sql) || this.unpreparable.has(sql)
  }

  /** Sends a statement; `ends` is called once, when the whole answer has come. Throws when nothing can be sent. */
  send(running: Running, statement: Statement, results: Results, ends: (error: unknown) => void): Command {
    const { asArrays, isText, params, sql } = statement
    if (typeof sql !== "string" || !Array.isArray(params)) {
      throw new ClientError(new TypeError("a statement is a text and an array of parameters"))
    }
    const prepared = isText ? undefined : preparedOn(this.wire, sql, asArrays)
    if (prepared !== undefined && prepared.parameters.length !== params.length) {
      throw Parameters.miscounted(params.length, prepared.parameters.length)
    }
    const command = isText ? this.wire.query(this.written(statement)) : execute(
      this.wire,
      prepared,
      statement,
      params.map(Parameters.toSend)
    )
    if (!isText && prepared === undefined) {
      expects(command, params.length, (expected) => Parameters.miscounted(params.length, expected))
    }
    tells(command, new Attempt(this, running, statement, results, ends, this.status.inTransaction))
    return command
  }

  /** The whole answer has come: this is the end, unless the server wants it otherwise. */
  over({ ends, results, running, statement, wasOpen }: Attempt, error: unknown): void {
    if (wasOpen || this.status.inTransaction) {
      this.committedImplicitly = error === undefined && !this.status.inTransaction && !byHand.test(statement.sql)
    }
    const next = isServerError(error) && running.wanted ? this.insteadOf(statement, error) : undefined
    if (next === undefined) return ends(error)
    running.answered = false
    running.command = this.send(running, next, results, ends)
  }

  private written({ asArrays, isOwn, params, sql }: Statement): object {
    const dialect = { backslash: this.status.backslash, timezone: this.wire.config.timezone }
    return { sql: Parameters.format(sql, params, dialect), rowsAsArray: asArrays, ...(isOwn ? plainRows : {}) }
  }

  /** what to send when the server has not executed a statement because of how it was sent */
  private insteadOf(statement: Statement, error: ServerError): Statement | undefined {
    if (statement.isText) return undefined
    if (isUnpreparable(error) && statement.params.length === 0) {
      remember(this.unpreparable, statement.sql)
      return statement.asText
    }
    if (statement.isLast) return undefined
    if (isForgotten(error)) this.wire.unprepare(statement.asMysql2)
    // all connections of the server together may have so many
    else if (isPreparedLimit(error)) this.wire._statements.clear()
    else return undefined
    return statement.forTheLastTime
  }
}

/** a statement on its way, in one of the ways that there are */
class Attempt implements Ear {
  private isOver = false

  constructor(
    private readonly sender: Sender,
    readonly running: Running,
    readonly statement: Statement,
    readonly results: Results,
    readonly ends: (error: unknown) => void,
    /** it was sent in a transaction */
    readonly wasOpen: boolean
  ) {}

  hears(event: Event, what: any, index: number | undefined): void {
    switch (event) {
      case "fields":
        return what === undefined ? undefined : this.results.begin()
      case "result":
        // a row comes with the number of its result, an answer without rows comes alone
        if (index !== undefined) return this.results.row(what)
        this.sender.status.learn(what.serverStatus)
        return this.results.header(what)
      case "error":
      case "end":
        if (this.isOver) return
        this.isOver = true
        return this.sender.over(this, what)
    }
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
