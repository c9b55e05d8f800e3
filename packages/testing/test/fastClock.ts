/**
 * A clock that moves by itself: whenever nothing can happen any more at this moment, it is the moment of the next timer.
 * `TestClock` looks around for ten milliseconds before it moves, too long for thousands of moments.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

interface Timer {
  readonly at: number
  readonly ring: () => void
}

class FastClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  private now = 0
  private readonly timers: Array<Timer> = []
  private stopped = false

  unsafeCurrentTimeMillis(): number {
    return this.now
  }
  unsafeCurrentTimeNanos(): bigint {
    return BigInt(Math.round(this.now * 1e6))
  }
  readonly currentTimeMillis = Effect.sync(() => this.unsafeCurrentTimeMillis())
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const millis = Duration.toMillis(duration)
      if (millis === Infinity) return
      const timer = { at: this.now + millis, ring: () => resume(Effect.void) }
      const after = this.timers.findIndex(({ at }) => at > timer.at)
      this.timers.splice(after < 0 ? this.timers.length : after, 0, timer)
      return Effect.sync(() => {
        const index = this.timers.indexOf(timer)
        if (index >= 0) this.timers.splice(index, 1)
      })
    })
  }

  readonly stop = () => void (this.stopped = true)

  /** fibers go on in microtasks, which are done before the event loop's next turn */
  turn(left: number): void {
    if (this.stopped) return
    if (left > 0) return void setImmediate(() => this.turn(left - 1))
    const timer = this.timers.shift()
    if (timer !== undefined) {
      this.now = Math.max(this.now, timer.at)
      timer.ring()
    }
    this.turn(turns)
  }
}

/** enough for those who look at each moment when it has come to rest */
const turns = 4

/** runs an effect in a time of its own */
export const inFastTime = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const clock = new FastClock()
    clock.turn(turns)
    return Effect.ensuring(Effect.withClock(self, clock), Effect.sync(clock.stop))
  })
