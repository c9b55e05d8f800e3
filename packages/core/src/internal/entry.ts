/**
 * One physical connection and the states it may be in.
 *
 * `Ledger.move` is the only place where a state changes: a move that the table below does not list is a bug of the
 * pool and dies there, with the names of both states.
 */
import * as Effect from "effect/Effect"
import type { RetireReason } from "../PoolStats.js"
import type { Hold } from "./lineage.js"

/** @internal */
export const State = {
  /** being opened; holds a slot, has no connection yet */
  connecting: 0,
  /** open and nobody's; only the idle store refers to it */
  idle: 1,
  /** taken out of the idle store to be validated, not lent */
  reserved: 2,
  /** lent to one holder */
  leased: 3,
  /** its holder has gone and left a statement running; the pool waits for the server */
  cancelling: 4,
  /** its holder has gone; the pool restores the session */
  resetting: 5,
  /** died while lent: the slot is free again, the holder still has the handle */
  detached: 6,
  /** being closed; holds its slot until closed or destroyed */
  closing: 7,
  /** closed exactly once, never used again */
  gone: 8
} as const

/** @internal */
export type State = (typeof State)[keyof typeof State]

const names = Object.keys(State)

const to = (...states: ReadonlyArray<State>): number => states.reduce<number>((bits, state) => bits | (1 << state), 0)

const legal: ReadonlyArray<number> = [
  /* connecting */ to(State.idle, State.closing),
  /* idle       */ to(State.leased, State.reserved, State.closing),
  /* reserved   */ to(State.idle, State.closing),
  /* leased     */ to(State.idle, State.cancelling, State.resetting, State.detached, State.closing),
  /* cancelling */ to(State.idle, State.resetting, State.closing),
  /* resetting  */ to(State.idle, State.closing),
  /* detached   */ to(State.gone),
  /* closing    */ to(State.gone),
  /* gone       */ 0
]

/** @internal */
export class Entry<C> {
  state: State = State.connecting
  /** set once, when the connect succeeds; every state but `connecting` may read it */
  connection: C = undefined as C
  /** closes it for good; run once, by the task of `closing`, or at the end of `detached` */
  close: Effect.Effect<void> = Effect.void
  /** the last resort, when that fails or takes too long; set as soon as there is a connection, before its setup */
  destroy: () => void = () => {}
  /** replaced from here on when nobody needs it, and never lent from `hardAt` on; `expiry` is why */
  softAt = Infinity
  hardAt = Infinity
  expiry: RetireReason = "maxLifetime"
  /** when it last came back from a holder; a validation leaves it alone, so that it does not look used */
  idleSince = 0
  /** when it was last known to work: opened, returned or validated */
  provedAt = 0
  /** when it was last lent, and who holds it; nobody yet while it is on its way to a waiter */
  lentAt = 0
  hold: Hold<C> | undefined = undefined
  /** how many share it, on their way to it included; none while it is lent to one alone */
  leases = 0
  /** how often it was lent */
  uses = 0
  /** not set for an attempt to connect that failed, or goes on */
  openedAt: number | undefined = undefined
  /** why it is not lent again, once that is decided */
  reason: RetireReason | undefined = undefined
  /** true from its first healthy return on */
  proven = false
  /** neighbours in the idle store, which alone may touch them */
  older: Entry<C> | undefined = undefined
  newer: Entry<C> | undefined = undefined

  /** expires from now on, unless it has already */
  wears(reason: RetireReason): void {
    if (this.softAt === -Infinity) return
    this.softAt = -Infinity
    this.expiry = reason
  }

  /** `id`: which attempt to connect this is, the first being 1; `startedAt`: when it began */
  constructor(readonly id: number, readonly startedAt: number) {}
}

/**
 * How many connections are in each state. Counting where states change makes every snapshot consistent.
 *
 * @internal
 */
export class Ledger {
  private readonly counts: Array<number> = names.map(() => 0)
  /** called after every move, if somebody keeps count */
  onMove: ((from: State, to: State) => void) | undefined = undefined

  enter(_entry: Entry<any>): void {
    this.counts[State.connecting]!++
  }

  move(entry: Entry<any>, next: State): void {
    if ((legal[entry.state]! & (1 << next)) === 0) {
      throw new Error(
        `dbpool bug: connection ${entry.id} cannot go from ${names[entry.state]} to ${names[next]}; please report it`
      )
    }
    const { state } = entry
    this.counts[state]!--
    this.counts[next]!++
    entry.state = next
    this.onMove?.(state, next)
  }

  count(state: State): number {
    return this.counts[state]!
  }

  /** connections that work as far as anybody knows */
  get live(): number {
    const n = this.counts
    return n[State.idle]! + n[State.reserved]! + n[State.leased]! + n[State.cancelling]! + n[State.resetting]!
  }

  /** slots taken: everything that has, or may have, a socket */
  get open(): number {
    return this.live + this.counts[State.connecting]! + this.counts[State.closing]!
  }

  /** connections that somebody holds, or that are being made fit to be lent again */
  get busy(): number {
    const n = this.counts
    return n[State.leased]! + n[State.cancelling]! + n[State.resetting]!
  }
}
