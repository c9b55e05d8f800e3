/**
 * The pool's only timer. It may ring too early, never too late: whoever is rung looks at what is due and sets it again.
 * Setting it later than it stands costs nothing, which is what most callers do.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"

/** timers beyond 24.8 days never fire in JavaScript, and clocks of laptops stop; nobody minds one ring an hour */
const longest = 3_600_000

/** @internal */
export class Alarm {
  private at = Infinity
  private fiber: Fiber.RuntimeFiber<void> | undefined = undefined

  constructor(
    private readonly runtime: Runtime.Runtime<never>,
    private readonly clock: Clock.Clock,
    private readonly now: () => number,
    private readonly ring: () => void
  ) {}

  /** rings at `at`, or earlier */
  set(at: number, now: number): void {
    if (at >= this.at) return
    this.clear()
    this.at = Math.min(at, now + longest)
    const until = this.at
    // Timers know whole milliseconds only; one that is early by a fraction would ring again and again.
    const sleep = Effect.suspend(() => this.clock.sleep(Duration.millis(Math.max(0, Math.ceil(until - this.now())))))
    // Not started at once: a sleep of zero would ring in the middle of the decision that sets the alarm.
    const fiber = Runtime.runFork(this.runtime)(Effect.interruptible(sleep), { immediate: false })
    this.fiber = fiber
    fiber.addObserver(() => {
      if (this.fiber !== fiber) return
      this.fiber = undefined
      this.at = Infinity
      this.ring()
    })
  }

  clear(): void {
    const fiber = this.fiber
    this.at = Infinity
    this.fiber = undefined
    if (fiber !== undefined) fiber.unsafeInterruptAsFork(fiber.id())
  }
}
