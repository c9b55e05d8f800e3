/**
 * Tells whoever listens what happens. While nobody does it costs the look whether somebody does: no event is made.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { PoolEvent, PoolOccurrence } from "../PoolEvent.js"

/** what a listener that falls behind may have before it loses the oldest */
const backlog = 4096

interface Listener {
  readonly single: (event: PoolEvent) => boolean
  readonly end: () => void
}

/** @internal */
export class Hub {
  private readonly listeners = new Set<Listener>()
  private ended = false
  /** to be asked before an event is made */
  heard = false

  constructor(private readonly pool: string, private readonly clock: Clock.Clock) {}

  tell(occurrence: PoolOccurrence): void {
    const event = { pool: this.pool, at: this.clock.unsafeCurrentTimeMillis(), ...occurrence }
    for (const listener of this.listeners) listener.single(event)
  }

  /** nothing more will happen */
  end(): void {
    this.ended = true
    for (const listener of this.listeners) listener.end()
  }

  readonly events: Stream.Stream<PoolEvent> = Stream.asyncPush<PoolEvent>(
    (listener) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          if (this.ended) return listener.end()
          this.listeners.add(listener)
          this.heard = true
        }),
        () =>
          Effect.sync(() => {
            this.listeners.delete(listener)
            this.heard = this.listeners.size > 0
          })
      ),
    { bufferSize: backlog, strategy: "sliding" }
  )
}
