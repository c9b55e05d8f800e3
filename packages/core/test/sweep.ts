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
import * as Runtime from "effect/Runtime"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import { settle } from "./support.js"

/** the place where a run is cut: the k-th operation of the fiber that runs the effect given to one of the first two */
export interface Cut {
  /** There the fiber is interrupted. */
  readonly interrupt: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** There the fiber stops until whoever waits for `reached` has had the time to interrupt it. */
  readonly stop: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly reached: Effect.Effect<void>
}

class CutScheduler implements Scheduler.Scheduler, Cut {
  /** whether the k-th operation has been reached */
  done = false
  private readonly inner = new Scheduler.MixedScheduler(2048)
  private watched: Fiber.RuntimeFiber<unknown, unknown> | undefined
  private operations = 0
  private interrupts = true
  private notify: (() => void) | undefined
  private holdNext = false

  constructor(private readonly k: number) {}

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

  shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
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

  scheduleTask(task: Scheduler.Task, priority: number): void {
    if (!this.holdNext) this.inner.scheduleTask(task, priority)
    else {
      this.holdNext = false
      setImmediate(() => this.inner.scheduleTask(task, priority))
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
export const ended = <A, E>(fiber: Fiber.RuntimeFiber<A, E>, what: string): Effect.Effect<Exit.Exit<A, E>> =>
  Effect.gen(function*() {
    for (let turns = 0; turns < 20; turns++) {
      const exit = fiber.unsafePoll()
      if (exit !== null) return exit
      yield* settle
    }
    return assert.fail(`${what} hangs`)
  })

/** one run: where it was cut, and how it ended */
export interface Run<A, E> {
  readonly k: number
  readonly exit: Exit.Exit<A, E>
}

/**
 * Runs the effect again and again, each time in a world of its own, and looks at the world after each run. Returns how
 * the runs ended; the last one was not cut.
 *
 * `meanwhile` is what goes on while the effect runs: somebody gives a connection back, time passes.
 */
export const sweep = <World, A, E, E1, E2, E3, R>(options: {
  readonly world: Effect.Effect<World, E1, R>
  readonly effect: (world: World, cut: Cut) => Effect.Effect<A, E>
  readonly meanwhile?: ((world: World) => Effect.Effect<unknown, E2, R>) | undefined
  readonly after: (world: World, run: Run<A, E>) => Effect.Effect<unknown, E3, R>
}): Effect.Effect<Array<Run<A, E>>, E1 | E2 | E3, Exclude<R, Scope.Scope>> =>
  Effect.gen(function*() {
    const runs: Array<Run<A, E>> = []
    const runtime = yield* Effect.runtime<never>()
    for (let k = 1;; k++) {
      const scheduler = new CutScheduler(k)
      // what is left of a world goes with its run: thousands of them are more than a test can hold
      yield* Effect.scoped(Effect.gen(function*() {
        const world = yield* options.world
        const fiber = Runtime.runFork(runtime)(options.effect(world, scheduler), { scheduler })
        if (options.meanwhile !== undefined) yield* options.meanwhile(world)
        const run = { k, exit: yield* ended(fiber, `what was cut at operation ${k}`) }
        runs.push(run)
        yield* options.after(world, run)
      }))
      if (!scheduler.done) return runs
    }
  })
