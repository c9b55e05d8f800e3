/**
 * One `pg.Client` as a driver connection.
 *
 * A statement is over when the server has said ReadyForQuery, whatever it said before: only then is the transaction
 * status known and the next statement safe. `ready` is true exactly between those.
 */
import type * as Pool from "@dbpool/core/Pool"
import type { DriverConnection, Objection } from "@dbpool/sql/Driver"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Socket } from "node:net"
import pg from "pg"
import { Canceller } from "./cancel.js"
import * as cursor from "./cursor.js"
import { ClientError, isFatal, isServerError, Unsent } from "./errors.js"

/** what `pg` does not declare: the protocol underneath a client */
interface Wire {
  readonly stream: Socket
  readonly on: (event: "readyForQuery", listener: () => void) => void
}

type Mode = "object" | "array" | "raw"

type Done = (error: unknown, result: any) => void

/** the first pause before a cancel is repeated */
const missed = 100

/** @internal */
export class PgConnection implements DriverConnection {
  readonly client: pg.Client
  private ready = false
  private opened = false
  private closing = false
  private broken: { readonly cause: unknown } | undefined = undefined
  private lost: ((cause: unknown) => void) | undefined = undefined
  /** what is to happen at the next ReadyForQuery, or when the connection breaks instead */
  private pending: Done | undefined = undefined
  private outcome: { readonly error: unknown; readonly result: any } | undefined = undefined
  /** somebody waits for what runs: its fiber has not been interrupted */
  private wanted = false
  /** what runs ends by itself in a moment, or must not be cancelled */
  private ending = false
  /** gives up the cancel that is under way; nothing is sent before its end */
  private stopCancel: (() => void) | undefined = undefined
  private pause: ReturnType<typeof setTimeout> | undefined = undefined
  /** called whenever the connection becomes free, or breaks */
  private readonly onChange = new Set<() => void>()

  constructor(config: pg.ClientConfig, private readonly canceller: Canceller) {
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
      const broke = () => resume(Effect.fail(this.broken?.cause))
      this.onChange.add(broke)
      this.client.connect((error: unknown) => {
        this.onChange.delete(broke)
        if (error !== null && error !== undefined) return resume(Effect.fail(error))
        this.wire.on("readyForQuery", () => this.isReady())
        this.opened = true
        this.ready = true
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
        this.client.end().catch(() => this.destroy())
      })
      return Effect.zipRight(Effect.ignore(this.cancel), goodbye)
    })
  }

  destroy(): void {
    this.breaks(new Error("the connection was destroyed"))
  }

  onLost(listener: (cause: unknown) => void): void {
    this.lost = listener
    if (this.broken !== undefined) listener(this.broken.cause)
  }

  condition(): Pool.Condition {
    if (this.broken !== undefined) return "broken"
    if (!this.isFree) return "busy"
    return this.transactionStatus() === "none" ? "clean" : "dirty"
  }

  /** no statement is running, and no cancel under way that could hit the next one */
  get isFree(): boolean {
    return this.ready && this.stopCancel === undefined
  }

  transactionStatus(): "none" | "open" | "failed" {
    const status = this.client.getTransactionStatus()
    return status === "T" ? "open" : status === "E" ? "failed" : "none"
  }

  execute(sql: string, params: ReadonlyArray<unknown>, mode: Mode, objection?: Objection): Effect.Effect<any, unknown> {
    return this.run(sql, params, mode, objection, false)
  }

  stream(sql: string, params: ReadonlyArray<unknown>, objection?: Objection): Stream.Stream<any, unknown> {
    return cursor.stream(this, sql, params, objection)
  }

  readonly validate: Effect.Effect<void, unknown> = Effect.suspend(() => this.run("", [], "raw", undefined, true))

  readonly rollback: Effect.Effect<void, unknown> = Effect.suspend(() =>
    this.run("ROLLBACK", [], "raw", undefined, true)
  )

  readonly resetSession: Effect.Effect<void, unknown> = Effect.suspend(() =>
    this.run("DISCARD ALL", [], "raw", undefined, true)
  )

  readonly commit: Effect.Effect<"committed" | "rolledBack", unknown> = Effect.suspend(() =>
    Effect.map(
      this.run("COMMIT", [], "raw", undefined, true),
      (result: pg.QueryResult) => result.command === "COMMIT" ? "committed" : "rolledBack"
    )
  )

  abandon(): void {
    if (this.ready || this.ending || this.broken !== undefined) return
    if (this.stopCancel === undefined && this.pause === undefined) this.requestCancel(missed)
  }

  readonly cancel: Effect.Effect<void, unknown> = Effect.suspend(() => {
    this.abandon()
    return this.untilReady
  })

  /** waits until the connection is free */
  get untilReady(): Effect.Effect<void, unknown> {
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

  /** hands a portal to the client; from here on the connection is busy */
  begin(portal: pg.Submittable): void {
    this.ready = false
    this.wanted = true
    this.client.query(portal)
  }

  /** nobody reads from the portal any more */
  leaves(): void {
    this.wanted = false
  }

  /** a portal failed, or was told to close: the server is about to say ReadyForQuery */
  endsByItself(): void {
    this.ending = true
  }

  fails(error: unknown): void {
    if (isFatal(error)) this.breaks(error)
    else this.endsByItself()
  }

  private run(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    objection: Objection | undefined,
    ending: boolean
  ): Effect.Effect<any, unknown> {
    return Effect.async<any, unknown>((resume) => {
      const refusal = this.refuses(objection)
      if (refusal !== undefined) return resume(Effect.fail(refusal))
      if (!this.isFree) {
        return resume(Effect.zipRight(this.turn, this.run(sql, params, mode, objection, ending)))
      }
      if (typeof sql !== "string" || !Array.isArray(params)) {
        return resume(Effect.fail(new ClientError(new TypeError("a statement is a text and an array of parameters"))))
      }
      this.ending = ending
      const done: Done = (error, result) => resume(error === undefined ? Effect.succeed(result) : Effect.fail(error))
      this.submit(sql, params, mode, done)
      return Effect.sync(() => {
        if (this.pending === done) this.wanted = false
      })
    })
  }

  /** waits until a statement can be sent: for the end of one that is wanted, or for the cancel of one that is not */
  get turn(): Effect.Effect<void, unknown> {
    return Effect.suspend(() => this.wanted ? this.untilReady : this.cancel)
  }

  private submit(sql: string, params: Array<unknown>, mode: Mode, done: Done): void {
    this.ready = false
    this.wanted = true
    this.pending = done
    this.outcome = undefined
    const query: pg.QueryConfig = {
      text: sql,
      values: params,
      ...(mode === "array" ? { rowMode: "array" as const } : {})
    }
    // called twice when a parameter cannot be serialised; the first time counts
    this.client.query(query, (error: unknown, result: any) => {
      const failed = error !== null && error !== undefined
      this.outcome ??= { error: failed ? error : undefined, result: failed ? undefined : shape(result, mode) }
      if (failed && isFatal(error)) this.breaks(error)
    })
  }

  private isReady(): void {
    this.ready = true
    this.ending = false
    clearTimeout(this.pause)
    this.pause = undefined
    // the connection is well, so what the server did not say came from this side: a parameter or a type parser
    const error = this.outcome?.error
    this.settle(error === undefined || isServerError(error) ? error : new ClientError(error))
    this.changed()
  }

  private settle(error: unknown): void {
    const { outcome, pending } = this
    this.pending = undefined
    this.outcome = undefined
    pending?.(error, outcome?.result)
  }

  private breaks(cause: unknown): void {
    if (this.broken !== undefined) return
    this.broken = { cause }
    clearTimeout(this.pause)
    this.stopCancel?.()
    // the server may not have closed it, and nobody would
    this.wire.stream.destroy()
    this.lost?.(cause)
    this.settle(this.outcome?.error ?? cause)
    this.changed()
  }

  private changed(): void {
    const listeners = [...this.onChange]
    this.onChange.clear()
    for (const listener of listeners) listener()
  }

  /**
   * A cancel names the connection, not the statement, and travels on a socket of its own: it may arrive when the next
   * statement is already running, so its end is waited for. And it may arrive before the statement, to no effect.
   */
  private requestCancel(patience: number): void {
    this.pause = undefined
    this.stopCancel = this.canceller.request(this.client, this.wire.stream, (error) => {
      this.stopCancel = undefined
      if (error !== undefined) this.breaks(error)
      else if (this.ready) this.changed()
      else this.pause = setTimeout(() => this.requestCancel(2 * patience), patience)
    })
  }
}

/** several statements in one text have several results */
const shape = (result: any, mode: Mode): any =>
  mode === "raw" ? result : Array.isArray(result) ? result.map((each) => each.rows ?? []) : result.rows ?? []

/** @internal */
export const connect = (config: pg.ClientConfig): Effect.Effect<PgConnection, unknown, Scope.Scope> => {
  const canceller = new Canceller()
  return Effect.acquireRelease(
    Effect.sync(() => new PgConnection(config, canceller)),
    (connection) => connection.close
  ).pipe(Effect.tap((connection) => connection.dial))
}
