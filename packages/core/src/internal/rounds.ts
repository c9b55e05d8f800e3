/**
 * What the pool does whenever a schedule of the user's says so: close what has been idle for too long, and validate what
 * is idle. Each schedule is driven by a fiber of the pool, and is fed with how many connections its last round closed.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Engine } from "./engine.js"
import { State } from "./entry.js"
import * as Housekeeping from "./housekeeping.js"
import { until } from "./until.js"

/** @internal */
export const start = <C>(engine: Engine<C>): Effect.Effect<void, never, Scope.Scope> => {
  const { idleSchedule, keepaliveSchedule } = engine.config
  return Effect.zipRight(
    drive(engine, "idleSchedule", idleSchedule, Effect.sync(() => Housekeeping.closeIdle(engine))),
    drive(engine, "keepaliveSchedule", keepaliveSchedule, keepalive(engine))
  )
}

const drive = <C>(
  engine: Engine<C>,
  option: string,
  schedule: Schedule.Schedule<unknown, number> | undefined,
  round: Effect.Effect<number>
): Effect.Effect<void, never, Scope.Scope> => {
  if (schedule === undefined) return Effect.void
  const rounds = Effect.catchAllCause(
    Effect.repeat(round, schedule),
    (cause) => Effect.logWarning(`Pool "${engine.config.name}": ${option} died, and is not asked again`, cause)
  )
  return Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => Runtime.runFork(engine.runtime)(Effect.interruptible(rounds))),
    Fiber.interrupt
  ))
}

/** one at a time, and never while somebody waits */
const keepalive = <C>(engine: Engine<C>): Effect.Effect<number> =>
  Effect.suspend(() => {
    if (engine.hooks.validate === undefined) return Effect.succeed(0)
    const entries = [...engine.idle]
    return Effect.map(
      Effect.forEach(entries, (entry) =>
        Effect.suspend(() => {
          if (entry.state !== State.idle || engine.queue.size > 0 || engine.suspended) return Effect.void
          engine.probe(entry)
          return until(engine, () => entry.state !== State.reserved)
        }), { discard: true }),
      () => entries.filter((entry) => entry.reason === "stale").length
    )
  })
