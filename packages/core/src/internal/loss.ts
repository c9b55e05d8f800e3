/**
 * Connections that die by themselves. One that does before its first healthy return counts as a failed connect: a server
 * that drops connections before they were used is as good as down.
 */
import * as Account from "./account.js"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"
import { State } from "./entry.js"
import * as Outage from "./outage.js"

/** a connection that nobody has used yet is no sign of trouble when it dies after that long: servers cut silent ones */
const settled = 5000

/**
 * Its socket closed, or the server went away.
 *
 * @internal
 */
export const reported = <C>(engine: Engine<C>, entry: Entry<C>, cause: unknown): void => {
  switch (entry.state) {
    case State.leased:
      engine.ledger.move(entry, State.detached)
      engine.replacement.closed(entry)
      Account.retiring(engine, entry, "lost")
      entry.hold?.level?.lose()
      break
    case State.idle:
      if (engine.now() - entry.provedAt > settled) entry.proven = true
      engine.discard(entry, "lost")
      break
    case State.reserved:
    case State.cancelling:
    case State.resetting:
      engine.retire(entry, "lost")
      break
    default:
      return
  }
  died(engine, entry, cause)
}

/**
 * Its holder gave it back dead.
 *
 * @internal
 */
export const found = <C>(engine: Engine<C>, entry: Entry<C>): void => {
  engine.retire(entry, "lost")
  died(engine, entry, new Error("the connection broke during its first use"))
}

const died = <C>(engine: Engine<C>, entry: Entry<C>, cause: unknown): void => {
  const now = engine.now()
  if (!entry.proven) Outage.record(engine, entry, engine.admission.disproved(entry.id, now), "transient", cause)
  engine.pump(now)
}
