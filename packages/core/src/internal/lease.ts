/**
 * How callers borrow: `use` (no scope, no fiber, no deferred on its fast path), `acquire` (a scope's finalizer gives it
 * back) and what both do when they have to wait.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { type AcquireOptions, Region } from "../AcquireOptions.js"
import type { Lease } from "../Pool.js"
import type { AcquireError } from "../PoolError.js"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"
import { Waiter } from "./waiterQueue.js"

const noOptions: AcquireOptions = {}

/**
 * Waits for a lease. Must be run in an uninterruptible region, whose `restore` is given: the lease is owned by the
 * waiter from the moment of the hand-off, so an interrupt that arrives at any later step gives it back.
 */
const wait = <C>(
  engine: Engine<C>,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
  options: AcquireOptions
): Effect.Effect<Entry<C>, AcquireError> =>
  Effect.flatMap(Region, (region) => {
    const timeout = options.timeout ?? region.timeout
    const whenExhausted = options.whenExhausted ?? region.whenExhausted
    let waiter: Waiter<C> | undefined
    return Effect.matchCauseEffect(
      restore(Effect.async<Entry<C>, AcquireError>((resume) => {
        waiter = new Waiter(resume)
        engine.request(waiter, timeout, whenExhausted)
      })),
      {
        onFailure: (cause) => {
          if (waiter !== undefined) engine.withdraw(waiter)
          return Effect.failCause(cause)
        },
        onSuccess: (entry) => {
          engine.taken(entry)
          return Effect.succeed(entry)
        }
      }
    )
  })

/** @internal */
export const use = <C>(engine: Engine<C>) =>
<A, E, R>(
  f: (connection: C) => Effect.Effect<A, E, R>,
  options: AcquireOptions = noOptions
): Effect.Effect<A, E | AcquireError, R> =>
  Effect.uninterruptibleMask((restore) => {
    const run = (entry: Entry<C>): Effect.Effect<A, E, R> =>
      Effect.matchCauseEffect(restore(Effect.suspend(() => f(entry.connection))), {
        onFailure: (cause) => {
          engine.release(entry)
          return Effect.failCause(cause)
        },
        onSuccess: (a) => {
          engine.release(entry)
          return Effect.succeed(a)
        }
      })
    const entry = engine.lendIdle()
    return entry === undefined ? Effect.flatMap(wait(engine, restore, options), run) : run(entry)
  })

/** @internal */
export const acquire = <C>(
  engine: Engine<C>,
  options: AcquireOptions = noOptions
): Effect.Effect<Lease<C>, AcquireError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) => {
    const entry = engine.lendIdle()
    return entry === undefined
      ? Effect.flatMap(wait(engine, restore, options), (entry) => scoped(engine, entry))
      : scoped(engine, entry)
  })

const scoped = <C>(engine: Engine<C>, entry: Entry<C>): Effect.Effect<Lease<C>, never, Scope.Scope> =>
  Effect.withFiberRuntime((fiber) => {
    const lease = new LeaseImpl(engine, entry)
    const scope = Context.unsafeGet(fiber.currentContext, Scope.Scope)
    return Effect.as(Scope.addFinalizer(scope, Effect.sync(() => lease.end())), lease)
  })

/** the entry may be somebody else's by the time a lease that has ended is touched again */
class LeaseImpl<C> implements Lease<C> {
  private ended = false

  constructor(private readonly engine: Engine<C>, private readonly entry: Entry<C>) {}

  get connection(): C {
    return this.entry.connection
  }

  get invalidate(): Effect.Effect<void> {
    return Effect.sync(() => {
      if (!this.ended) this.engine.invalidate(this.entry)
    })
  }

  end(): void {
    this.ended = true
    this.engine.release(this.entry)
  }
}
