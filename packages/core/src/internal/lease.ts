/**
 * How callers borrow: `use` (no scope, no fiber, no deferred on its fast path), `acquire` (a scope's finalizer gives it
 * back) and what both do when they have to wait.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { type AcquireOptions, Region } from "../AcquireOptions.js"
import type { Lease, Pool } from "../Pool.js"
import type { AcquireError } from "../PoolError.js"
import type { SharingPool } from "../SharingPool.js"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"
import { State } from "./entry.js"
import { held } from "./holders.js"
import type { Condition } from "./hooks.js"
import { conditionOf } from "./hooks.js"
import type { Hold } from "./lineage.js"
import * as Lineage from "./lineage.js"
import * as Session from "./session.js"
import * as Trace from "./trace.js"
import { Waiter } from "./waiterQueue.js"

const noOptions: AcquireOptions = {}

/**
 * Makes an effect interruptible again inside an uninterruptible region, if it was outside.
 *
 * @internal
 */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * Waits for a lease. Must be run in an uninterruptible region, whose `restore` is given: the lease is owned by the
 * waiter from the moment of the hand-off, so an interrupt that arrives at any later step gives it back.
 */
const wait = <C>(
  engine: Engine<C>,
  restore: Restore,
  options: AcquireOptions,
  shared: boolean
): Effect.Effect<Entry<C>, AcquireError> =>
  Effect.flatMap(Region, (region) => {
    const timeout = options.timeout ?? region.timeout
    const whenExhausted = options.whenExhausted ?? region.whenExhausted
    let waiter: Waiter<C> | undefined
    return Effect.matchCauseEffect(
      restore(Effect.async<Entry<C>, AcquireError>((resume) => {
        waiter = new Waiter(resume, shared)
        engine.request(waiter, timeout, whenExhausted)
      })),
      {
        onFailure: (cause) => {
          if (waiter !== undefined) engine.withdraw(waiter)
          return Effect.failCause(cause)
        },
        onSuccess: (entry) => {
          engine.taken(entry, engine.now() - waiter!.since)
          return Effect.succeed(entry)
        }
      }
    )
  })

/**
 * A connection for the running fiber: its turn on the session's, if it is in a session of this pool, else one of the
 * pool's. Must be run in an uninterruptible region, whose `restore` is given. `lasting`: it ends with a scope. `shared`: one
 * that others use at the same time would do, which a session's never is.
 */
const obtain = <C>(
  engine: Engine<C>,
  restore: Restore,
  options: AcquireOptions,
  lasting: boolean,
  shared: boolean
): Effect.Effect<Hold<C>, AcquireError> => {
  const level = Session.levelOf(engine)
  if (level === undefined) {
    return Effect.map(obtainEntry(engine, restore, options, shared), (entry) => lent(engine, entry, lasting, shared))
  }
  return Session.enter(level, restore, options, lasting, (rest) => obtain(engine, restore, rest, lasting, shared))
}

const obtainEntry = <C>(
  engine: Engine<C>,
  restore: Restore,
  options: AcquireOptions,
  shared: boolean
): Effect.Effect<Entry<C>, AcquireError> => {
  const entry = lendNow(engine, shared)
  return entry === undefined ? Trace.waiting(engine, wait(engine, restore, options, shared)) : Effect.succeed(entry)
}

const lendNow = <C>(engine: Engine<C>, shared: boolean): Entry<C> | undefined =>
  shared ? engine.sharing!.lend() : engine.lendIdle()

const lent = <C>(engine: Engine<C>, entry: Entry<C>, lasting: boolean, shared: boolean): Hold<C> =>
  held(
    engine,
    shared
      ? Lineage.begin(engine, entry, lasting, undefined, true, engine.now())
      : Lineage.begin(engine, entry, lasting)
  )

/** gives back what was obtained when the effect ends, however it ends */
const during = <C, A, E, R>(
  hold: Hold<C>,
  restore: Restore,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.matchCauseEffect(restore(self), {
    onFailure: (cause) => {
      hold.end()
      return Effect.failCause(cause)
    },
    onSuccess: (a) => {
      hold.end(true)
      return Effect.succeed(a)
    }
  })

const borrow = <C>(engine: Engine<C>, shared: boolean) =>
<A, E, R>(
  f: (connection: C, ...alone: Array<boolean>) => Effect.Effect<A, E, R>,
  options: AcquireOptions = noOptions
): Effect.Effect<A, E | AcquireError, R> =>
  Effect.uninterruptibleMask((restore) => {
    const run = (hold: Hold<C>) => {
      const { connection } = hold.entry
      return during(hold, restore, Effect.suspend(() => shared ? f(connection, !hold.shared) : f(connection)))
    }
    const entry = engine.sessions === 0 ? lendNow(engine, shared) : undefined
    return entry === undefined
      ? Effect.flatMap(obtain(engine, restore, options, false, shared), run)
      : run(lent(engine, entry, false, shared))
  })

/** @internal */
export const use = <C>(engine: Engine<C>): Pool<C>["use"] => borrow(engine, false)

/** `use` of a connection that others may be using at the same time @internal */
export const share = <C>(engine: Engine<C>): SharingPool<C>["share"] => borrow(engine, true) as SharingPool<C>["share"]

/** @internal */
export const acquire = <C>(
  engine: Engine<C>,
  options: AcquireOptions = noOptions
): Effect.Effect<Lease<C>, AcquireError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(obtain(engine, restore, options, true, false), (hold) => scoped(engine, hold))
  )

/** @internal */
export const session =
  <C>(engine: Engine<C>) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | AcquireError, R> =>
    Effect.uninterruptibleMask((restore) =>
      Session.levelOf(engine) === undefined
        ? Effect.flatMap(
          obtainEntry(engine, restore, noOptions, false),
          (entry) => during(Session.open(engine, entry), restore, self)
        )
        : restore(self)
    )

const scoped = <C>(engine: Engine<C>, hold: Hold<C>): Effect.Effect<Lease<C>, never, Scope.Scope> =>
  Effect.withFiberRuntime((fiber) => {
    const scope = Context.unsafeGet(fiber.currentContext, Scope.Scope)
    return Effect.as(Scope.addFinalizer(scope, Effect.sync(() => hold.end())), new LeaseImpl(engine, hold))
  })

/** the entry may be somebody else's by the time a lease that has ended is touched again */
class LeaseImpl<C> implements Lease<C> {
  constructor(private readonly engine: Engine<C>, private readonly hold: Hold<C>) {}

  get connection(): C {
    return this.hold.entry.connection
  }

  get condition(): Condition {
    const { engine: { hooks }, hold: { ended, entry } } = this
    return ended || entry.state !== State.leased ? "broken" : conditionOf(hooks, entry.connection)
  }

  get invalidate(): Effect.Effect<void> {
    return Effect.sync(() => {
      if (!this.hold.ended) this.engine.invalidate(this.hold.entry)
    })
  }
}
