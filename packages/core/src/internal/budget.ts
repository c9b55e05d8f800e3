/**
 * How many connections several pools may have together: the cap of a `PoolMap`.
 *
 * It keeps no books of its own: what is open is what the ledgers of its members say. A pool that would open a connection
 * asks first. If there is no room it starves: the connection that has been idle for longest in another pool is closed for
 * it, and as soon as there is room it is asked again.
 */
import * as Context from "effect/Context"
import type { Engine } from "./engine.js"
import { State } from "./entry.js"

/** @internal */
export class Budget {
  private readonly members = new Set<Engine<any>>()
  /** who wants to open connections and may not, and how many, in order of arrival */
  private readonly starving = new Map<Engine<any>, number>()
  private settling = false

  constructor(readonly maxConnections: number) {}

  join(engine: Engine<any>): void {
    this.members.add(engine)
  }

  leave(engine: Engine<any>): void {
    this.members.delete(engine)
    this.starving.delete(engine)
    this.settle()
  }

  starves(engine: Engine<any>): boolean {
    return this.starving.has(engine)
  }

  /** Whether a pool may open a connection now; it wants so many. If it may not, it will be pumped when it may. */
  grants(engine: Engine<any>, wanted: number): boolean {
    const next = this.next ?? engine
    if (next === engine && this.room > 0) {
      this.starving.delete(engine)
      return true
    }
    this.starving.set(engine, wanted)
    return false
  }

  /** It wants no more than it has. */
  satisfied(engine: Engine<any>): void {
    this.starving.delete(engine)
  }

  /**
   * Whether a pool must give up a connection that has come back, although it has a waiter for it: another pool has none at
   * all, and its first waiter came earlier. Else a pool under constant load would never let the others in.
   */
  claims(engine: Engine<any>): boolean {
    if (this.starving.size === 0) return false
    const waited = waitedBy(engine)
    let owed = -this.closing
    for (const other of this.starving.keys()) if (other.ledger.open === 0 && waitedBy(other) > waited) owed++
    return owed > 0
  }

  /** how many connections a pool could have more: what is free, will be soon, or can be taken from others */
  available(engine: Engine<any>): number {
    let available = this.room + this.closing
    for (const other of this.members) if (other !== engine) available += spare(other)
    return available
  }

  /** After every step of a member: whoever starves is served, in order, as far as there is room. */
  settle(): void {
    if (this.settling || this.starving.size === 0) return
    this.settling = true
    for (let before = Infinity, room = this.room; room > 0 && room < before; before = room, room = this.room) {
      for (let left = this.starving.size; left > 0 && this.starving.size > 0; left--) {
        const { next } = this
        next?.pump(next.now())
      }
    }
    this.reclaim()
    this.settling = false
  }

  private get room(): number {
    let { maxConnections: room } = this
    for (const { ledger } of this.members) room -= ledger.open
    return room
  }

  private get closing(): number {
    let closing = 0
    for (const { ledger } of this.members) closing += ledger.count(State.closing)
    return closing
  }

  /** who gets the next free slot: a pool that has no connection at all comes before the others */
  private get next(): Engine<any> | undefined {
    for (const engine of this.starving.keys()) if (engine.ledger.open === 0) return engine
    for (const engine of this.starving.keys()) return engine
    return undefined
  }

  /** closes what has been idle for longest, as much as is wanted and not on its way already */
  private reclaim(): void {
    let missing = -this.closing - Math.max(0, this.room)
    for (const wanted of this.starving.values()) missing += wanted
    for (; missing > 0; missing--) {
      let from: Engine<any> | undefined
      let rested = -Infinity
      for (const engine of this.members) {
        if (spare(engine) === 0) continue
        const since = engine.now() - engine.idle.oldest!.idleSince
        if (since > rested) {
          rested = since
          from = engine
        }
      }
      if (from === undefined) return
      from.discard(from.idle.oldest!, "evicted")
    }
  }
}

const waitedBy = (engine: Engine<any>): number =>
  engine.queue.head === undefined ? -Infinity : engine.now() - engine.queue.head.since

/** how many idle connections nobody wants, and the pool need not keep */
const spare = ({ config, idle, ledger, queue }: Engine<any>): number =>
  queue.size > 0 ? 0 : Math.max(0, Math.min(idle.size, ledger.live - config.minConnections))

/**
 * The budget that pools made here belong to.
 *
 * @internal
 */
export class Current extends Context.Reference<Current>()("~@dbpool/core/Budget", {
  defaultValue: (): Budget | undefined => undefined
}) {}
