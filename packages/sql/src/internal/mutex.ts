/**
 * One at a time, first come first served. As with the pool's waiters, a hand-over is owned by the waiter from the moment
 * it is made, so that an interrupt at any later step passes the lock on.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

interface Waiter {
  readonly resume: (effect: Effect.Effect<void>) => void
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** @internal */
export class Mutex {
  private locked = false
  private readonly waiters = new Set<Waiter>()

  /** `released` is called by whoever had the lock, before the next one gets it */
  constructor(private readonly released: () => void = () => {}) {}

  /** waiting can be interrupted; whoever is interrupted there has done nothing */
  withLock<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(this.lock(restore), () => Effect.ensuring(restore(effect), this.unlocking))
    )
  }

  /** holds the lock until the scope closes */
  get scoped(): Effect.Effect<void, never, Scope.Scope> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(this.lock(restore), () => Effect.addFinalizer(() => this.unlocking))
    )
  }

  private lock(restore: Restore): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.locked) {
        this.locked = true
        return Effect.void
      }
      let waiter: Waiter | undefined
      return Effect.onError(
        restore(Effect.async<void>((resume) => {
          waiter = { resume }
          this.waiters.add(waiter)
        })),
        () =>
          Effect.sync(() => {
            // handed over already: it goes to the next one
            if (waiter !== undefined && !this.waiters.delete(waiter)) this.pass()
          })
      )
    })
  }

  private readonly unlocking = Effect.sync(() => {
    this.released()
    this.pass()
  })

  private pass(): void {
    for (const waiter of this.waiters) {
      this.waiters.delete(waiter)
      waiter.resume(Effect.void)
      return
    }
    this.locked = false
  }
}
