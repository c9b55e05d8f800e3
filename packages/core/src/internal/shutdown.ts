/**
 * The end of a pool: callers that wait are told, what is idle is closed, leases get `shutdownTimeout` to end, and then
 * everything is closed. Afterwards nothing of the pool is left: no connection, fiber or timer.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import type { Engine } from "./engine.js"
import { State } from "./entry.js"
import { until } from "./until.js"

const settled = <C>(engine: Engine<C>): Effect.Effect<void> =>
  until(engine, () => engine.entries.size === 0 && engine.tasks.size === 0)

/** takes the connections from those who would not give them back, and from the tasks that would not end */
const takeAll = <C>(engine: Engine<C>): void => {
  for (const entry of engine.entries) {
    entry.hold?.level?.lose()
    if (entry.state === State.leased) engine.retire(entry, "closing")
    else if (entry.state === State.detached) engine.finish(entry)
  }
  interruptTasks(engine, State.cancelling, State.resetting)
}

const interruptTasks = <C>(engine: Engine<C>, ...states: ReadonlyArray<State>): void => {
  for (const [fiber, entry] of engine.tasks) {
    if (entry !== undefined && states.includes(entry.state)) fiber.unsafeInterruptAsFork(fiber.id())
  }
}

/** @internal */
export const shutdown = <C>(engine: Engine<C>): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (engine.hub.heard && !engine.closing) engine.hub.tell({ _tag: "Closing" })
    engine.closing = true
    interruptTasks(engine, State.connecting, State.reserved)
    engine.pump(engine.now())
    const graceful = Effect.timeoutOption(settled(engine), Duration.millis(engine.config.shutdownTimeout))
    const forced = Effect.suspend(() => {
      takeAll(engine)
      return settled(engine)
    })
    // in a fiber of its own: the one that closes the scope may be interrupted, or uninterruptible
    const end = Effect.zipRight(
      Effect.zipRight(graceful, forced),
      Effect.sync(() => {
        engine.budget?.leave(engine)
        engine.hub.end()
      })
    )
    return Fiber.join(Runtime.runFork(engine.runtime)(Effect.interruptible(end)))
  })
