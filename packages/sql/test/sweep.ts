/**
 * Interrupts a fiber exactly at its n-th operation, for every n until it ends by itself before that.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import * as Scheduler from "effect/Scheduler"

/** makes the first fiber that it sees yield once, at its n-th operation, where it is interrupted */
class CutScheduler implements Scheduler.Scheduler {
  private readonly inner = new Scheduler.MixedScheduler(2048)
  private watched: Fiber.RuntimeFiber<unknown, unknown> | undefined = undefined
  private operations = 0
  cut = false

  constructor(private readonly at: number) {}

  shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    this.watched ??= fiber
    if (fiber !== this.watched || ++this.operations !== this.at) return false
    this.cut = true
    fiber.unsafeInterruptAsFork(fiber.id())
    return 0
  }

  scheduleTask(task: Scheduler.Task, priority: number): void {
    this.inner.scheduleTask(task, priority)
  }
}

/** `round` sets up something new, says what to interrupt, and checks what is left afterwards; answers how often */
export const sweep = <A, E, R, R2>(
  round: Effect.Effect<
    {
      readonly run: Effect.Effect<A, E, R>
      readonly check: (exit: Exit.Exit<A, E>) => Effect.Effect<void, unknown, R>
    },
    unknown,
    R2
  >
): Effect.Effect<number, unknown, R | R2> =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime<R>()
    for (let at = 1;; at++) {
      const { check, run } = yield* round
      const scheduler = new CutScheduler(at)
      const fiber = Runtime.runFork(runtime)(Effect.suspend(() => run), { scheduler })
      const exit = yield* Effect.async<Exit.Exit<A, E>>((resume) =>
        fiber.addObserver((exit) => resume(Effect.succeed(exit)))
      )
      yield* Effect.catchAllCause(
        check(exit),
        (cause) => Effect.die(new Error(`interrupted at operation ${at}: ${Cause.pretty(cause)}`))
      )
      if (!scheduler.cut) return at - 1
    }
  })
