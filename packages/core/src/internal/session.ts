/**
 * Sessions: everything inside one, children included, runs on one connection. A session is a lease whose `Hold` carries
 * a `Level`; calls inside find it through their lineage, and take a turn on it instead of asking the pool.
 */
import * as Effect from "effect/Effect"
import { type AcquireOptions, Region } from "../AcquireOptions.js"
import type { AcquireError } from "../PoolError.js"
import { TooManyConnections } from "../PoolError.js"
import { snapshot } from "./counters.js"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"
import { held } from "./holders.js"
import type { Restore } from "./lease.js"
import { Level, Turn } from "./level.js"
import type { Hold } from "./lineage.js"
import * as Lineage from "./lineage.js"
import { patience, refused } from "./refusal.js"
import * as Trace from "./trace.js"

const hasLevel = (hold: Hold<any>): boolean => hold.level !== undefined

/**
 * Where the running fiber has to take its turn, if it is inside a session of this pool.
 *
 * @internal
 */
export const levelOf = <C>(engine: Engine<C>): Level<C> | undefined =>
  engine.sessions === 0 ? undefined : Lineage.innermost(engine, hasLevel)?.level

/**
 * The running fiber opens a session on a connection that it has just been lent.
 *
 * @internal
 */
export const open = <C>(engine: Engine<C>, entry: Entry<C>): Hold<C> => {
  engine.sessions++
  const level = new Level(engine, entry, undefined, () => {
    engine.sessions--
    entry.hold = undefined
    engine.release(entry, entry.lentAt)
  })
  return held(engine, Lineage.begin(engine, entry, false, level))
}

/**
 * Takes a turn. Must be run in an uninterruptible region, whose `restore` is given. `again` looks for another way when
 * the level is over before it was this caller's turn; the deadline stays what it was.
 *
 * @internal
 */
export const enter = <C>(
  level: Level<C>,
  restore: Restore,
  options: AcquireOptions,
  lasting: boolean,
  again: (rest: AcquireOptions) => Effect.Effect<Hold<C>, AcquireError>
): Effect.Effect<Hold<C>, AcquireError> => {
  if (level.tryEnter()) return take(level, lasting)
  return Effect.flatMap(Trace.waiting(level.engine, wait(level, restore, options)), ({ granted, rest }) => {
    if (granted && !level.over) return take(level, lasting)
    // the last one who was inside granted it, and then the level was over before it could be taken
    if (granted) level.leave()
    return again(rest)
  })
}

const take = <C>(level: Level<C>, lasting: boolean): Effect.Effect<Hold<C>, AcquireError> => {
  const { engine, entry, session } = level
  if (level.isLost) {
    level.leave()
    return Effect.fail(refused(engine, level.whyLost, 0))
  }
  const turn = new Level(engine, entry, session, () => {
    session.leases.delete(hold)
    level.inside = undefined
    level.leave()
  })
  level.inside = turn
  const hold = Lineage.begin(engine, entry, lasting, turn)
  if (lasting) session.leases.add(hold)
  return Effect.succeed(hold)
}

/** whether it is the caller's turn, or the level is over, and what is left of the options then */
const wait = <C>(
  level: Level<C>,
  restore: Restore,
  options: AcquireOptions
): Effect.Effect<{ readonly granted: boolean; readonly rest: AcquireOptions }, AcquireError> =>
  Effect.flatMap(Region, (region) => {
    const { engine } = level
    const whenExhausted = options.whenExhausted ?? region.whenExhausted
    const millis = patience(engine, options.timeout ?? region.timeout, whenExhausted)
    if (typeof millis !== "number") return Effect.fail(refused(engine, millis, 0))
    // not the pool's own option: that one is about the pool's connections, and there is no lack of those
    if (whenExhausted === "fail") {
      const { config: { name: pool } } = engine
      return Effect.fail(
        refused(engine, new TooManyConnections({ pool, reason: "Exhausted", stats: snapshot(engine) }), 0)
      )
    }
    let turn: Turn | undefined
    return Effect.matchCauseEffect(
      restore(Effect.async<boolean, AcquireError>((resume) => {
        const now = engine.now()
        turn = new Turn(now, now + millis, resume)
        level.wait(turn)
      })),
      {
        onFailure: (cause) => {
          if (turn !== undefined) level.withdraw(turn)
          return Effect.failCause(cause)
        },
        onSuccess: (granted) =>
          Effect.succeed({ granted, rest: { ...options, timeout: Math.max(0, turn!.deadline - engine.now()) } })
      }
    )
  })
