/**
 * Lets the first of each kind through at once, and then, every so often, one that stands for all that came meanwhile.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** says it, and how many more there were @internal */
export type Say = (more: number) => void

interface Window {
  /** what came since somebody said something, and how to say the last of it */
  held: number
  say: Say
}

/** @internal */
export class Throttle {
  private readonly windows = new Map<string, Window>()

  constructor(private readonly every: number, private readonly start: (window: Effect.Effect<void>) => void) {}

  offer(kind: string, say: Say): void {
    const open = this.windows.get(kind)
    if (open !== undefined) {
      open.held++
      open.say = say
      return
    }
    const window: Window = { held: 0, say }
    this.windows.set(kind, window)
    say(0)
    this.start(this.watch(kind, window))
  }

  private watch(kind: string, window: Window): Effect.Effect<void> {
    const speak = Effect.sync(() => {
      if (window.held === 0) return false
      window.say(window.held - 1)
      window.held = 0
      return true
    })
    const watch: Effect.Effect<void> = Effect.flatMap(
      Effect.zipRight(Effect.sleep(Duration.millis(this.every)), speak),
      (goesOn) => goesOn ? watch : Effect.sync(() => this.windows.delete(kind))
    )
    return Effect.onInterrupt(watch, () => speak)
  }
}
