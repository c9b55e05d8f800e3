/**
 * An Avatica connection, and the socket it is bound to, as a driver connection.
 *
 * What it is asked for takes several requests, and becomes a job: at most one at a time, which goes on when its caller is
 * interrupted, since the protocol can cancel nothing, but then sends only what is left to tidy up. Closing a statement
 * that has ended is done after the answer was handed out (`tidying`); it keeps nobody, and the next job waits for it.
 */
import type * as Pool from "@dbpool/core/Pool"
import type { DriverConnection, Objection } from "@dbpool/sql/Driver"
import type { TransactionOptions } from "@dbpool/sql/Transaction"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Crypto from "node:crypto"
import { AvaticaError, AvaticaProtocolError } from "../AvaticaError.js"
import { Abandoned, isFatal, isForgotten, isRefusedLogin, Unsent } from "./errors.js"
import { Line } from "./line.js"
import type { Target } from "./line.js"
import * as rpc from "./rpc.js"
import type { Calls, ConnectionProperties, Request, Response } from "./schema.js"
import type { Mode } from "./statement.js"
import * as statement from "./statement.js"
import * as stream from "./stream.js"
import { Transaction } from "./transaction.js"

/** what the server is told when a connection is opened @internal */
export type Login = Readonly<Record<string, string>>

/** @internal */
export interface Options<R = never> {
  readonly target: Target
  /** asked for every connection */
  readonly login: Effect.Effect<Login, unknown, R>
  /** the next answer of `login` may be another */
  readonly rotates: boolean
  readonly frameSize: number
  /** how long after its last use the server may forget a connection, in milliseconds */
  readonly serverExpiry: number
}

/** What occupies the connection; unwanted once nobody waits for it. @internal */
export interface Job {
  wanted: boolean
}

/** the server looks the connection up before it does anything: if it finds none, it has done nothing */
const lookingUp = new Set<keyof Calls>([
  "CreateStatement",
  "Prepare",
  "ConnectionSync",
  "Tables",
  "Columns",
  "Commit",
  "Rollback"
])

/** these execute nothing, whatever becomes of them */
const harmless = new Set<keyof Calls>(["CreateStatement", "Prepare", "ConnectionSync", "Tables", "Columns"])

/** how long the goodbye of a connection may take that could not be opened, in milliseconds of the live clock */
const unopened = 1000

/** @internal */
export class AvaticaConnection implements DriverConnection {
  /** chosen by us; a session that is reset gets a new one */
  connectionId = ""
  private readonly line: Line
  /** says goodbye when the line cannot */
  private second: Line | undefined = undefined
  private job: Job | undefined = undefined
  private tidying: Promise<void> | undefined = undefined
  /** the server may hold something under our id */
  private known = false
  private closing = false
  private broken: { readonly cause: unknown } | undefined = undefined
  private lost: ((cause: unknown) => void) | undefined = undefined
  private readonly transaction = new Transaction(this)
  /** as the server opened it */
  opened: ConnectionProperties | undefined = undefined
  /** when the server last took note that the connection is in use; by the live clock, as the server's */
  private refreshedAt = 0
  private login: Login = {}
  private readonly onChange = new Set<() => void>()

  constructor(readonly options: Omit<Options, "login">) {
    this.line = new Line(options.target, (cause) => this.breaks(cause))
  }

  /** interrupting it leaves what was begun to `close` */
  dial<R>(login: Effect.Effect<Login, unknown, R>): Effect.Effect<void, unknown, R> {
    const attempt = Effect.flatMap(login, (login) => {
      this.login = login
      return Effect.tryPromise({ try: () => this.open(), catch: (error) => error })
    })
    return this.options.rotates ? Effect.catchIf(attempt, isRefusedLogin, () => attempt) : attempt
  }

  private async open(): Promise<void> {
    await this.line.opened
    this.connectionId = Crypto.randomUUID()
    this.known = true
    try {
      await rpc.call(this.line, "OpenConnection", {
        connectionId: this.connectionId,
        info: Object.entries(this.login).map(([key, value]) => ({ key, value }))
      })
    } catch (cause) {
      if (cause instanceof AvaticaError) this.known = false
      throw cause
    }
    try {
      this.opened = await this.sync({ autoCommit: true, hasAutoCommit: true })
    } catch (cause) {
      throw cause instanceof Unsent && isForgotten(cause.cause)
        ? new AvaticaProtocolError({
          request: "ConnectionSync",
          status: 500,
          problem: "the connection that was just opened is unknown; does a load balancer send each request elsewhere?"
        })
        : cause
    }
  }

  /** The server keeps what it is not told to close until it expires, locks included: so it is told, by a second socket. */
  get close(): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      this.closing = true
      if (this.job !== undefined) this.job.wanted = false
      // what never was open the pool does not know, and cannot destroy
      const timer = this.opened === undefined ? setTimeout(() => this.destroy(), unopened) : undefined
      this.goodbye().catch(() => {}).then(() => {
        clearTimeout(timer)
        this.destroy()
        resume(Effect.void)
      })
    })
  }

  private async goodbye(): Promise<void> {
    await this.tidying
    if (!this.known) return
    const line = this.broken === undefined && this.job === undefined ? this.line : this.replacement()
    await rpc.call(line, "CloseConnection", { connectionId: this.connectionId })
  }

  private replacement(): Line {
    return this.second = new Line(this.options.target, () => {})
  }

  destroy(): void {
    this.second?.destroy()
    this.breaks(new Error("the connection was destroyed"))
  }

  onLost(listener: (cause: unknown) => void): void {
    this.lost = listener
    if (this.broken !== undefined) listener(this.broken.cause)
  }

  breaks(cause: unknown): void {
    if (this.broken !== undefined) return
    this.broken = { cause }
    if (isForgotten(cause)) this.known = false
    this.line.destroy()
    this.lost?.(cause)
    this.changed()
  }

  condition(): Pool.Condition {
    if (this.broken !== undefined) return "broken"
    if (this.job !== undefined) return "busy"
    return this.transaction.isOpen ? "dirty" : "clean"
  }

  transactionStatus(): "none" | "open" {
    return this.transaction.isOpen ? "open" : "none"
  }

  private changed(): void {
    const listeners = [...this.onChange]
    this.onChange.clear()
    for (const listener of listeners) listener()
  }

  private get untilFree(): Effect.Effect<void, unknown> {
    return Effect.async<void, unknown>((resume) => {
      const look = () => {
        if (this.broken !== undefined) resume(Effect.fail(this.broken.cause))
        else if (this.job === undefined) resume(Effect.void)
        else this.onChange.add(look)
      }
      look()
      return Effect.sync(() => this.onChange.delete(look))
    })
  }

  /** there is no cancel in the protocol: what has been sent is waited for, and nothing more is sent */
  abandon(): void {
    if (this.job !== undefined) this.job.wanted = false
  }

  readonly cancel: Effect.Effect<void, unknown> = Effect.suspend(() => {
    this.abandon()
    return this.untilFree
  })

  /** why nothing can be sent, if so */
  refuses(objection: Objection | undefined): unknown {
    const objected = objection?.()
    if (objected !== undefined) return objected
    if (this.broken !== undefined) return new Unsent(this.broken.cause)
    return this.closing ? new Unsent(new Error("the pool is closing the connection")) : undefined
  }

  /** whoever goes on after waiting asks again, in the step in which it sends */
  check(job: Job, objection?: Objection): void {
    const refusal = job.wanted ? this.refuses(objection) : new Abandoned()
    if (refusal !== undefined) throw refusal
  }

  /** Takes the connection, once it is free, until `leave`. Only the waiting, by `restore`, may be interrupted. */
  occupy(
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>,
    objection?: Objection
  ): Effect.Effect<Job, unknown> {
    return Effect.suspend(() => {
      const refusal = this.refuses(objection)
      if (refusal !== undefined) return Effect.fail(refusal)
      if (this.job !== undefined) return Effect.zipRight(restore(this.untilFree), this.occupy(restore, objection))
      return Effect.succeed(this.job = { wanted: true })
    })
  }

  leave(): void {
    this.job = undefined
    this.changed()
  }

  private run<A>(work: (job: Job) => Promise<A>, objection?: Objection): Effect.Effect<A, unknown> {
    return Effect.async<A, unknown>((resume) => {
      const refusal = this.refuses(objection)
      if (refusal !== undefined) return resume(Effect.fail(refusal))
      if (this.job !== undefined) return resume(Effect.zipRight(this.untilFree, this.run(work, objection)))
      const job: Job = this.job = { wanted: true }
      work(job).then(Effect.succeed, Effect.fail).then(async (outcome) => {
        // so that nothing can come between the last statement and the COMMIT
        if (this.transaction.isOpen) await this.tidying
        this.leave()
        resume(outcome)
      })
      return Effect.sync(() => {
        job.wanted = false
      })
    })
  }

  /** a job of the pool's, which objects to nothing */
  private request<A>(work: () => Promise<A>): Effect.Effect<A, unknown> {
    return Effect.suspend(() =>
      this.run(async (job) => {
        await this.begins(job)
        return work()
      })
    )
  }

  /** what comes before every first request of a job */
  async begins(job: Job, objection?: Objection): Promise<void> {
    await this.tidying
    this.check(job, objection)
  }

  /** `work` is done after its job, and before the next */
  tidy(work: () => Promise<unknown>): void {
    if (this.broken !== undefined) return
    const tidying: Promise<void> = work().then(() => {}, () => {}).then(() => {
      if (this.tidying === tidying) this.tidying = undefined
    })
    this.tidying = tidying
  }

  /** One request of a job, or of the tidying after it. */
  async call<K extends keyof Calls>(name: K, request: Omit<Request<K>, "connectionId">): Promise<Response<K>> {
    if (this.broken !== undefined) throw new Unsent(this.broken.cause)
    try {
      const response = await rpc.call(this.line, name, { ...request, connectionId: this.connectionId } as Request<K>)
      if (lookingUp.has(name)) this.refreshedAt = performance.now()
      return response
    } catch (cause) {
      if (!isFatal(cause)) throw cause
      this.breaks(cause)
      throw harmless.has(name) || (isForgotten(cause) && lookingUp.has(name)) ? new Unsent(cause) : cause
    }
  }

  /** what came as an answer is none: nothing about the connection is certain any more */
  puzzled(request: keyof Calls, problem: string): AvaticaProtocolError {
    const error = new AvaticaProtocolError({ request, status: 200, problem })
    this.breaks(error)
    return error
  }

  /** fetching goes by the statement alone: the server does not notice that its connection is in use */
  async refresh(): Promise<void> {
    if (performance.now() - this.refreshedAt > this.options.serverExpiry / 4) await this.sync({})
  }

  /** changes what is set, and nothing if nothing is: then it is the ping that also tells the server of our being there */
  async sync(properties: Partial<ConnectionProperties>): Promise<ConnectionProperties | undefined> {
    const answer = await this.call("ConnectionSync", { properties: properties as ConnectionProperties })
    return answer.properties
  }

  execute(sql: string, params: ReadonlyArray<unknown>, mode: Mode, objection?: Objection): Effect.Effect<any, unknown> {
    return this.run((job) => statement.execute(this, job, sql, params, mode, objection), objection)
  }

  stream(sql: string, params: ReadonlyArray<unknown>, objection?: Objection): Stream.Stream<any, unknown> {
    return stream.make(this, sql, params, objection)
  }

  readonly validate: Effect.Effect<void, unknown> = this.request(() => this.sync({}).then(() => {}))

  begin(options: TransactionOptions): Effect.Effect<void, unknown> {
    return this.request(() => this.transaction.begin(options))
  }

  readonly commit: Effect.Effect<"committed" | "rolledBack", unknown> = this.request(() => this.transaction.commit())

  readonly rollback: Effect.Effect<void, unknown> = this.request(() => this.transaction.rollback())

  /** a session is forgotten by ending it: the next one takes its place, on the same socket */
  readonly resetSession: Effect.Effect<void, unknown> = this.request(async () => {
    try {
      await this.call("CloseConnection", {})
      await this.open()
    } catch (cause) {
      this.breaks(cause)
      throw cause
    }
  })
}

/** @internal */
export const connect = <R>(options: Options<R>): Effect.Effect<AvaticaConnection, unknown, R | Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new AvaticaConnection(options)),
    (connection) => connection.close
  ).pipe(Effect.tap((connection) => connection.dial(options.login)))
