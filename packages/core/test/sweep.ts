/**
 * `InterruptSweep` in a steady world: thousands of runs take seconds, and what hangs is seen at once.
 */
import * as InterruptSweep from "@dbpool/testing/InterruptSweep"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { settle, Steady } from "./steady.js"

/** waits for what must end without any time passing; if it doesn't, it hangs */
export const ended = <A, E>(
  exit: () => Exit.Exit<A, E> | null | undefined,
  what: string
): Effect.Effect<Exit.Exit<A, E>> =>
  Effect.gen(function*() {
    for (let turns = 0; turns < 20; turns++) {
      const result = exit()
      if (result) return result
      yield* settle
    }
    return assert.fail(`${what} hangs`)
  })

/** one run: where it was cut, and how it ended */
export interface Run {
  readonly k: number
  readonly exit: Exit.Exit<unknown, unknown>
}

/**
 * Runs the effect again and again, each time in a world of its own, and looks at it after each run. Returns how the runs
 * ended; the last one was not cut. Throws whatever was wrong after one of them.
 *
 * `meanwhile` is what goes on while the effect runs: somebody gives a connection back, time passes.
 */
export const sweep = <Subject>(options: {
  readonly subject: Effect.Effect<Subject, unknown, Scope.Scope>
  readonly effect: (subject: Subject, cut: InterruptSweep.Cut) => Effect.Effect<unknown, unknown>
  readonly meanwhile?: ((subject: Subject) => Effect.Effect<unknown, unknown, Scope.Scope>) | undefined
  readonly after: (subject: Subject, run: Run) => Effect.Effect<unknown, unknown, Scope.Scope>
}): ReadonlyArray<Run> => {
  const runs: Array<Run> = []
  for (let k = 1;; k++) {
    const world = new Steady()
    const knife = InterruptSweep.knife(k, { scheduler: world, later: (run) => void world.at(world.now, run) })
    const program = Effect.gen(function*() {
      const subject = yield* options.subject
      const { exit } = world.start(Effect.withScheduler(options.effect(subject, knife), knife.scheduler))
      if (options.meanwhile !== undefined) yield* options.meanwhile(subject)
      const run = { k, exit: yield* ended(exit, "it") }
      runs.push(run)
      yield* options.after(subject, run)
    })
    try {
      world.run(program)
    } catch (error) {
      throw new Error(`after a cut at operation ${k}: ${error instanceof Error ? error.message : error}`, {
        cause: error
      })
    }
    if (!knife.hasCut()) return runs
  }
}
