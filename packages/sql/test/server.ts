/**
 * A database that exists only here, and does what it was told to: it answers, refuses, says nothing, or dies. It keeps
 * what was inserted, in transactions and savepoints as a real one does, and writes down everything that was sent to it.
 */
import type * as Driver from "@dbpool/sql/Driver"
import type { StatementReason } from "@dbpool/sql/StatementError"
import * as Statement from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export class FakeError extends Error {
  constructor(readonly failure: Driver.Failure, message: string) {
    super(message)
  }
}

const refusal = (reason: StatementReason, constraint?: string) =>
  new FakeError({ _tag: "refused", reason, code: "FAKE", constraint }, `refused: ${reason}`)

const gone = (_tag: "lost" | "unsent") => new FakeError({ _tag }, `the connection is ${_tag}`)

/** what becomes of a statement */
export type Answer =
  | { readonly _tag: "rows"; readonly rows: ReadonlyArray<any> }
  /**
   * `undone`: the whole transaction is, as MySQL does with the victim of a deadlock; `goesOn`: the statement alone is, as
   * MySQL does with all else
   */
  | {
    readonly _tag: "refuse"
    readonly reason: StatementReason
    readonly constraint?: string
    readonly undone?: boolean
    readonly goesOn?: boolean
  }
  /** the connection dies while it runs, or before the server looked at it */
  | { readonly _tag: "die"; readonly how: "lost" | "unsent" }
  /** runs until it is cancelled or the test says so */
  | { readonly _tag: "hang" }
  /** runs until the connection is destroyed */
  | { readonly _tag: "deaf" }

export const refuse = (reason: StatementReason, constraint?: string): Answer => ({
  _tag: "refuse",
  reason,
  ...(constraint === undefined ? {} : { constraint })
})
export const rows = (...rows: ReadonlyArray<any>): Answer => ({ _tag: "rows", rows })
export const lose: Answer = { _tag: "die", how: "lost" }
export const unsent: Answer = { _tag: "die", how: "unsent" }
export const hang: Answer = { _tag: "hang" }
export const deaf: Answer = { _tag: "deaf" }

export class FakeServer {
  readonly connections: Array<FakeConnection> = []
  /** what was sent, in order: `1: BEGIN` */
  readonly log: Array<string> = []
  /** which connections were validated, in order */
  readonly validated: Array<number> = []
  /** which statements were cancelled */
  readonly cancels: Array<string> = []
  /** which statements were to leave nothing behind */
  readonly unprepared: Array<string> = []
  /** what is committed */
  data: Array<string> = []
  /** what it refuses for this reason while connecting, it always will */
  fatal: StatementReason | undefined = undefined
  /** after so many rows of a stream the connection is gone, or no more come */
  unsentAfter = Infinity
  silentAfter = Infinity
  /** connects take for ever */
  unreachable = false
  private readonly script: Array<{ readonly sql: string; readonly answer: Answer; times: number }> = []

  /** `sharedBy`: how many statements may be under way on one connection */
  constructor(readonly name = "", sharedBy?: number) {
    if (sharedBy === undefined) return
    this.driver = {
      ...this.driver,
      sharing: {
        maxLeases: sharedBy,
        allows: (sql) => /^(select|insert)\b/.test(sql),
        execute: (connection, sql) => connection.share(sql),
        submit: (connection, sql, _params, _mode, done) => connection.shareBy(sql, done),
        accepts: ({ together }) => together.every(({ wanted }) => wanted)
      }
    }
  }

  /** its transactions begin with their first statement, in one go */
  beginsLate(): this {
    const { begin } = this.driver
    this.driver = {
      ...this.driver,
      begin: (options) => ({
        statement: (connection, sql, params, mode, objection, unprepared) => {
          const first = connection.execute(begin!(options) as string, [], "raw", objection)
          return sql === ""
            ? first
            : Effect.zipRight(first, connection.execute(sql, params, mode, undefined, unprepared))
        }
      })
    }
    return this
  }

  /** from now on, or for so many times, statements that begin like that are answered like this */
  on(sql: string, answer: Answer, times = Infinity): void {
    this.script.unshift({ sql, answer, times })
  }

  answerTo(sql: string): Answer {
    const line = this.script.find((line) => line.times > 0 && sql.startsWith(line.sql))
    if (line === undefined) return rows({ sql })
    line.times--
    return line.answer
  }

  /** the statements of one connection, without its number */
  sentOn(id: number): ReadonlyArray<string> {
    const prefix = `${this.name}${id}: `
    return this.log.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length))
  }

  get last(): FakeConnection {
    return this.connections[this.connections.length - 1]!
  }

  driver: Driver.Driver<FakeConnection> = {
    connect: Effect.acquireRelease(
      Effect.suspend((): Effect.Effect<FakeConnection> => {
        if (this.unreachable) return Effect.interruptible(Effect.never)
        const connection = new FakeConnection(this, this.connections.length + 1)
        this.connections.push(connection)
        return Effect.succeed(connection)
      }),
      (connection) => Effect.sync(() => connection.close())
    ) as Effect.Effect<FakeConnection, unknown, Scope.Scope>,
    connectFault: (error) =>
      error instanceof FakeError && error.failure._tag === "refused" && error.failure.reason === this.fatal
        ? "fatal"
        : "transient",
    classify: (error) => error instanceof FakeError ? error.failure : { _tag: "lost" },
    compiler: Statement.makeCompilerSqlite(),
    transformRows: undefined,
    spanAttributes: [["db.system.name", "fake"]],
    begin: ({ accessMode, isolation }) =>
      ["BEGIN", isolation, accessMode].filter((word) => word !== undefined).join(" "),
    transactionOptions: ["isolation", "accessMode"],
    submit: (connection, sql, _params, _mode, done, unprepared) => connection.submit(sql, undefined, unprepared, done)
  }
}

type Done = (exit: Exit.Exit<any, unknown>) => void

/** a statement beside others; they are answered in order */
interface Together {
  wanted: boolean
  readonly sql: string
  readonly answer: Answer
  readonly done: Running["done"]
}

interface Running {
  cancelled: boolean
  readonly sql: string
  readonly answer: Answer
  readonly done: (error: unknown, rows: ReadonlyArray<any>) => void
}

export class FakeConnection implements Driver.DriverConnection {
  status: "none" | "open" | "failed" = "none"
  broken: unknown = undefined
  /** the server has forgotten it, or the network lost it on the way, and nobody has noticed yet */
  stale = false
  mute = false
  private implicit = false
  /** what SET has set in the session */
  readonly settings = new Set<string>()
  closed = 0
  running: Running | undefined = undefined
  together: Array<Together> = []
  private written: Array<string> = []
  private savepoints: Array<{ readonly name: string; readonly written: ReadonlyArray<string> }> = []
  private lost: ((cause: unknown) => void) | undefined = undefined
  private readonly onChange = new Set<() => void>()

  constructor(readonly server: FakeServer, readonly id: number) {}

  // ------------------------------------------------------------------ what the tests do to it

  /** the server ends what runs, as if it had finished */
  finish(): void {
    if (this.together.length > 0) this.answer(rows())
    else this.complete(rows())
  }

  die(how: "lost" | "unsent" = "lost"): void {
    if (this.broken !== undefined) return
    this.broken = gone(how)
    const { running } = this
    this.running = undefined
    this.lost?.(this.broken)
    running?.done(this.broken, [])
    for (const { done } of this.together.splice(0)) done(this.broken, [])
    this.changed()
  }

  // ------------------------------------------------------------------ DriverConnection

  execute(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: string,
    objection?: Driver.Objection,
    unprepared = false
  ): Effect.Effect<any, unknown> {
    return Effect.async<any, unknown>((resume) => {
      if (this.running !== undefined && this.refuses(objection) === undefined) {
        return resume(Effect.zipRight(this.cancel, this.execute(sql, params, mode, objection, unprepared)))
      }
      const leave = this.submit(sql, objection, unprepared, resume)
      return Effect.sync(leave)
    })
  }

  private refuses(objection: Driver.Objection | undefined): unknown {
    return objection?.() ?? (this.broken === undefined ? undefined : gone("unsent"))
  }

  /** only while nothing is running, as after a hand-off */
  submit(sql: string, objection: Driver.Objection | undefined, unprepared = false, done: Done): () => void {
    const refused = this.refuses(objection)
    if (refused !== undefined) {
      done(Exit.fail(refused))
      return () => {}
    }
    if (unprepared) this.server.unprepared.push(sql)
    this.start(sql, (error, rows) => done(error === undefined ? Exit.succeed(rows) : Exit.fail(error)))
    return () => {}
  }

  stream(sql: string, params: ReadonlyArray<unknown>, objection?: Driver.Objection): Stream.Stream<any, unknown> {
    const end = Effect.sync(() => this.server.log.push(`${this.server.name}${this.id}: end of ${sql}`))
    return Stream.unwrapScoped(Effect.map(
      Effect.zipLeft(this.execute(sql, params, "object", objection), Effect.addFinalizer(() => end)),
      (rows) => Stream.rechunk(this.cut(rows), 1)
    ))
  }

  private cut(rows: ReadonlyArray<any>): Stream.Stream<any, unknown> {
    const { silentAfter, unsentAfter } = this.server
    const first = Stream.fromIterable(rows.slice(0, Math.min(silentAfter, unsentAfter)))
    if (rows.length > unsentAfter) return Stream.concat(first, Stream.fail(gone("unsent")))
    return rows.length > silentAfter ? Stream.concat(first, Stream.never) : first
  }

  readonly commit: Effect.Effect<"committed" | "rolledBack", unknown> = Effect.suspend(() => {
    const outcome = this.status === "open" ? "committed" : "rolledBack"
    return Effect.as(this.execute("COMMIT", [], "raw"), outcome)
  })

  readonly rollback: Effect.Effect<void, unknown> = Effect.suspend(() => this.execute("ROLLBACK", [], "raw"))

  readonly resetSession: Effect.Effect<void, unknown> = Effect.suspend(() => this.execute("RESET", [], "raw"))

  share(sql: string): Effect.Effect<ReadonlyArray<any>, unknown> {
    return Effect.async<ReadonlyArray<any>, unknown>((resume) => {
      const leave = this.shareBy(sql, resume)
      return Effect.sync(leave)
    })
  }

  shareBy(sql: string, done: Done): () => void {
    if (this.broken !== undefined) {
      done(Exit.fail(gone("unsent")))
      return () => {}
    }
    this.server.log.push(`${this.server.name}${this.id}: ${sql}`)
    const statement: Together = {
      wanted: true,
      sql,
      answer: this.server.answerTo(sql),
      done: (error, rows) => done(error === undefined ? Exit.succeed(rows) : Exit.fail(error))
    }
    if (this.together.push(statement) === 1) this.goOn()
    return () => {
      statement.wanted = false
    }
  }

  abandon(): void {
    for (const { sql } of this.together) this.server.cancels.push(`${this.server.name}${this.id}: ${sql}`)
    while (this.together.length > 0) this.answer(refuse("Cancelled"))
    const { running } = this
    if (running === undefined || running.cancelled || ["COMMIT", "ROLLBACK", "RESET"].includes(running.sql)) return
    running.cancelled = true
    this.server.cancels.push(`${this.server.name}${this.id}: ${running.sql}`)
    if (running.answer._tag === "hang") {
      queueMicrotask(() => this.running === running && this.complete(refuse("Cancelled")))
    }
  }

  readonly cancel: Effect.Effect<void, unknown> = Effect.suspend(() => {
    this.abandon()
    return Effect.async<void, unknown>((resume) => {
      const look = () => {
        if (this.broken !== undefined) resume(Effect.fail(this.broken))
        else if (this.running === undefined && this.together.length === 0) resume(Effect.void)
        else this.onChange.add(look)
      }
      look()
    })
  })

  readonly validate: Effect.Effect<void, unknown> = Effect.suspend(() => {
    this.server.validated.push(this.id)
    if (this.mute) return Effect.never
    return this.broken === undefined && !this.stale ? Effect.void : Effect.fail(gone("lost"))
  })

  condition() {
    if (this.broken !== undefined) return "broken"
    if (this.running !== undefined || this.together.length > 0) return "busy"
    return this.status === "none" ? "clean" : "dirty"
  }

  transactionStatus() {
    return this.status
  }

  committedImplicitly(): boolean {
    return this.implicit
  }

  onLost(listener: (cause: unknown) => void): void {
    this.lost = listener
  }

  destroy(): void {
    this.die()
  }

  close(): void {
    this.closed++
    this.die()
  }

  // ------------------------------------------------------------------ the server's side of it

  private start(sql: string, done: Running["done"]): void {
    this.server.log.push(`${this.server.name}${this.id}: ${sql}`)
    const running: Running = { cancelled: false, sql, answer: this.server.answerTo(sql), done }
    this.running = running
    if (running.answer._tag === "hang" || running.answer._tag === "deaf") return
    queueMicrotask(() => this.running === running && this.complete(running.answer))
  }

  /** the first of those that were sent together is under way */
  private goOn(): void {
    const [first] = this.together
    if (first === undefined || first.answer._tag === "hang" || first.answer._tag === "deaf") return
    queueMicrotask(() => this.together[0] === first && this.answer(first.answer))
  }

  private answer(answer: Answer): void {
    if (answer._tag === "die") return this.die(answer.how)
    const { done, sql } = this.together.shift()!
    const error = answer._tag === "refuse" ? refusal(answer.reason, answer.constraint) : this.apply(sql)
    done(error, answer._tag === "rows" ? answer.rows : [])
    this.goOn()
    this.changed()
  }

  private complete(answer: Answer): void {
    const { running } = this
    if (running === undefined) return
    if (answer._tag === "die") return this.die(answer.how)
    const error = answer._tag === "refuse" ? refusal(answer.reason, answer.constraint) : this.apply(running.sql)
    if (error !== undefined) {
      if (running.sql === "COMMIT" || (answer._tag === "refuse" && answer.undone === true)) this.leave([])
      else if (this.status === "open" && !(answer._tag === "refuse" && answer.goesOn === true)) this.status = "failed"
    }
    this.running = undefined
    running.done(error, answer._tag === "rows" ? answer.rows : [])
    this.changed()
  }

  private apply(sql: string): FakeError | undefined {
    const [word, ...rest] = sql.split(" ")
    const name = rest[rest.length - 1]
    const at = this.savepoints.findIndex((savepoint) => savepoint.name === name)
    if (sql.startsWith("ROLLBACK TO SAVEPOINT")) {
      if (at < 0) return refusal("Syntax")
      this.written = [...this.savepoints[at]!.written]
      this.savepoints.length = at + 1
      this.status = "open"
    } else if (word === "ROLLBACK") this.leave([])
    else if (word === "COMMIT") this.leave(this.status === "open" ? this.written : [])
    else if (this.status === "failed") return refusal("Unknown")
    else if (word === "BEGIN") {
      this.status = "open"
      this.implicit = false
    } else if (word === "create") {
      this.implicit = this.status === "open"
      this.leave(this.written)
    } else if (word === "SAVEPOINT") {
      if (this.status === "none") return refusal("Syntax")
      this.savepoints.push({ name: name!, written: [...this.written] })
    } else if (word === "RELEASE") {
      if (at < 0) return refusal("Syntax")
      this.savepoints.length = at
    } else if (word === "SET") this.settings.add(name!)
    else if (word === "RESET") this.settings.clear()
    else if (word === "insert") {
      if (this.status === "none") this.server.data.push(name!)
      else this.written.push(name!)
    }
    return undefined
  }

  private leave(kept: ReadonlyArray<string>): void {
    this.server.data = [...this.server.data, ...kept]
    this.written = []
    this.savepoints = []
    this.status = "none"
  }

  private changed(): void {
    const listeners = [...this.onChange]
    this.onChange.clear()
    for (const listener of listeners) listener()
  }
}
