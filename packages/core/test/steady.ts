/**
 * The simulation's world without its dice: everything that is ready runs before time moves, and a minute takes
 * microseconds. For what needs thousands of callers over minutes, and exact times.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { Dice, World } from "./sim/world.js"

class NoDice extends Dice {
  override next(): number {
    return 0
  }

  override chance(): boolean {
    return false
  }
}

class Steady extends World {
  override readonly dice = new NoDice(0)

  override shouldYield(): false {
    return false
  }
}

/** Runs an effect to its end. What is drawn at random is always the middle, so that jitter changes nothing. */
export const steadily = <A, E>(self: Effect.Effect<A, E, Scope.Scope>): A => {
  const world = new Steady(0)
  const run = world.start(Effect.withRandom(Effect.scoped(self), Random.fixed([0.5])))
  for (let exit = run.exit();; exit = run.exit()) {
    if (exit !== undefined) {
      return Exit.getOrElse(exit, (cause) => {
        throw Cause.squash(cause)
      })
    }
    if (!world.step()) throw new Error("nothing can happen any more, and it is not over")
  }
}
