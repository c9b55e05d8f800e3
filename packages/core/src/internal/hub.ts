/**
 * Tells whoever listens what happens. While nobody does it costs the look whether somebody does: no event is made.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { PoolEvent, PoolOccurrence } from "../PoolEvent.js"

/** what a stream that falls behind may have before it loses the oldest */
const backlog = 4096

/**
 * Called within the decisions of the pool: it must be quick, and must not throw.
 *
 * @internal
 */
export interface Listener {
  /** whether it wants to hear of every single lease; if nobody does, no events are made of them */
  readonly leases: boolean
  readonly hear: (occurrence: PoolOccurrence) => void
  /** the pool has closed; a lease that outlives it still ends some time */
  readonly end: () => void
}

/** @internal */
export class Hub {
  private readonly listeners = new Set<Listener>()
  private ended = false
  /** to be asked before an event is made, and before one of a lease is */
  heard = false
  leasesHeard = false

  constructor(private readonly pool: string, private readonly clock: Clock.Clock) {}

  tell(occurrence: PoolOccurrence): void {
    for (const listener of this.listeners) listener.hear(occurrence)
  }

  end(): void {
    this.ended = true
    for (const listener of this.listeners) listener.end()
  }

  listen(listener: Listener): void {
    if (this.ended) return listener.end()
    this.listeners.add(listener)
    this.count()
  }

  private leave(listener: Listener): void {
    this.listeners.delete(listener)
    this.count()
  }

  private count(): void {
    this.heard = this.listeners.size > 0
    this.leasesHeard = [...this.listeners].some(({ leases }) => leases)
  }

  readonly events: Stream.Stream<PoolEvent> = Stream.asyncPush<PoolEvent>(
    (stream) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const listener: Listener = {
            leases: true,
            hear: (occurrence) =>
              stream.single({ pool: this.pool, at: this.clock.unsafeCurrentTimeMillis(), ...occurrence }),
            end: stream.end
          }
          this.listen(listener)
          return listener
        }),
        (listener) => Effect.sync(() => this.leave(listener))
      ),
    { bufferSize: backlog, strategy: "sliding" }
  )
}
