/**
 * Bounds on what is sent. Most have the same bound and hardly any reaches it, so those with the same bound share one
 * timer: it looks at the oldest when that one may be due, and what ends in time only leaves the queue.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import type * as Scope from "effect/Scope"
import { TimedOut } from "./queryError.js"

/** timers beyond 24.8 days never fire in JavaScript */
const longest = 3_600_000

/** what has to end in time */
interface Bounded {
  readonly deadline: number
  readonly expire: () => void
}

/** in order of arrival, which is that of their deadlines */
interface Queue {
  readonly waiting: Set<Bounded>
  readonly timer: Fiber.RuntimeFiber<void>
}

/** the deadlines of one pool @internal */
export class Deadlines {
  /** by bound; a queue lasts until its timer finds it empty */
  private readonly queues = new Map<number, Queue>()

  private readonly runtime: Runtime.Runtime<never>

  constructor(runtime: Runtime.Runtime<never>, private readonly clock: Clock.Clock) {
    // what makes the pool may not be interruptible
    this.runtime = Runtime.enableRuntimeFlag(runtime, RuntimeFlags.Interruption)
  }

  /**
   * Runs a statement in a fiber of its own, which is interrupted when its time is over, and answers with what became of
   * it. So it ends in time even where the caller cannot be interrupted.
   */
  bound<A>(statement: Effect.Effect<A, unknown>, millis: number): Effect.Effect<A, unknown> {
    return Effect.async<A, unknown>((resume) => {
      let expired = false
      const ended = this.watch(millis, () => {
        expired = true
        fiber.unsafeInterruptAsFork(fiber.id())
      })
      const fiber = Runtime.runFork(this.runtime)(statement)
      fiber.addObserver((exit) => {
        ended()
        resume(expired && Exit.isFailure(exit) ? Effect.fail(new TimedOut(millis)) : exit)
      })
      return Fiber.interrupt(fiber)
    })
  }

  /** calls `expire` when that time is over, unless what it returns is called before */
  watch(millis: number, expire: () => void): () => void {
    const { waiting } = this.queueOf(millis)
    const bounded: Bounded = { deadline: this.now() + millis, expire }
    waiting.add(bounded)
    return () => waiting.delete(bounded)
  }

  private queueOf(millis: number): Queue {
    let queue = this.queues.get(millis)
    if (queue === undefined) {
      const waiting = new Set<Bounded>()
      // not started at once: there is nothing in the queue yet
      const timer = Runtime.runFork(this.runtime)(this.look(waiting, millis), { immediate: false })
      queue = { waiting, timer }
      this.queues.set(millis, queue)
    }
    return queue
  }

  private look(waiting: Set<Bounded>, millis: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const now = this.now()
      for (const bounded of waiting) {
        const left = bounded.deadline - now
        if (left > 0) {
          // timers know whole milliseconds only
          const sleep = this.clock.sleep(Duration.millis(Math.ceil(Math.min(left, longest))))
          return Effect.zipRight(sleep, this.look(waiting, millis))
        }
        waiting.delete(bounded)
        bounded.expire()
      }
      this.queues.delete(millis)
      return Effect.void
    })
  }

  private now(): number {
    return Number(this.clock.unsafeCurrentTimeNanos()) / 1e6
  }

  close(): void {
    for (const { timer } of this.queues.values()) timer.unsafeInterruptAsFork(timer.id())
  }
}

/** they end with the scope @internal */
export const make = (clock: Clock.Clock): Effect.Effect<Deadlines, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.map(Effect.runtime<never>(), (runtime) => new Deadlines(runtime, clock)),
    (deadlines) => Effect.sync(() => deadlines.close())
  )
