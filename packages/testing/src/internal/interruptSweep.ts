/**
 * One run of a sweep. A fiber asks its scheduler before every operation whether it has to yield: ours says yes exactly
 * once, at the k-th operation of the fiber that is watched, and there the interrupt arrives.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scheduler from "effect/Scheduler"
import type * as Api from "../InterruptSweep.js"

class CutScheduler implements Scheduler.Scheduler, Api.Knife {
  readonly scheduler: Scheduler.Scheduler = this
  private done = false
  private watched: Fiber.RuntimeFiber<unknown, unknown> | undefined
  private operations = 0
  private interrupts = true
  private notify: (() => void) | undefined
  private holdNext = false

  constructor(
    private readonly k: number,
    private readonly inner: Scheduler.Scheduler,
    private readonly later: (run: () => void) => void
  ) {}

  readonly watches = (): boolean => this.watched !== undefined
  readonly hasCut = (): boolean => this.done

  readonly interrupt: Api.Cut["interrupt"] = (self) =>
    Effect.withFiberRuntime((fiber) => {
      this.watched = fiber
      return self
    })

  readonly stop: Api.Cut["stop"] = (self) =>
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

  scheduleTask(task: Scheduler.Task, priority: number, fiber?: Fiber.RuntimeFiber<unknown, unknown>): void {
    const run = () => this.inner.scheduleTask(task, priority, fiber)
    if (!this.holdNext) return run()
    this.holdNext = false
    this.later(run)
  }
}

/** @internal */
export const knife: typeof Api.knife = (operation, options = {}) =>
  new CutScheduler(
    operation,
    options.scheduler ?? new Scheduler.MixedScheduler(2048),
    options.later ?? ((run) => void setImmediate(run))
  )

/** Waits on the real clock: the test's own may stand still. */
const ended = <A, E>(fiber: Fiber.RuntimeFiber<A, E>, patience: Duration.DurationInput) =>
  Fiber.await(fiber).pipe(
    Effect.timeoutOption(patience),
    Effect.withClock(Clock.make()),
    Effect.flatMap(Option.match({
      onNone: () => {
        fiber.unsafeInterruptAsFork(fiber.id())
        return Effect.fail(new Error(`it has not ended after ${Duration.format(patience)}`))
      },
      onSome: (exit: Exit.Exit<A, E>) => Effect.succeed(exit)
    }))
  )

/** @internal */
export const run = <World, A, E, R>(
  { after, effect, meanwhile, patience = "5 seconds", world: makeWorld }: Api.Options<World, A, E, R>,
  operation: number
): Effect.Effect<Api.Run<A, E>, unknown, R> =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime<R>()
    const world = yield* makeWorld
    const cut = knife(operation)
    const fiber = Runtime.runFork(runtime)(Effect.suspend(() => effect(world, cut)), cut)
    if (meanwhile !== undefined) yield* meanwhile(world)
    const exit = yield* ended(fiber, patience)
    if (!cut.watches()) {
      return yield* Effect.fail(new Error("nothing was to be interrupted: give it to cut.interrupt or cut.stop"))
    }
    const run = { operation, cut: cut.hasCut(), exit }
    yield* after(world, run)
    return run
  })
