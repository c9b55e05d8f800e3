/**
 * Interrupts an effect at every one of its steps, one step per run.
 *
 * A fiber asks its scheduler before every operation whether it has to yield. Ours says yes exactly once, at the k-th
 * operation of the fiber that is watched, and there the interrupt arrives; k goes from 1 on, until the effect ends
 * before it is reached.
 */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { settle, Steady } from "./steady.js"

/** the place where a run is cut: the k-th operation of the fiber that runs the effect given to one of the first two */
export interface Cut {
  /** There the fiber is interrupted. */
  readonly interrupt: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** There the fiber stops until whoever waits for `reached` has had the time to interrupt it. */
  readonly stop: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly reached: Effect.Effect<void>
}

class CutWorld extends Steady implements Cut {
  /** whether the k-th operation has been reached */
  done = false
  private watched: Fiber.RuntimeFiber<unknown, unknown> | undefined
  private operations = 0
  private interrupts = true
  private notify: (() => void) | undefined
  private holdNext = false

  constructor(private readonly k: number) {
    super()
  }

  readonly interrupt: Cut["interrupt"] = (self) =>
    Effect.withFiberRuntime((fiber) => {
      this.watched = fiber
      return self
    })

  readonly stop: Cut["stop"] = (self) =>
    Effect.suspend(() => {
      this.interrupts = false
      return this.interrupt(self)
    })

  readonly reached = Effect.async<void>((resume) => {
    this.notify = () => resume(Effect.void)
    if (this.done) this.notify()
  })

  override shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    if (this.watched !== fiber || this.done || ++this.operations !== this.k) return false
    this.done = true
    if (this.interrupts) fiber.unsafeInterruptAsFork(fiber.id())
    else {
      // the interrupt takes a few hops through other fibers: this one has to wait for it where it is
      this.notify?.()
      this.holdNext = true
    }
    return 0
  }

  override scheduleTask(task: () => void): void {
    if (!this.holdNext) super.scheduleTask(task)
    else {
      this.holdNext = false
      this.at(this.now, task)
    }
  }
}

/** a clock on which every sleep ends when the cut is reached */
const clockOf = ({ reached }: Cut): Clock.Clock => ({ ...Clock.make(), sleep: () => reached })

/** how the fiber that runs an effect comes to be interrupted */
export type Interrupter = (self: Effect.Effect<unknown, unknown>, cut: Cut) => Effect.Effect<unknown, unknown>

/**
 * The combinators interrupt what they run themselves, when the cut is reached: that an interrupt of their own fiber may
 * hang them, right after they forked, is a bug of Effect 3 and not ours to test.
 */
export const interrupters = {
  "an interrupt": (self, { interrupt }) => interrupt(self),
  "an interrupt that must wait": (self, { interrupt }) => Effect.uninterruptible(interrupt(self)),
  "Effect.timeout": (self, cut) => Effect.withClock(Effect.timeout(cut.stop(self), "1 second"), clockOf(cut)),
  "Effect.race": (self, { reached, stop }) => Effect.race(stop(Effect.exit(self)), reached),
  "Effect.all": (self, { reached, stop }) =>
    Effect.all(
      [Effect.zipRight(stop(self), Effect.fail("done")), Effect.zipRight(reached, Effect.fail("enough"))],
      { concurrency: "unbounded" }
    )
} satisfies Record<string, Interrupter>

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
  readonly effect: (subject: Subject, cut: Cut) => Effect.Effect<unknown, unknown>
  readonly meanwhile?: ((subject: Subject) => Effect.Effect<unknown, unknown, Scope.Scope>) | undefined
  readonly after: (subject: Subject, run: Run) => Effect.Effect<unknown, unknown, Scope.Scope>
}): ReadonlyArray<Run> => {
  const runs: Array<Run> = []
  for (let k = 1;; k++) {
    const world = new CutWorld(k)
    const program = Effect.gen(function*() {
      const subject = yield* options.subject
      const { exit } = world.start(options.effect(subject, world))
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
    if (!world.done) return runs
  }
}
