/**
 * A world in which everything happens because a seed says so: which fiber runs next, when it is made to yield, what time
 * it is. Nothing in it is real, so a minute takes microseconds and the same seed gives the same history.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import type * as Scheduler from "effect/Scheduler"

/** a small generator of our own: what Node's `Math.random` gives cannot be seeded */
export class Dice {
  constructor(private state: number) {}

  /** at least 0 and below 1 */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  /** from `low` to `high`, both included */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<A>(all: ReadonlyArray<A>): A {
    return all[Math.floor(this.next() * all.length)]!
  }
}

interface Timer {
  readonly at: number
  readonly order: number
  readonly ring: () => void
}

/** how many lines of the history are kept for a failure report */
const remembered = 400

export class World implements Scheduler.Scheduler {
  /** monotonic milliseconds */
  now = 0
  /** how far the wall clock is off; jumping it must not move anything */
  skew = 0
  steps = 0
  private looks = 0
  readonly dice: Dice
  readonly clock: Clock.Clock
  readonly lines: Array<string> = []
  /** what is told to those who read logs */
  onLog: (message: string) => void = () => {}
  private readonly logger = Logger.make(({ message }) => this.onLog(String(message)))
  private hash = 0x811c9dc5
  private readonly ready: Array<() => void> = []
  private readonly timers: Array<Timer> = []
  private order = 0
  private budget = 64

  constructor(readonly seed: number) {
    this.dice = new Dice(seed)
    this.clock = this.makeClock(() => {})
  }

  /** one line of history; the hash of all of them identifies the run */
  record(line: string): void {
    const text = `${this.now.toFixed(3)} ${line}`
    for (let i = 0; i < text.length; i++) this.hash = Math.imul(this.hash ^ text.charCodeAt(i), 0x01000193)
    if (this.lines.push(text) > remembered) this.lines.shift()
  }

  get digest(): string {
    return (this.hash >>> 0).toString(16).padStart(8, "0")
  }

  /** everything that was due by now has happened */
  get idle(): boolean {
    return this.ready.length === 0 && !(this.timers.length > 0 && this.timers[0]!.at <= this.now)
  }

  // ---- what Effect asks of a scheduler

  shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    if ((fiber as unknown as { readonly currentOpCount: number }).currentOpCount < this.budget) return false
    // below about ten a fiber does nothing but yield
    this.budget = this.dice.between(12, 200)
    return 0
  }

  scheduleTask(task: () => void): void {
    this.ready.push(task)
  }

  // ---- time

  at(time: number, ring: () => void): () => void {
    const timer: Timer = { at: time, order: this.order++, ring }
    const { timers } = this
    let index = timers.length
    timers.push(timer)
    while (index > 0 && before(timer, timers[index - 1]!)) {
      timers[index] = timers[index - 1]!
      index--
    }
    timers[index] = timer
    return () => {
      const found = timers.indexOf(timer)
      if (found >= 0) timers.splice(found, 1)
    }
  }

  /** The world's clock, for somebody whose timers are watched when they ring. No two looks at it see the same time. */
  makeClock(rings: () => void): Clock.Clock {
    const millis = () => 1_700_000_000_000 + this.now + this.skew
    const nanos = () => BigInt(Math.round(this.now * 1e6) + this.looks++)
    return {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: millis,
      unsafeCurrentTimeNanos: nanos,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanos: Effect.sync(nanos),
      sleep: (duration) => {
        const length = Duration.toMillis(duration)
        return Effect.async<void>((resume) => {
          if (length === Infinity) return
          const cancel = this.at(this.now + length, () => {
            rings()
            resume(Effect.void)
          })
          return Effect.sync(cancel)
        })
      }
    }
  }

  // ---- running

  /** one task, or the next timer when there is none; false when nothing can ever happen again */
  step(): boolean {
    this.steps++
    if (this.ready.length > 0 && !(this.hurries() && this.dice.chance(0.01))) {
      const index = Math.floor(this.dice.next() * this.ready.length)
      const task = this.ready[index]!
      this.ready[index] = this.ready[this.ready.length - 1]!
      this.ready.pop()
      task()
      return true
    }
    const timer = this.timers.shift()
    if (timer === undefined) return this.ready.length > 0
    this.now = Math.max(this.now, timer.at)
    timer.ring()
    return true
  }

  /** whether a timer may ring before everything that is ready has run, as when a busy program blocks the event loop */
  private hurries(): boolean {
    return this.timers.length > 0 && this.timers[0]!.at - this.now < 50
  }

  /** starts an effect in this world; it only moves when the world steps */
  start<A, E>(effect: Effect.Effect<A, E>): { readonly exit: () => Exit.Exit<A, E> | undefined } {
    let exit: Exit.Exit<A, E> | undefined
    const fiber = Effect.runFork(
      effect.pipe(
        Effect.withClock(this.clock),
        Effect.withRandom(Random.make(this.seed)),
        Effect.locally(FiberRef.currentLoggers, HashSet.make(this.logger))
      ),
      { scheduler: this, immediate: false }
    )
    fiber.addObserver((result) => {
      exit = result
    })
    return { exit: () => exit }
  }
}

const before = (one: Timer, other: Timer): boolean =>
  one.at < other.at || (one.at === other.at && one.order < other.order)
