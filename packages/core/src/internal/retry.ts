/**
 * A `Schedule` asked "when next?" instead of being driven: the pool must not sleep inside it.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import * as Decision from "effect/ScheduleDecision"
import * as Intervals from "effect/ScheduleIntervals"

/** @internal */
export class Retry {
  private state: unknown

  constructor(private readonly schedule: Schedule.Schedule<unknown, unknown>, private readonly clock: Clock.Clock) {
    this.state = schedule.initial
  }

  restart(): void {
    this.state = this.schedule.initial
  }

  /** milliseconds until the next attempt, or `undefined` when the schedule is over; it then starts anew */
  next(cause: unknown): Effect.Effect<number | undefined> {
    return Effect.suspend(() => {
      const now = this.clock.unsafeCurrentTimeMillis()
      return Effect.map(this.schedule.step(now, cause, this.state), ([state, , decision]) => {
        if (Decision.isContinue(decision)) {
          this.state = state
          return Math.max(0, Intervals.start(decision.intervals) - now)
        }
        this.restart()
        return undefined
      })
    })
  }
}
