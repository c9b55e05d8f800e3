/**
 * The line to the server: whether something is under way on it, who waits for that, and how it is ended.
 *
 * A statement is over when the server has said ReadyForQuery, whatever it said before: only then is the transaction
 * status known and the next statement safe. `ready` is true while nothing is under way.
 *
 * Statements that share the line are sent without waiting for one another. The server answers them in order, each with a
 * ReadyForQuery of its own, and goes on after one that it refuses.
 */
import type * as Pool from "@dbpool/core/Pool"
import type { Objection } from "@dbpool/sql/Driver"
import { fromCallback } from "@dbpool/sql/Driver"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type pg from "pg"
import type { Canceller } from "./cancel.js"
import { isFatal, Unsent } from "./errors.js"
import type { Sendable } from "./wire.js"
import { pipelining, wireOf } from "./wire.js"

/** the first pause before a cancel is repeated */
const missed = 100

/** what is under way; exactly one of `over` and `lost` is called, once, if it is there @internal */
export interface Sent {
  /** somebody waits for it: its fiber has not been interrupted; only the line may change that */
  wanted: boolean
  /** the server has said ReadyForQuery */
  readonly over?: () => void
  readonly lost?: (cause: unknown) => void
}

/** @internal */
export class Line {
  private dialled = false
  /** in the order in which the server answers */
  private readonly sent: Array<Sent> = []
  /** how many of those nobody waits for */
  private unwanted = 0
  /** what is under way shares the line */
  private shared = false
  /** what runs ends by itself in a moment, or must not be cancelled */
  private ending = false
  /** nothing is sent any more: a cancel went through a proxy, and nobody knows what it may hit */
  private spent = false
  private closing = false
  private broken: { readonly cause: unknown } | undefined = undefined
  /** gives up the cancel that is under way; nothing is sent before its end */
  private stopCancel: (() => void) | undefined = undefined
  private pause: ReturnType<typeof setTimeout> | undefined = undefined
  /** called whenever the line becomes free, or breaks */
  private readonly onChange = new Set<() => void>()

  /** `canceller` of a pool behind a proxy: its confirmations come from the proxy, not from the server */
  constructor(
    readonly client: pg.Client,
    private readonly canceller: Canceller,
    private readonly onBroken: (cause: unknown) => void
  ) {
    // without a listener the error of an idle socket ends the process
    client.on("error", (cause) => this.breaks(cause))
    client.on("end", () => this.breaks(new Error("the server closed the connection")))
  }

  /** logs in; interrupting that leaves the socket to whoever closes the line */
  get dial(): Effect.Effect<void, unknown> {
    return Effect.async<void, unknown>((resume) => {
      const broke = () => resume(Effect.fail(this.broken?.cause))
      this.onChange.add(broke)
      this.client.connect((error: unknown) => {
        this.onChange.delete(broke)
        if (error !== null && error !== undefined) return resume(Effect.fail(error))
        wireOf(this.client).on("readyForQuery", () => this.isReady())
        this.dialled = true
        resume(Effect.void)
      })
    })
  }

  get isBroken(): { readonly cause: unknown } | undefined {
    return this.broken
  }

  private get ready(): boolean {
    return this.dialled && this.sent.length === 0
  }

  /** no statement is running, and no cancel under way that could hit the next one */
  get isFree(): boolean {
    return this.ready && this.stopCancel === undefined && !this.spent
  }

  /** whether something that shares can be sent now: it need not wait for others that do */
  get isFreeToShare(): boolean {
    return this.isFree || (this.shared && this.stopCancel === undefined && !this.spent)
  }

  /** whether what is sent next would have to wait for something that nobody wants any more */
  get isObstructed(): boolean {
    return this.unwanted > 0
  }

  transactionStatus(): "none" | "open" | "failed" {
    const status = this.client.getTransactionStatus()
    return status === "T" ? "open" : status === "E" ? "failed" : "none"
  }

  condition(): Pool.Condition {
    if (this.broken !== undefined) return "broken"
    if (!this.isFree) return "busy"
    return this.transactionStatus() === "none" ? "clean" : "dirty"
  }

  /** why nothing can be sent, if so */
  refuses(objection: Objection | undefined): unknown {
    const objected = objection?.()
    if (objected !== undefined) return objected
    if (this.broken !== undefined) return new Unsent(this.broken.cause)
    if (this.spent) return spentUp()
    return this.closing ? new Unsent(new Error("the pool is closing the connection")) : undefined
  }

  /** hands something to the client; from here on the line is busy */
  send(what: Sendable, sent: Sent, ending = false, shared = false): void {
    this.sent.push(sent)
    this.ending = ending
    this.shared = shared
    pipelining(this.client, shared)
    this.client.query(what as unknown as pg.Submittable)
  }

  /** nobody waits for it any more, if it is under way at all */
  leaves(sent: Sent): void {
    if (!sent.wanted || !this.sent.includes(sent)) return
    sent.wanted = false
    this.unwanted++
  }

  /** what runs has failed, or was told to close: the server is about to say ReadyForQuery */
  endsByItself(): void {
    this.ending = true
  }

  /** calls back when what runs is over, or the line broken */
  whenOver(listener: () => void): void {
    this.onChange.add(listener)
  }

  /** what should have ended by itself has not: it is cancelled, unless it must not be */
  overruns(): void {
    this.ending = false
    this.abandon()
  }

  /** the server answered with an error */
  fails(error: unknown): void {
    if (isFatal(error)) this.breaks(error)
    else this.endsByItself()
  }

  /**
   * Calls back when something can be sent, or with an error when nothing ever will be: at the end of what is wanted, or of
   * the cancel of what is not. Answers how to stop waiting.
   */
  whenTurn(callback: (exit: Exit.Exit<void, unknown>) => void): () => void {
    if (this.sent.length <= this.unwanted) this.abandon()
    return this.whenReady(callback)
  }

  /** waits for that */
  get turn(): Effect.Effect<void, unknown> {
    return fromCallback((callback) => this.whenTurn(callback))
  }

  /** calls back when the line is free */
  private whenReady(callback: (exit: Exit.Exit<void, unknown>) => void): () => void {
    const look = () => {
      if (this.broken !== undefined) callback(Exit.fail(this.broken.cause))
      else if (this.isFree) callback(Exit.void)
      else if (this.spent && this.ready && this.stopCancel === undefined) callback(Exit.fail(spentUp()))
      else this.onChange.add(look)
    }
    look()
    return () => this.onChange.delete(look)
  }

  /** waits until the line is free */
  get untilReady(): Effect.Effect<void, unknown> {
    return fromCallback((callback) => this.whenReady(callback))
  }

  abandon(): void {
    if (this.ready || this.ending || this.broken !== undefined) return
    if (this.stopCancel === undefined && this.pause === undefined) this.requestCancel(missed)
  }

  readonly cancel: Effect.Effect<void, unknown> = Effect.suspend(() => {
    this.abandon()
    return this.untilReady
  })

  /** nothing may be sent from now on but the goodbye */
  closes(): void {
    this.closing = true
  }

  /** says goodbye, if there is somebody to say it to, and waits until the socket is closed */
  get goodbye(): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      if (this.broken !== undefined) return resume(Effect.void)
      this.onChange.add(() => resume(Effect.void))
      this.client.end().catch((cause) => this.breaks(cause))
    })
  }

  breaks(cause: unknown): void {
    if (this.broken !== undefined) return
    this.broken = { cause }
    clearTimeout(this.pause)
    this.stopCancel?.()
    // the server may not have closed it, and nobody would
    wireOf(this.client).stream.destroy()
    this.onBroken(cause)
    for (const sent of this.sent.splice(0)) sent.lost?.(cause)
    this.changed()
  }

  private isReady(): void {
    const sent = this.sent.shift()
    if (sent?.wanted === false) this.unwanted--
    if (this.ready) {
      this.ending = false
      clearTimeout(this.pause)
      this.pause = undefined
    }
    // it may be sent once more
    sent?.over?.()
    if (this.ready) this.changed()
  }

  private changed(): void {
    if (this.onChange.size === 0) return
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
    this.spent = this.canceller.throughProxy
    this.stopCancel = this.canceller.request(this.client, wireOf(this.client).stream, (error) => {
      this.stopCancel = undefined
      if (error !== undefined) this.breaks(error)
      else if (this.ready) this.changed()
      else this.pause = setTimeout(() => this.requestCancel(2 * patience), patience)
    })
  }
}

const spentUp = () =>
  new Unsent(new Error("a statement on it was cancelled through a proxy, after which a connection is not used again"))
