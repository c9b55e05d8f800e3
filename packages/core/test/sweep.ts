/**
 * Interrupts an effect at every one of its steps, one step per run.
 *
 * A fiber asks its scheduler before every operation whether it has to yield. Ours says yes exactly once, at the k-th
 * operation of the fiber that is watched, and there the interrupt arrives; k goes from 1 on, until the effect ends
 * before it is reached.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import * as Scheduler from "effect/Scheduler"

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
}): Effect.Effect<Array<Run<A, E>>, E1 | E2 | E3, R> =>
  Effect.gen(function*() {
    const runs: Array<Run<A, E>> = []
    const runtime = yield* Effect.runtime<never>()
    for (let k = 1;; k++) {
      const world = yield* options.world
      const scheduler = new CutScheduler(k)
      const fiber = Runtime.runFork(runtime)(options.effect(world, scheduler), { scheduler })
      if (options.meanwhile !== undefined) yield* options.meanwhile(world)
      const run = { k, exit: yield* Fiber.await(fiber) }
      runs.push(run)
      yield* options.after(world, run)
      if (!scheduler.done) return runs
    }
  })
