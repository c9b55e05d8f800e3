/**
 * The end of a pool: callers that wait are told, what is idle is closed, leases get `shutdownTimeout` to end, and then
 * everything is closed. Afterwards nothing of the pool is left: no connection, fiber or timer.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import type { Engine } from "./engine.js"
import { until } from "./until.js"

const settled = <C>(engine: Engine<C>): Effect.Effect<void> =>
  until(engine, () => engine.entries.size === 0 && engine.tasks.size === 0)

/** @internal */
export const shutdown = <C>(engine: Engine<C>): Effect.Effect<void> =>
  Effect.suspend(() => {
    engine.beginClosing()
    const graceful = Effect.timeoutOption(settled(engine), Duration.millis(engine.config.shutdownTimeout))
    const forced = Effect.suspend(() => {
      engine.closeLeased()
      return settled(engine)
    })
    // in a fiber of its own: the one that closes the scope may be interrupted, or uninterruptible
    return Fiber.join(Runtime.runFork(engine.runtime)(Effect.interruptible(Effect.zipRight(graceful, forced))))
  })
