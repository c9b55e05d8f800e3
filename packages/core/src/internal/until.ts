/**
 * Waits for the pool to become something. Looked at after every step of the engine that may have changed it.
 */
import * as Effect from "effect/Effect"
import type { Engine } from "./engine.js"

/** @internal */
export const until = <C>(engine: Engine<C>, is: () => boolean): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    const look = () => {
      if (!is()) return
      engine.observers.delete(look)
      resume(Effect.void)
    }
    engine.observers.add(look)
    look()
    return Effect.sync(() => engine.observers.delete(look))
  })
