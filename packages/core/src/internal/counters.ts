/**
 * What a pool has done so far, and the snapshot of that and of what it is doing now.
 */
import type { AcquireError } from "../PoolError.js"
import type { PoolStats, RetireReason } from "../PoolStats.js"
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
  waitedMillis = 0
  heldMillis = 0
  opened = 0
  connectMillis = 0
  closed = 0
  abandoned = 0
  connectFailures = 0
  overdue = 0
  readonly retired: Record<RetireReason, number> = {
    idleTimeout: 0,
    maxLifetime: 0,
    maxUses: 0,
    maxIdle: 0,
    worn: 0,
    drained: 0,
    evicted: 0,
    resized: 0,
    stale: 0,
    lost: 0,
    invalidated: 0,
    unrestored: 0,
    closing: 0
  }
  readonly refused: Record<AcquireError["_tag"], number> = {
    AcquireTimeout: 0,
    TooManyConnections: 0,
    ConnectFailed: 0,
    NestedAcquire: 0,
    SessionLost: 0,
    PoolSuspended: 0,
    PoolClosed: 0,
    InvalidPoolConfig: 0
  }
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
  ...counters,
  retired: { ...counters.retired },
  refused: { ...counters.refused }
})
