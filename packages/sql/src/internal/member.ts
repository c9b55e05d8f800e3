/**
 * What the pool of the SQL layer is a pool of: a driver's connection, and what is known about its use.
 */
import type { Connection } from "@effect/sql/SqlConnection"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Stream from "effect/Stream"
import type { Begin, BeginWith, Driver, DriverConnection, Objection, Submit } from "../Driver.js"
import type { QueryOptions } from "../SqlConnection.js"
import type { SqlPoolConfig } from "../SqlPoolConfig.js"
import type { QueryError } from "../SqlPoolError.js"
import type { Channel, Mode } from "./channel.js"
import { ChannelConnection } from "./channel.js"
import type { Deadlines } from "./deadlines.js"
import { toQueryError } from "./queryError.js"
import { shown } from "./report.js"
import type { Stopwatch } from "./stopwatch.js"
import * as Timeout from "./timeout.js"
import type { Attributes } from "./trace.js"
import { Proof } from "./validation.js"

/** what every statement of one pool has in common @internal */
export interface Dialect {
  readonly name: string
  readonly driver: Driver
  readonly config: SqlPoolConfig
  readonly clock: Clock.Clock
  readonly deadlines: Deadlines
  /** of every span and metric */
  readonly attributes: Attributes
  /** only where somebody measures */
  readonly stopwatch: Stopwatch | undefined
}

/**
 * A holder that goes on while its statement is still running has interrupted it: it is cancelled now, rather than by
 * whoever needs the connection next. Only for those who still hold the lease.
 *
 * @internal
 */
export const abandonUnfinished = ({ connection }: Member): void => {
  if (connection.condition() === "busy") connection.abandon()
}

/** @internal */
export class Member implements Channel {
  /** for single statements, whose lease begins and ends with them: no lock, nobody else is there */
  readonly asConnection: Connection = new ChannelConnection(this)
  readonly proof: Proof
  /** how many statements were sent on it, and the last of them */
  statements = 0
  private latest: string | undefined = undefined

  constructor(readonly dialect: Dialect, readonly connection: DriverConnection) {
    this.proof = new Proof(dialect, connection)
  }

  run(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    options?: QueryOptions
  ): Effect.Effect<any, QueryError> {
    return Effect.mapError(
      this.proof.before("statement", this.send(sql, params, mode, options)),
      (cause) => toQueryError(this.dialect, cause, false)
    )
  }

  /** a single statement that others run theirs beside */
  share(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    options?: QueryOptions
  ): Effect.Effect<any, QueryError> {
    const { connection, dialect, proof } = this
    return Effect.mapError(
      proof.beforeShared(
        this.counted(sql, () => dialect.driver.sharing!.execute(connection, sql, params, mode), options)
      ),
      (cause) => toQueryError(dialect, cause, false)
    )
  }

  /** `run` or `share` by a callback, for those that need neither a validation before nor a bound */
  submit(
    by: { readonly submit?: Submit<DriverConnection> | undefined },
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    unprepared: boolean,
    done: (exit: Exit.Exit<any, QueryError>) => void
  ): () => void {
    this.statements++
    this.latest = sql
    const stop = this.dialect.stopwatch?.start()
    let over = false
    const ends = (exit: Exit.Exit<any, unknown>): void => {
      over = true
      stop?.(exit)
    }
    try {
      const leave = by.submit!(this.connection, sql, params, mode, (exit) => {
        if (over) return
        ends(exit)
        done(this.told(exit))
      }, unprepared)
      return () => {
        ends(Exit.interrupt(FiberId.none))
        leave()
      }
    } catch (defect) {
      ends(Exit.die(defect))
      throw defect
    }
  }

  private told(exit: Exit.Exit<any, unknown>): Exit.Exit<any, QueryError> {
    try {
      return Exit.mapError(exit, (cause) => toQueryError(this.dialect, cause, false))
    } catch (defect) {
      return Exit.die(defect)
    }
  }

  stream(sql: string, params: ReadonlyArray<unknown>, options?: QueryOptions): Stream.Stream<any, QueryError> {
    return Stream.mapError(
      this.proof.beforeStream(this.sendStream(sql, params, options)),
      (cause) => toQueryError(this.dialect, cause, false)
    )
  }

  /** fails with the driver's own error, or `TimedOut` */
  send(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    options?: QueryOptions,
    objection?: Objection
  ): Effect.Effect<any, unknown> {
    return this.counted(
      sql,
      () => this.connection.execute(sql, params, mode, objection, options?.unprepared),
      options
    )
  }

  /** with a statement, or as the driver does it */
  begin(how: string | Begin<DriverConnection>): Effect.Effect<unknown, unknown> {
    return typeof how === "string" ? this.send(how, [], "object") : this.counted("BEGIN", () => how(this.connection))
  }

  /** with the first statement of the transaction, or by itself */
  beginWith(
    begin: BeginWith<DriverConnection>,
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    options: QueryOptions | undefined,
    objection: Objection
  ): Effect.Effect<any, unknown> {
    return this.proof.after(
      "transaction",
      this.counted(
        sql === "" ? "BEGIN" : sql,
        () => begin.statement(this.connection, sql, params, mode, objection, options?.unprepared),
        options
      )
    )
  }

  private counted<A>(
    sql: string,
    statement: () => Effect.Effect<A, unknown>,
    options?: QueryOptions
  ): Effect.Effect<A, unknown> {
    return Effect.withFiberRuntime((fiber) => {
      this.statements++
      this.latest = sql
      const bounded = Timeout.bound(this.dialect, fiber, options, statement())
      return this.dialect.stopwatch === undefined ? bounded : this.dialect.stopwatch.effect(bounded)
    })
  }

  /** for reports: what its holder does with it, or did last */
  get activity(): string | undefined {
    if (this.latest === undefined) return undefined
    const statement = JSON.stringify(shown(this.dialect.driver, this.latest))
    return this.connection.condition() === "busy" ? `running ${statement}` : `last ran ${statement}`
  }

  sendStream(
    sql: string,
    params: ReadonlyArray<unknown>,
    options?: QueryOptions,
    objection?: Objection
  ): Stream.Stream<any, unknown> {
    return Stream.unwrap(Effect.withFiberRuntime((fiber) => {
      this.statements++
      this.latest = sql
      const rows = Timeout.boundStream(this.dialect, fiber, options, this.connection.stream(sql, params, objection))
      return Effect.succeed(this.dialect.stopwatch === undefined ? rows : this.dialect.stopwatch.stream(rows))
    }))
  }
}
