/**
 * Connections that several callers use at once.
 *
 * A line is a connection lent to those who share: one lease of the engine, of which each of them has a part. Whoever
 * comes gets a connection of its own while one is free or can be opened, else a part of the line with the fewest; when
 * the last part has ended, the connection is given back like any other. So that a line ends although others keep
 * coming, one at a time takes no more: the one with the fewest while somebody waits for a connection of his own or
 * there are too many connections, or one that has expired.
 */
import { InvalidPoolConfig } from "../PoolError.js"
import type { Sharing as Options } from "../SharingPool.js"
import * as Account from "./account.js"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"
import { State } from "./entry.js"
import { conditionOf, isWorn } from "./hooks.js"
import { show } from "./input.js"
import type { Hold } from "./lineage.js"

/** @internal */
export class Sharing<C> {
  private readonly lines = new Set<Entry<C>>()
  /** the line that takes no more, so that it ends */
  private ending: Entry<C> | undefined = undefined
  /** of those who share and run; one on its way to a waiter has none yet */
  readonly holds = new Set<Hold<C>>()

  constructor(private readonly engine: Engine<C>, private readonly options: Options<C>) {}

  // ------------------------------------------------------------------ callers

  /** The fast path: a connection or a part of one, for a caller who needs not wait. */
  lend(): Entry<C> | undefined {
    const { engine } = this
    const idle = engine.lendIdle()
    if (idle !== undefined) {
      this.opens(idle)
      return idle
    }
    if (engine.queue.sharers.size > 0 || engine.queue.size < this.coming) return undefined
    const now = engine.now()
    const entry = this.roomiest(now)
    if (entry === undefined) return undefined
    entry.leases++
    engine.taken(entry, 0)
    return entry
  }

  /** somebody who would share has been lent a connection that nobody else has */
  opens(entry: Entry<C>): void {
    entry.leases = 1
    this.lines.add(entry)
  }

  /** Whether one more finds a part of a line. */
  hasRoom(now: number): boolean {
    return this.roomiest(now) !== undefined
  }

  /** One of those who share has ended. */
  leave(hold: Hold<C>, well: boolean): void {
    const { engine } = this
    const { entry, since } = hold
    const now = engine.now()
    this.holds.delete(hold)
    if (this.isLast(entry)) {
      // under a load that never ends nobody else would replace it: who waits may share another, or gets the successor
      if (entry.state !== State.leased || engine.queue.size === 0 || !this.isExpired(entry, now)) {
        return engine.release(entry, since)
      }
      Account.released(engine, entry, now - since)
      engine.retire(entry, entry.expiry)
    } else {
      Account.released(engine, entry, now - since)
      if (entry.state !== State.leased) return
      if (well) engine.proved(entry, now)
      if (isWorn(engine.hooks, entry.connection)) entry.wears("worn")
    }
    if (engine.queue.size > 0) engine.pump(now)
  }

  /** One to whom a part was handed has gone before it ran; answers whether that is all that was to be done. */
  withdraws(entry: Entry<C>): boolean {
    const { engine } = this
    if (this.isLast(entry)) {
      if (entry.state !== State.leased || conditionOf(engine.hooks, entry.connection) === "clean") return false
      engine.settle(entry)
    } else if (engine.queue.size > 0) engine.pump(engine.now())
    return true
  }

  private isLast(entry: Entry<C>): boolean {
    if (--entry.leases > 0) return false
    this.lines.delete(entry)
    return true
  }

  // ------------------------------------------------------------------ the pump

  /** Those who wait and would share get parts, first come, first served; as many wait on as connections are coming. */
  serve(now: number): void {
    const { engine } = this
    const { queue } = engine
    for (const waiter of queue.sharers) {
      const entry = queue.size > this.coming ? this.roomiest(now) : undefined
      if (entry === undefined) return
      entry.leases++
      queue.remove(waiter)
      waiter.accept(entry)
    }
  }

  // ------------------------------------------------------------------ the steps behind them

  /** connections that are free, or on their way to be: so many callers may well wait for one of their own */
  private get coming(): number {
    const { admission, config, idle, ledger } = this.engine
    const room = admission.paced ? 0 : Math.max(0, config.maxConnections - ledger.open)
    return idle.size + ledger.count(State.reserved) + ledger.count(State.connecting) + room
  }

  /** the line with the fewest parts that takes one more */
  roomiest(now: number): Entry<C> | undefined {
    const { engine, options: { accepts, maxLeases } } = this
    if (engine.suspended || engine.closing) return undefined
    if (this.ending === undefined || !this.mustEnd(this.ending, now)) {
      this.ending = this.isWanted ? this.fewest() : undefined
    }
    let best: Entry<C> | undefined
    for (const entry of this.lines) {
      if (entry.state !== State.leased || entry === this.ending) continue
      if (this.ending === undefined && this.isExpired(entry, now) && this.mayReplace) this.ending = entry
      else if (
        entry.leases < (best?.leases ?? maxLeases) && now < entry.hardAt && (accepts?.(entry.connection) ?? true)
      ) best = entry
    }
    return best
  }

  private fewest(): Entry<C> | undefined {
    let least: Entry<C> | undefined
    for (const entry of this.lines) {
      if (entry.state === State.leased && entry.leases < (least?.leases ?? Infinity)) least = entry
    }
    return least
  }

  private mustEnd(entry: Entry<C>, now: number): boolean {
    return entry.leases > 0 && entry.state === State.leased && (this.isWanted || this.isExpired(entry, now))
  }

  /** whether one of the lines is wanted whole: for whoever waits first and does not share, or because there are too many */
  private get isWanted(): boolean {
    const { queue, surplus } = this.engine
    return queue.head?.shared === false || surplus > 0
  }

  /** while no other can be opened, none is given up */
  private isExpired(entry: Entry<C>, now: number): boolean {
    return entry.softAt <= now && !this.engine.admission.paced
  }

  /** one at a time: the successor of the last one is there */
  private get mayReplace(): boolean {
    const { ledger } = this.engine
    return ledger.count(State.connecting) + ledger.count(State.closing) === 0
  }
}

/** @internal */
export const check = (pool: string, sharing: unknown): InvalidPoolConfig | undefined => {
  const wrong = (option: string, requirement: string) => new InvalidPoolConfig({ pool, option, requirement })
  if (typeof sharing !== "object" || sharing === null) {
    return wrong("sharing", `must be { maxLeases }, not ${show(sharing)}`)
  }
  const { maxLeases } = sharing as { readonly maxLeases?: unknown }
  return Number.isInteger(maxLeases) && (maxLeases as number) >= 1
    ? undefined
    : wrong("sharing.maxLeases", `must be an integer of at least 1, not ${show(maxLeases)}`)
}
