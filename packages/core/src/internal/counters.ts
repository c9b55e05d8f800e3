/**
 * What a pool has done so far, and the snapshot of that and of what it is doing now.
 */
import type { PoolStats } from "../PoolStats.js"
import type { Engine } from "./engine.js"
import { State } from "./entry.js"

/**
 * They only ever grow. `PoolStats` says what each one counts.
 *
 * @internal
 */
export class Counters {
  acquired = 0
  reused = 0
  waited = 0
  opened = 0
  closed = 0
  lost = 0
  stale = 0
  idleExpired = 0
  lifetimeExpired = 0
  abandoned = 0
  connectFailures = 0
  timeouts = 0
  rejections = 0
  failures = 0
}

/** @internal */
export const snapshot = <C>({ config, counters, ledger, queue }: Engine<C>): PoolStats => ({
  name: config.name,
  maxConnections: config.maxConnections,
  minConnections: config.minConnections,
  open: ledger.open,
  idle: ledger.count(State.idle),
  reserved: ledger.count(State.reserved),
  leased: ledger.count(State.leased),
  cancelling: ledger.count(State.cancelling),
  resetting: ledger.count(State.resetting),
  connecting: ledger.count(State.connecting),
  closing: ledger.count(State.closing),
  waiting: queue.size,
  ...counters
})
