/**
 * One `pg.Client` as a driver connection.
 *
 * A statement is over when the server has said ReadyForQuery, whatever it said before: only then is the transaction
 * status known and the next statement safe. `ready` is true exactly between those.
 */
import type * as Pool from "@dbpool/core/Pool"
import type { DriverConnection } from "@dbpool/sql/Driver"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import pg from "pg"
import { requestCancel } from "./cancel.js"
import * as cursor from "./cursor.js"
import { isFatal, Unsent } from "./errors.js"

/** what `pg` does not declare: the protocol underneath a client */
interface Wire {
  readonly stream: import("node:net").Socket
  readonly on: (event: "readyForQuery", listener: () => void) => void
}

type Done = (error: unknown, result: any) => void

/** @internal */
export class PgConnection implements DriverConnection {
  readonly client: pg.Client
  ready = false
  private broken: { readonly cause: unknown } | undefined = undefined
  private lost: ((cause: unknown) => void) | undefined = undefined
  /** what is to happen at the next ReadyForQuery, or when the connection breaks instead */
  private pending: Done | undefined = undefined
  private outcome: { readonly error: unknown; readonly result: any } | undefined = undefined
  private readonly whenReady = new Set<() => void>()

  constructor(config: pg.ClientConfig) {
    this.client = new pg.Client(config)
    // without a listener the error of an idle socket ends the process
    this.client.on("error", (cause) => this.breaks(cause))
    this.client.on("end", () => this.breaks(new Error("the server closed the connection")))
  }

  private get wire(): Wire {
    return (this.client as unknown as { readonly connection: Wire }).connection
  }

  /** opens it; interrupting that leaves the socket to `close` */
  get dial(): Effect.Effect<void, unknown> {
    return Effect.async<void, unknown>((resume) => {
      this.client.connect((error: unknown) => {
        if (error !== null && error !== undefined) return resume(Effect.fail(error))
        this.wire.on("readyForQuery", () => this.isReady())
        this.ready = true
        resume(Effect.void)
      })
    })
  }

  /** says goodbye if there is somebody to say it to; a statement still running is cancelled first, or it would run on */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.broken !== undefined) return Effect.void
      if (this.ready) {
        return Effect.async<void>((resume) => {
          this.client.once("end", () => resume(Effect.void))
          this.client.end().catch(() => this.destroy())
        })
      }
      const cancelled = this.client.getTransactionStatus() === null ? Effect.void : Effect.ignore(this.requestCancel)
      return Effect.zipRight(cancelled, Effect.sync(() => this.destroy()))
    })
  }

  destroy(): void {
    this.wire.stream.destroy()
    this.breaks(new Error("the connection was destroyed"))
  }

  onLost(listener: (cause: unknown) => void): void {
    this.lost = listener
    if (this.broken !== undefined) listener(this.broken.cause)
  }

  condition(): Pool.Condition {
    if (this.broken !== undefined) return "broken"
    if (!this.ready) return "busy"
    return this.client.getTransactionStatus() === "I" ? "clean" : "dirty"
  }

  transactionStatus(): "none" | "open" | "failed" {
    const status = this.client.getTransactionStatus()
    return status === "T" ? "open" : status === "E" ? "failed" : "none"
  }

  execute(sql: string, params: ReadonlyArray<unknown>, mode: "object" | "array" | "raw"): Effect.Effect<any, unknown> {
    const run = Effect.async<any, unknown>((resume) => {
      this.submit(
        sql,
        params,
        mode,
        (error, result) => resume(error === undefined ? Effect.succeed(result) : Effect.fail(error))
      )
    })
    return Effect.suspend(() => this.ready || this.broken !== undefined ? run : Effect.zipRight(this.cancel, run))
  }

  stream(sql: string, params: ReadonlyArray<unknown>): Stream.Stream<any, unknown> {
    return cursor.stream(this, sql, params)
  }

  readonly validate: Effect.Effect<void, unknown> = Effect.suspend(() => Effect.asVoid(this.execute("", [], "raw")))

  readonly reset: Effect.Effect<void, unknown> = Effect.suspend(() =>
    this.transactionStatus() === "none" ? Effect.void : Effect.asVoid(this.execute("ROLLBACK", [], "raw"))
  )

  readonly commit: Effect.Effect<"committed" | "rolledBack", unknown> = Effect.suspend(() =>
    Effect.map(
      this.execute("COMMIT", [], "raw"),
      (result: pg.QueryResult) => result.command === "COMMIT" ? "committed" : "rolledBack"
    )
  )

  /**
   * A cancel names the connection, not the statement, and travels on a socket of its own: it may arrive when the next
   * statement is already running. So both its end and the statement's are waited for.
   */
  readonly cancel: Effect.Effect<void, unknown> = Effect.suspend(() =>
    this.ready ? Effect.void : Effect.zipRight(this.requestCancel, this.untilReady)
  )

  private get requestCancel(): Effect.Effect<void, unknown> {
    return requestCancel(this.client, this.wire.stream)
  }

  /** waits for ReadyForQuery */
  get untilReady(): Effect.Effect<void, unknown> {
    return Effect.async<void, unknown>((resume) => {
      if (this.broken !== undefined) return resume(Effect.fail(this.broken.cause))
      if (this.ready) return resume(Effect.void)
      const listener = () => resume(this.broken === undefined ? Effect.void : Effect.fail(this.broken.cause))
      this.whenReady.add(listener)
      return Effect.sync(() => this.whenReady.delete(listener))
    })
  }

  /** hands something to the client; from here on the connection is busy */
  begin(query: pg.Submittable): void {
    this.ready = false
    this.client.query(query)
  }

  private submit(sql: string, params: ReadonlyArray<unknown>, mode: "object" | "array" | "raw", done: Done): void {
    if (this.broken !== undefined) return done(new Unsent(messageOf(this.broken.cause)), undefined)
    this.ready = false
    this.pending = done
    this.outcome = undefined
    const query = {
      text: sql,
      values: params as Array<unknown>,
      ...(mode === "array" ? { rowMode: "array" as const } : {})
    }
    this.client.query(query as pg.QueryConfig, (error: unknown, result: any) => {
      const failed = error !== null && error !== undefined
      this.outcome ??= { error: failed ? error : undefined, result: failed ? undefined : shape(result, mode) }
      if (failed && isFatal(error)) this.breaks(error)
      else if (this.broken !== undefined) this.settle()
    })
  }

  private isReady(): void {
    this.ready = true
    this.settle()
    for (const listener of this.whenReady) listener()
    this.whenReady.clear()
  }

  private settle(): void {
    const { outcome, pending } = this
    if (pending === undefined) return
    this.pending = undefined
    this.outcome = undefined
    pending(outcome === undefined ? this.broken?.cause : outcome.error, outcome?.result)
  }

  private breaks(cause: unknown): void {
    if (this.broken !== undefined) return
    this.broken = { cause }
    this.lost?.(cause)
    this.settle()
    for (const listener of this.whenReady) listener()
    this.whenReady.clear()
  }
}

const messageOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

/** several statements in one text have several results */
const shape = (result: any, mode: "object" | "array" | "raw"): any =>
  mode === "raw" ? result : Array.isArray(result) ? result.map((each) => each.rows ?? []) : result.rows ?? []

/** @internal */
export const connect = (config: pg.ClientConfig): Effect.Effect<PgConnection, unknown, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({ try: () => new PgConnection(config), catch: (error) => error }),
    (connection) => connection.close
  ).pipe(Effect.tap((connection) => connection.dial))
