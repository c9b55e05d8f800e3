/**
 * The simulation's world without its dice: everything that is ready runs before time moves, and a minute takes
 * microseconds. For what needs thousands of callers, or thousands of runs, and exact times.
 */
import * as Pool from "@dbpool/core/Pool"
import * as PoolBooks from "@dbpool/testing/PoolBooks"
import * as PoolRules from "@dbpool/testing/PoolRules"
import type * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { Dice, World } from "./sim/world.js"
import type { TestOptions, TestPool } from "./support.js"
import { optionsOf } from "./support.js"

class NoDice extends Dice {
  override next(): number {
    return 0
  }

  override chance(): boolean {
    return false
  }
}

export class Steady extends World {
  override readonly dice = new NoDice(0)

  constructor() {
    super(0)
  }

  override shouldYield(_fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    return false
  }

  /** Runs an effect to its end. What it draws at random is always the middle, so that jitter changes nothing. */
  run<A, E>(self: Effect.Effect<A, E, Scope.Scope>): A {
    const run = this.start(Effect.withRandom(Effect.scoped(self), Random.fixed([0.5])))
    let exit = run.exit()
    for (; exit === undefined; exit = run.exit()) {
      if (!this.step()) throw new Error("nothing can happen any more, and it is not over")
    }
    return Exit.getOrElse(exit, (cause) => {
      throw Cause.squash(cause)
    })
  }
}

/** runs an effect to its end in a steady world */
export const steadily = <A, E>(self: Effect.Effect<A, E, Scope.Scope>): A => new Steady().run(self)

/** in a steady world, everything that is ready has run when this ends */
export const settle = Effect.sleep(0)

/** A pool in the scope of what runs here. When that ends well, the pool's books must balance. */
export const makePool = (server: SimulatedServer.SimulatedServer, options?: TestOptions) =>
  Effect.gen(function*() {
    const books = yield* PoolBooks.record({ ...optionsOf(server), ...options })
    let made: TestPool | undefined
    yield* Effect.addFinalizer((exit) =>
      made !== undefined && Exit.isSuccess(exit) ? Effect.orDie(PoolRules.balanced(made, books)) : Effect.void
    )
    const pool = made = yield* Pool.make(books.options)
    yield* Effect.addFinalizer(() => server.calm)
    return pool
  })
