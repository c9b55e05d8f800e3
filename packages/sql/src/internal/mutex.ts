/**
 * One at a time, first come first served. As with the pool's waiters, a hand-over is owned by the waiter from the moment
 * it is made, so that an interrupt at any later step passes the lock on.
 */
import type * as Cause from "effect/Cause"
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

  /** nobody has it, and so nobody waits */
  get isFree(): boolean {
    return !this.locked
  }

  /** waiting can be interrupted; whoever is interrupted there has done nothing. `failed` is called before the release */
  withLock<A, E, R>(
    effect: Effect.Effect<A, E, R>,
    failed?: (cause: Cause.Cause<E>) => void
  ): Effect.Effect<A, E, R> {
    return Effect.uninterruptibleMask((restore) =>
      this.tryLock()
        ? this.during(restore(effect), failed)
        : Effect.flatMap(this.wait(restore), () => this.during(restore(effect), failed))
    )
  }

  /** gives the lock back when the effect ends, however it ends */
  private during<A, E, R>(
    effect: Effect.Effect<A, E, R>,
    failed: ((cause: Cause.Cause<E>) => void) | undefined
  ): Effect.Effect<A, E, R> {
    return Effect.matchCauseEffect(effect, {
      onFailure: (cause) => {
        failed?.(cause)
        this.unlock()
        return Effect.failCause(cause)
      },
      onSuccess: (a) => {
        this.unlock()
        return Effect.succeed(a)
      }
    })
  }

  /** holds the lock until the scope closes */
  get scoped(): Effect.Effect<void, never, Scope.Scope> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(this.lock(restore), () => Effect.addFinalizer(() => Effect.sync(() => this.unlock())))
    )
  }

  private lock(restore: Restore): Effect.Effect<void> {
    return Effect.suspend(() => this.tryLock() ? Effect.void : this.wait(restore))
  }

  private tryLock(): boolean {
    if (this.locked) return false
    this.locked = true
    return true
  }

  private wait(restore: Restore): Effect.Effect<void> {
    let waiter: Waiter | undefined
    return Effect.onError(
      restore(Effect.async<void>((resume) => {
        waiter = { resume }
        // it may have become free since it was looked at
        if (this.tryLock()) resume(Effect.void)
        else this.waiters.add(waiter)
      })),
      () =>
        Effect.sync(() => {
          // it has the lock already: that goes to the next one
          if (waiter !== undefined && !this.waiters.delete(waiter)) this.pass()
        })
    )
  }

  private unlock(): void {
    this.released()
    this.pass()
  }

  private pass(): void {
    for (const waiter of this.waiters) {
      this.waiters.delete(waiter)
      waiter.resume(Effect.void)
      return
    }
    this.locked = false
  }
}
