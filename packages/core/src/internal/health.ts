/**
 * How the pool is doing, as far as it knows without asking the server.
 */
import type { PoolHealth, Trouble } from "../PoolHealth.js"
import type { Engine } from "./engine.js"
import * as Outage from "./outage.js"

/** @internal */
export const health = <C>(engine: Engine<C>): PoolHealth => {
  const { admission, closing, config: { name: pool }, ledger, queue, suspended } = engine
  const now = engine.now()
  const unknown: Trouble = { pool, cause: undefined, forMillis: undefined, retryInMillis: undefined }
  if (closing) return { _tag: "Down", reason: "closing", ...unknown }
  if (suspended) return { _tag: "Down", reason: "suspended", ...unknown }
  if (admission.trouble !== undefined) {
    const { cause, since } = admission.trouble
    const trouble: Trouble = { pool, cause, forMillis: now - since, retryInMillis: Outage.retryInMillis(engine, now) }
    if (!admission.down) return { _tag: "Degraded", reason: "limit", ...trouble }
    return ledger.live === 0
      ? { _tag: "Down", reason: "outage", ...trouble }
      : { _tag: "Degraded", reason: "outage", ...trouble }
  }
  const { head } = queue
  if (head !== undefined && now - head.since >= head.deadline - now) {
    return { _tag: "Degraded", reason: "exhausted", ...unknown, forMillis: now - head.since }
  }
  return { _tag: "Ready", pool }
}
