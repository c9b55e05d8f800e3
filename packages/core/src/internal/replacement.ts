/**
 * Renews connections past their soft expiry, one at a time and only while nobody waits: below the maximum the new one
 * is opened before the old one is closed, at the maximum the old one makes room first.
 */
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"
import { State } from "./entry.js"

/** @internal */
export class Replacement<C> {
  /** a connect that is still to be started for this purpose */
  owed = 0
  private opening: Entry<C> | undefined = undefined
  /** the connection to be closed, as soon as its successor is there and it is idle itself */
  private target: Entry<C> | undefined = undefined

  /** Called when nobody waits and nothing else wants a connect: finishes the last renewal, or begins the next one. */
  consider(engine: Engine<C>, now: number): void {
    if (this.owed > 0 || this.opening !== undefined) return
    if (this.target !== undefined) {
      // its successor has been open for a while, but until now it was in use
      if (this.target.state === State.idle) engine.discard(this.target, this.target.expiry)
      return
    }
    for (const entry of engine.idle) {
      if (entry.softAt > now) continue
      this.owed = 1
      // one that is being closed will have left its slot by then
      if (engine.ledger.live < engine.config.maxConnections) this.target = entry
      else engine.discard(entry, entry.expiry)
      return
    }
  }

  started(entry: Entry<C>): void {
    if (this.owed === 0) return
    this.owed = 0
    this.opening = entry
  }

  opened(engine: Engine<C>, entry: Entry<C>): void {
    if (this.opening !== entry) return
    this.opening = undefined
    if (this.target?.state === State.idle) engine.discard(this.target, this.target.expiry)
  }

  failed(entry: Entry<C>): void {
    if (this.opening !== entry) return
    this.opening = undefined
    // still owed, at the pace of the outage: it may be the only one who ever finds out that the server is back
    this.owed = 1
  }

  closed(entry: Entry<C>): void {
    if (this.target === entry) this.target = undefined
  }
}
