/**
 * Who holds the connections, and the report on those who hold one for too long.
 */
import * as Effect from "effect/Effect"
import type { Holder } from "../PoolHolder.js"
import * as PoolHolder from "../PoolHolder.js"
import type { Engine } from "./engine.js"
import { State } from "./entry.js"
import { activityOf } from "./hooks.js"
import type { Hold } from "./lineage.js"

/**
 * A fiber has become the holder of a connection, until the hold ends.
 *
 * @internal
 */
export const held = <C>(engine: Engine<C>, hold: Hold<C>): Hold<C> => {
  const { leakDetectionThreshold } = engine.config
  if (hold.shared) engine.sharing!.holds.add(hold)
  else hold.entry.hold = hold
  if (leakDetectionThreshold !== Infinity) engine.alarm.set(hold.since + leakDetectionThreshold, engine.now())
  return hold
}

/** @internal */
export const spanName = ({ span }: Hold<any>): string | undefined => span?._tag === "Span" ? span.name : undefined

/** @internal */
export const holderOf = <C>(hold: Hold<C>, now: number): Holder => ({
  fiberId: hold.fiberId,
  span: spanName(hold),
  heldMillis: now - hold.since,
  connectionId: hold.entry.id,
  activity: activityOf(hold.engine.hooks, hold.entry.connection)
})

/** of connections that somebody has, and that work as far as anybody knows */
function* holds<C>({ entries, sharing }: Engine<C>): Generator<Hold<C>> {
  for (const { hold, state } of entries) if (state === State.leased && hold !== undefined) yield hold
  for (const hold of sharing?.holds ?? []) if (hold.entry.state === State.leased) yield hold
}

/**
 * All holders, longest first. A connection on its way to a waiter has none yet.
 *
 * @internal
 */
export const holders = <C>(engine: Engine<C>, now: number): ReadonlyArray<Holder> => {
  const found: Array<Holder> = []
  for (const hold of holds(engine)) found.push(holderOf(hold, now))
  return found.sort((one, other) => other.heldMillis - one.heldMillis)
}

/**
 * Reports every lease that has passed `leakDetectionThreshold`, once, and returns when the next one will.
 *
 * @internal
 */
export const reportLeaks = <C>(engine: Engine<C>, now: number): number => {
  const { leakDetectionThreshold, name } = engine.config
  if (leakDetectionThreshold === Infinity) return Infinity
  let next = Infinity
  for (const hold of holds(engine)) {
    if (hold.reported) continue
    const due = hold.since + leakDetectionThreshold
    if (now < due) next = Math.min(next, due)
    else {
      hold.reported = true
      engine.counters.overdue++
      const holder = holderOf(hold, now)
      if (engine.hub.heard) engine.hub.tell({ _tag: "LeaseOverdue", holder })
      engine.spawn(Effect.logWarning(
        `Pool "${name}" may have a leak: a connection is held by ${PoolHolder.describe(holder)}`
      ))
    }
  }
  return next
}
