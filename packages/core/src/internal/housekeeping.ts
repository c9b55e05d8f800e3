/**
 * What becomes due by time alone: the deadlines of callers, connections that were idle for too long, those too old to be
 * lent, and reports on leases that go on for too long. Soft expiry is only noticed here; `replacement.ts` acts on it.
 */
import type { Holder } from "../PoolHolder.js"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"
import { State } from "./entry.js"
import { holders, reportLeaks } from "./holders.js"
import { timeoutError } from "./refusal.js"

/**
 * When an idle connection has to be looked at again.
 *
 * @internal
 */
export const dueAt = <C>(engine: Engine<C>, entry: Entry<C>, now: number): number => {
  const spare = engine.ledger.live > engine.config.minConnections
  const idleUntil = spare ? entry.idleSince + engine.config.idleTimeout : Infinity
  return Math.min(idleUntil, keepaliveAt(engine, entry), entry.softAt > now ? entry.softAt : entry.hardAt)
}

/** when an idle connection that is to be kept has to be shown to be alive, lest somebody on the way forgets it */
const keepaliveAt = <C>({ config, hooks }: Engine<C>, entry: Entry<C>): number =>
  hooks.validate === undefined || config.minConnections === 0 ? Infinity : entry.provedAt + config.keepaliveInterval

/**
 * Tells the callers whose deadline has passed, closes the connections that are due, and returns when to look again.
 *
 * @internal
 */
export const sweep = <C>(engine: Engine<C>, now: number): number => {
  // thousands may be late together: they share the list of those who hold what they waited for
  let held: ReadonlyArray<Holder> | undefined
  for (let late = engine.queue.takeExpired(now); late !== undefined; late = engine.queue.takeExpired(now)) {
    engine.counters.timeouts++
    late.fail(timeoutError(engine, late, now, held ??= holders(engine, now)))
  }
  let next = reportLeaks(engine, now)
  for (const entry of engine.idle) {
    const spare = engine.ledger.live > engine.config.minConnections
    if (now >= entry.hardAt) engine.expire(entry)
    else if (spare && now >= entry.idleSince + engine.config.idleTimeout) {
      engine.counters.idleExpired++
      engine.discard(entry)
    } else if (now < keepaliveAt(engine, entry)) next = Math.min(next, dueAt(engine, entry, now))
    // one at a time, and never while somebody waits; the end of a validation brings the next one
    else if (engine.queue.size === 0 && engine.ledger.count(State.reserved) === 0) engine.probe(entry)
  }
  return next
}

/**
 * Closes the connections that have been idle since before a validation that never came back.
 *
 * @internal
 */
export const discardSuspects = <C>(engine: Engine<C>, since: number): void => {
  for (const entry of engine.idle) {
    if (entry.provedAt >= since) continue
    engine.counters.stale++
    engine.discard(entry)
  }
}
