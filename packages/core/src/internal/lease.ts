/**
 * How callers borrow: `use` (no scope, no fiber, no deferred on its fast path), `acquire` (a scope's finalizer gives it
 * back) and what both do when they have to wait.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { AcquireOptions } from "../AcquireOptions.js"
import type { Lease, Pool } from "../Pool.js"
import type { AcquireError } from "../PoolError.js"
import type { SharingPool } from "../SharingPool.js"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"
import { State } from "./entry.js"
import { held } from "./holders.js"
import type { Condition } from "./hooks.js"
import { conditionOf } from "./hooks.js"
import type { Level } from "./level.js"
import type { Hold } from "./lineage.js"
import * as Lineage from "./lineage.js"
import { regionOf } from "./region.js"
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

/** what for a connection is wanted: how it is lent to whoever needs not wait, and how the running fiber becomes its holder */
interface Purpose {
  /** ends with a scope, not with an effect */
  readonly lasting: boolean
  /** one that others use at the same time would do, which a session's never is */
  readonly shared: boolean
  readonly lend: <C>(engine: Engine<C>) => Entry<C> | undefined
  readonly begin: <C>(engine: Engine<C>, entry: Entry<C>) => Hold<C>
}

const lendIdle = <C>(engine: Engine<C>): Entry<C> | undefined => engine.lendIdle()

const forEffect: Purpose = {
  lasting: false,
  shared: false,
  lend: lendIdle,
  begin: (engine, entry) => held(engine, Lineage.begin(engine, entry, false))
}

const forScope: Purpose = {
  lasting: true,
  shared: false,
  lend: lendIdle,
  begin: (engine, entry) => held(engine, Lineage.begin(engine, entry, true))
}

const forSession: Purpose = { lasting: false, shared: false, lend: lendIdle, begin: Session.open }

const forSharer: Purpose = {
  lasting: false,
  shared: true,
  lend: (engine) => engine.sharing!.lend(),
  begin: (engine, entry) => held(engine, Lineage.begin(engine, entry, false, undefined, true, engine.now()))
}

/**
 * Waits for a connection, and goes on with it. Must be run in an uninterruptible region, whose `restore` is given: the
 * lease is owned by the waiter from the moment of the hand-off, so an interrupt that arrives at any later step gives it
 * back. A queue may be long, so every closure here counts.
 */
const wait = <C, A, E, R>(
  engine: Engine<C>,
  restore: Restore,
  options: AcquireOptions,
  purpose: Purpose,
  next: (hold: Hold<C>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | AcquireError, R> => {
  const region = regionOf(Lineage.running()!)
  const timeout = options.timeout ?? region.timeout
  const whenExhausted = options.whenExhausted ?? region.whenExhausted
  let waiter: Waiter<C> | undefined
  return Effect.matchCauseEffect(
    restore(Effect.async<Entry<C>, AcquireError>((resume) => {
      waiter = new Waiter(resume, purpose.shared)
      engine.request(waiter, timeout, whenExhausted)
    })),
    {
      onFailure: (cause) => {
        if (waiter !== undefined) engine.withdraw(waiter)
        return Effect.failCause(cause)
      },
      onSuccess: (entry) => {
        engine.taken(entry, engine.now() - waiter!.since)
        return next(purpose.begin(engine, entry))
      }
    }
  )
}

/**
 * Goes on with a connection for the running fiber: its turn on the session's, if it is in a session of this pool, else
 * one of the pool's. Must be run in an uninterruptible region, whose `restore` is given; what comes next has to see to
 * it that the hold ends. Called by the fiber itself, and as few effects as can be: each of them costs more than what is
 * done here.
 */
const obtain = <C, A, E, R>(
  engine: Engine<C>,
  restore: Restore,
  options: AcquireOptions,
  purpose: Purpose,
  next: (hold: Hold<C>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | AcquireError, R> => {
  const level = Session.levelOf(engine)
  return level === undefined
    ? fromPool(engine, restore, options, purpose, next)
    : fromSession(engine, level, restore, options, purpose, next)
}

const fromSession = <C, A, E, R>(
  engine: Engine<C>,
  level: Level<C>,
  restore: Restore,
  options: AcquireOptions,
  purpose: Purpose,
  next: (hold: Hold<C>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | AcquireError, R> => {
  const again = (rest: AcquireOptions) => obtain(engine, restore, rest, purpose, Effect.succeed)
  return Effect.flatMap(Session.enter(level, restore, options, purpose.lasting, again), next)
}

const fromPool = <C, A, E, R>(
  engine: Engine<C>,
  restore: Restore,
  options: AcquireOptions,
  purpose: Purpose,
  next: (hold: Hold<C>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | AcquireError, R> => {
  const entry = purpose.lend(engine)
  if (entry !== undefined) return next(purpose.begin(engine, entry))
  return Trace.isSeen(Lineage.running()!)
    ? traced(engine, restore, options, purpose, next)
    : wait(engine, restore, options, purpose, next)
}

/** only the wait is in the span */
const traced = <C, A, E, R>(
  engine: Engine<C>,
  restore: Restore,
  options: AcquireOptions,
  purpose: Purpose,
  next: (hold: Hold<C>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | AcquireError, R> =>
  Effect.flatMap(
    Trace.waiting(engine, Effect.suspend(() => wait(engine, restore, options, purpose, Effect.succeed))),
    next
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

/** waits for a connection, and has it for as long as an effect lasts */
class Borrower<C> extends Waiter<C> {
  hold: Hold<C> | undefined = undefined

  constructor(
    private readonly engine: Engine<C>,
    private readonly purpose: Purpose,
    /** what it needs is in the context of its fiber */
    private readonly f: (connection: C, ...alone: Array<boolean>) => Effect.Effect<any, any>,
    resume: (effect: Effect.Effect<any, any>) => void
  ) {
    super(resume, purpose.shared)
  }

  override accept(entry: Entry<C>): void {
    this.entry = entry
    this.resume(Effect.suspend(() => this.begin(entry)))
  }

  /** run by its fiber, which holds the connection from here on */
  private begin(entry: Entry<C>): Effect.Effect<any, any> {
    const { engine, f, purpose } = this
    engine.taken(entry, engine.now() - this.since)
    this.hold = purpose.begin(engine, entry)
    return made(this.hold, f, purpose.shared)
  }
}

/**
 * `wait` and `during` in one, because that takes fewer steps and less memory. Up to the moment in which the hold begins the
 * lease is the borrower's, from then on it is the hold's.
 */
const waitDuring = <C, A, E, R>(
  engine: Engine<C>,
  restore: Restore,
  options: AcquireOptions,
  purpose: Purpose,
  f: (connection: C, ...alone: Array<boolean>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | AcquireError, R> => {
  let borrower: Borrower<C> | undefined
  return Effect.matchCauseEffect(
    restore(Effect.async<A, E | AcquireError>((resume) => {
      borrower = new Borrower(engine, purpose, f as (connection: C) => Effect.Effect<A, E>, resume)
      const region = regionOf(Lineage.running()!)
      engine.request(borrower, options.timeout ?? region.timeout, options.whenExhausted ?? region.whenExhausted)
    })),
    {
      onFailure: (cause) => {
        if (borrower?.hold !== undefined) borrower.hold.end()
        else if (borrower !== undefined) engine.withdraw(borrower)
        return Effect.failCause(cause)
      },
      onSuccess: (a) => {
        borrower!.hold!.end(true)
        return Effect.succeed(a)
      }
    }
  )
}

/** what a caller does with its connection; one that throws has done with it */
const made = <C, A, E, R>(
  hold: Hold<C>,
  f: (connection: C, ...alone: Array<boolean>) => Effect.Effect<A, E, R>,
  shared: boolean
): Effect.Effect<A, E, R> => {
  try {
    return shared ? f(hold.entry.connection, !hold.shared) : f(hold.entry.connection)
  } catch (defect) {
    return Effect.die(defect)
  }
}

/**
 * Whether the running fiber is in a session of this pool, or wants a span for its wait: rare enough to go a way of many
 * steps.
 *
 * @internal
 */
export const isSpecial = (engine: Engine<any>, fiber: Lineage.Self): boolean =>
  Session.levelOf(engine) !== undefined || Trace.isSeen(fiber)

const borrow = <C>(engine: Engine<C>, purpose: Purpose) =>
<A, E, R>(
  f: (connection: C, ...alone: Array<boolean>) => Effect.Effect<A, E, R>,
  options: AcquireOptions = noOptions
): Effect.Effect<A, E | AcquireError, R> =>
  Effect.uninterruptibleMask((restore) => {
    if (isSpecial(engine, Lineage.running()!)) {
      return obtain(engine, restore, options, purpose, (hold) => during(hold, restore, made(hold, f, purpose.shared)))
    }
    const entry = purpose.lend(engine)
    if (entry === undefined) return waitDuring(engine, restore, options, purpose, f)
    const hold = purpose.begin(engine, entry)
    return during(hold, restore, made(hold, f, purpose.shared))
  })

/** @internal */
export const use = <C>(engine: Engine<C>): Pool<C>["use"] => borrow(engine, forEffect)

/** `use` of a connection that others may be using at the same time @internal */
export const share = <C>(engine: Engine<C>): SharingPool<C>["share"] =>
  borrow(engine, forSharer) as SharingPool<C>["share"]

/** @internal */
export const acquire = <C>(
  engine: Engine<C>,
  options: AcquireOptions = noOptions
): Effect.Effect<Lease<C>, AcquireError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) => obtain(engine, restore, options, forScope, (hold) => scoped(engine, hold)))

/** @internal */
export const session =
  <C>(engine: Engine<C>) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | AcquireError, R> =>
    Effect.uninterruptibleMask((restore) =>
      Session.levelOf(engine) === undefined
        ? fromPool(engine, restore, noOptions, forSession, (hold) => during(hold, restore, self))
        : restore(self)
    )

const scoped = <C>(engine: Engine<C>, hold: Hold<C>): Effect.Effect<Lease<C>, never, Scope.Scope> =>
  Effect.as(
    Scope.addFinalizerExit(
      Context.unsafeGet(Lineage.running()!.currentContext as Context.Context<Scope.Scope>, Scope.Scope),
      () => Effect.sync(() => hold.end())
    ),
    new LeaseImpl(engine, hold)
  )

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
