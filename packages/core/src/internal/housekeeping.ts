/**
 * What becomes due by time alone: the deadlines of callers, connections that were idle for too long, those too old to be
 * lent, and reports on leases that go on for too long. Soft expiry is only noticed here; `replacement.ts` acts on it.
 */
import type { Holder } from "../PoolHolder.js"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"
import { State } from "./entry.js"
import { holders, reportLeaks } from "./holders.js"
import { timeoutError, turnAway } from "./refusal.js"

/**
 * When an idle connection has to be looked at again.
 *
 * @internal
 */
export const dueAt = <C>(engine: Engine<C>, entry: Entry<C>, now: number): number => {
  return Math.min(
    engine.config.idleSchedule === undefined ? idleUntil(engine, entry) : Infinity,
    keepaliveAt(engine, entry),
    entry.softAt > now ? entry.softAt : entry.hardAt
  )
}

/** when an idle connection has been idle for too long */
const idleUntil = <C>({ config, ledger }: Engine<C>, entry: Entry<C>): number =>
  ledger.live > config.minConnections ? entry.idleSince + config.idleTimeout : Infinity

/** when an idle connection that is to be kept has to be shown to be alive, lest somebody on the way forgets it */
const keepaliveAt = <C>({ config, hooks }: Engine<C>, entry: Entry<C>): number =>
  hooks.validate === undefined || config.minConnections === 0 || config.keepaliveSchedule !== undefined
    ? Infinity
    : entry.provedAt + config.keepaliveInterval

/**
 * Tells the callers whose deadline has passed, closes the connections that are due, and returns when to look again.
 *
 * @internal
 */
export const sweep = <C>(engine: Engine<C>, now: number): number => {
  // thousands may be late together: they share the list of those who hold what they waited for
  let held: ReadonlyArray<Holder> | undefined
  for (let late = engine.queue.takeExpired(now); late !== undefined; late = engine.queue.takeExpired(now)) {
    turnAway(engine, late, timeoutError(engine, late, now, held ??= holders(engine, now)))
  }
  let next = reportLeaks(engine, now)
  for (const entry of engine.idle) {
    if (now >= entry.hardAt) engine.discard(entry, entry.expiry)
    else if (engine.config.idleSchedule === undefined && now >= idleUntil(engine, entry)) {
      engine.discard(entry, "idleTimeout")
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
    if (entry.provedAt < since) engine.discard(entry, "stale")
  }
}

/**
 * Closes the connections that have been idle for too long, and returns how many those were.
 *
 * @internal
 */
export const closeIdle = <C>(engine: Engine<C>): number => {
  const now = engine.now()
  const { size } = engine.idle
  for (const entry of engine.idle) if (now >= idleUntil(engine, entry)) engine.discard(entry, "idleTimeout")
  return size - engine.idle.size
}
