/**
 * What happens to a connection, counted and told to those who listen.
 */
import type { RetireReason } from "../PoolStats.js"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"

/**
 * A lease of it has ended, after so long.
 *
 * @internal
 */
export const released = <C>(engine: Engine<C>, entry: Entry<C>, heldMillis: number): void => {
  engine.counters.heldMillis += heldMillis
  if (engine.hub.leasesHeard) engine.hub.tell({ _tag: "Released", connectionId: entry.id, heldMillis })
}

/**
 * It is not lent again, and why.
 *
 * @internal
 */
export const retiring = <C>(engine: Engine<C>, entry: Entry<C>, reason: RetireReason): void => {
  entry.reason = reason
  engine.counters.retired[reason]++
  if (!engine.hub.heard) return
  const { id: connectionId, openedAt, uses } = entry
  engine.hub.tell({ _tag: "ConnectionRetired", connectionId, reason, ageMillis: engine.now() - openedAt!, uses })
}

/**
 * It is closed, or destroyed. An attempt to connect that failed is buried too, but was never a connection.
 *
 * @internal
 */
export const buried = <C>(engine: Engine<C>, entry: Entry<C>, abandoned: boolean): void => {
  const { counters, hub } = engine
  if (abandoned) counters.abandoned++
  if (entry.reason === undefined) return
  counters.closed++
  if (hub.heard) hub.tell({ _tag: "ConnectionClosed", connectionId: entry.id, reason: entry.reason, abandoned })
}
