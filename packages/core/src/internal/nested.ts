/**
 * Callers that already hold a connection of the pool and would now wait for another. If enough of them do so at once,
 * each waits for the others, and none ever gives back.
 */
import * as Effect from "effect/Effect"
import { NestedAcquire } from "../PoolError.js"
import type { Engine } from "./engine.js"
import { State } from "./entry.js"
import { holderOf, spanName } from "./holders.js"
import type { Hold } from "./lineage.js"
import * as Lineage from "./lineage.js"

/** spans are named by users: names that are made up at run time must not fill the log, nor the memory */
const mostWarnings = 100

/**
 * What became of looking at a caller that would have to wait: the error, if it must not. Must be called by the caller's
 * own fiber.
 *
 * @internal
 */
export const check = <C>(engine: Engine<C>, now: number): NestedAcquire | undefined => {
  const { name, nestedAcquire } = engine.config
  if (nestedAcquire === "allow") return undefined
  const hold = Lineage.innermost(engine, isLent)
  if (hold === undefined) return undefined
  const holder = holderOf(hold, now)
  const error = new NestedAcquire({ pool: name, holder })
  if (nestedAcquire === "fail") return error
  if (engine.hub.heard) engine.hub.tell({ _tag: "NestedWait", holder })
  const span = spanName(hold) ?? ""
  if (!engine.nestedWarnings.has(span) && engine.nestedWarnings.size < mostWarnings) {
    engine.nestedWarnings.add(span)
    engine.spawn(Effect.logWarning(error.message))
  }
  return undefined
}

/** one whose connection has died or was invalidated keeps nobody from getting another */
const isLent = (hold: Hold<any>): boolean =>
  (hold.shared || hold.entry.hold === hold) && hold.entry.state === State.leased
