/**
 * The I/O of the pool: connect, validate, restore, close. Each runs in a fiber of the pool, never of a caller, is
 * bounded in time, and ends by reporting to the engine.
 *
 * Tasks start uninterruptible: only the waits in `settle` can be interrupted, by the shutdown, and then the task still
 * accounts for its connection.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { ConnectTimeout } from "../PoolError.js"
import * as Account from "./account.js"
import type { Fault } from "./admission.js"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"
import { State } from "./entry.js"
import { conditionOf, validatesOn } from "./hooks.js"
import * as Loss from "./loss.js"
import * as Outage from "./outage.js"
import * as Trace from "./trace.js"

/** how long a schedule may take to answer */
const scheduleTakes = 1000

/** waits for a fiber, but not longer than that; `none` when it went on */
const settle = <A, E>(fiber: Fiber.Fiber<A, E>, millis: number): Effect.Effect<Option.Option<Exit.Exit<A, E>>> =>
  Effect.map(
    Effect.exit(Effect.interruptible(Effect.timeoutOption(Fiber.await(fiber), Duration.millis(millis)))),
    (exit) => Exit.isSuccess(exit) ? exit.value : Option.none()
  )

/**
 * Runs one of the user's hooks in a fiber of its own, so that one which ignores its interruption holds up nothing else.
 */
const attempt = <A, E>(
  effect: () => Effect.Effect<A, E>,
  millis: number
): Effect.Effect<Option.Option<Exit.Exit<A, E>>> =>
  Effect.flatMap(
    Effect.forkDaemon(Effect.interruptible(Effect.suspend(effect))),
    (fiber) =>
      Effect.tap(settle(fiber, millis), (outcome) => {
        if (Option.isNone(outcome)) fiber.unsafeInterruptAsFork(fiber.id())
        return Effect.void
      })
  )

const succeeded = (outcome: Option.Option<Exit.Exit<unknown, unknown>>): boolean =>
  Option.isSome(outcome) && Exit.isSuccess(outcome.value) && outcome.value.value !== false

/** @internal */
export const connect = <C>(engine: Engine<C>, entry: Entry<C>): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { config, hooks } = engine
    const scope = yield* Scope.make()
    const opened = Effect.tap(hooks.connect, (connection) => {
      // from here on there is something to destroy, whatever becomes of its setup
      entry.destroy = () => hooks.destroy?.(connection)
      return hooks.setup === undefined ? Effect.void : hooks.setup(connection)
    })
    const dial = yield* Effect.forkDaemon(
      Trace.connecting(engine, entry, Effect.interruptible(Scope.extend(opened, scope)))
    )
    entry.close = Effect.zipRight(Fiber.await(dial), Scope.close(scope, Exit.void))
    const dialled = yield* settle(dial, config.connectTimeout)
    if (Option.isNone(dialled)) {
      // whatever it still opens is closed by `entry.close`
      dial.unsafeInterruptAsFork(dial.id())
      engine.connectFailed(entry, new ConnectTimeout({ afterMillis: config.connectTimeout }), "transient")
      return
    }
    if (Exit.isFailure(dialled.value)) {
      const cause = dialled.value.cause
      engine.connectFailed(entry, Cause.squash(cause), faultOf(engine, cause))
      return
    }
    const connection = dialled.value.value
    entry.connection = connection
    // the fiber that dialled has nothing more to say, and is as large as all the rest together
    entry.close = Scope.close(scope, Exit.void)
    let death: Option.Option<unknown> = Option.none()
    const watched = yield* Effect.exit(Effect.sync(() =>
      hooks.onLost?.(connection, (cause) => {
        if (entry.state === State.connecting) death = Option.some(cause)
        else Loss.reported(engine, entry, cause)
      })
    ))
    if (Exit.isFailure(watched)) {
      engine.connectFailed(entry, Cause.squash(watched.cause), "fatal")
      return
    }
    if (engine.admission.paced && hooks.validate !== undefined) {
      const outcome = yield* attempt(() => hooks.validate!(connection), config.validateTimeout)
      if (!succeeded(outcome)) {
        engine.connectFailed(entry, whyInvalid(outcome, config.validateTimeout), "transient")
        return
      }
    }
    const lifetime = config.maxLifetime * (1 - config.lifetimeJitter * (yield* Random.next))
    // the last step, with nothing in between that could yield: a death is noticed either here or by the engine
    if (Option.isSome(death)) {
      engine.connectFailed(entry, death.value, "transient")
      return
    }
    const now = engine.now()
    // a drain may have come while it was being opened
    entry.hardAt = Math.min(entry.hardAt, now + config.maxLifetime)
    entry.softAt = Math.min(entry.softAt, now + lifetime)
    engine.connected(entry)
  })

/** A bug in the user's connect is not going to mend itself; one in `connectFault` says nothing about the server. */
const faultOf = <C>(engine: Engine<C>, cause: Cause.Cause<unknown>): Fault => {
  const failure = Cause.failureOption(cause)
  if (Option.isNone(failure)) return "fatal"
  try {
    return engine.hooks.fault(failure.value)
  } catch {
    return "transient"
  }
}

const whyInvalid = (outcome: Option.Option<Exit.Exit<unknown, unknown>>, timeout: number): unknown =>
  Option.match(outcome, {
    onNone: () => new ConnectTimeout({ afterMillis: timeout }),
    onSome: (exit) => Exit.isFailure(exit) ? Cause.squash(exit.cause) : new Error("the new connection is not valid")
  })

/** @internal */
export const validate = <C>(engine: Engine<C>, entry: Entry<C>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const begunAt = engine.now()
    return Effect.map(
      attempt(() => engine.hooks.validate!(entry.connection), engine.config.validateTimeout),
      (outcome) =>
        engine.validated(entry, succeeded(outcome) ? "valid" : Option.isSome(outcome) ? "stale" : "timedOut", begunAt)
    )
  })

/**
 * Makes a connection fit to be lent again, or gives it up.
 *
 * @internal
 */
export const restore = <C>(engine: Engine<C>, entry: Entry<C>): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { config: { resetTimeout }, hooks } = engine
    const run = (hook: ((connection: C) => Effect.Effect<unknown, unknown>) | undefined) =>
      hook === undefined
        ? Effect.succeed(false)
        : Effect.map(attempt(() => hook(entry.connection), resetTimeout), succeeded)
    let fit = true
    if (entry.state === State.cancelling) {
      fit = yield* run(hooks.cancel)
      if (fit && engine.restores(conditionOf(hooks, entry.connection))) engine.resetting(entry)
    }
    if (entry.state === State.resetting) {
      const dirty = conditionOf(hooks, entry.connection) !== "clean"
      if (dirty || hooks.reset.onClean !== undefined) {
        fit = yield* run(dirty ? hooks.reset.onDirty : hooks.reset.onClean)
      }
    }
    if (!fit || conditionOf(hooks, entry.connection) !== "clean") return engine.unfit(entry, "unrestored")
    if (validatesOn(engine.config, hooks, "return")) {
      const valid = yield* attempt(() => hooks.validate!(entry.connection), engine.config.validateTimeout)
      if (!succeeded(valid)) return engine.unfit(entry, "stale")
    }
    engine.restored(entry)
  })

/** @internal */
export const close = <C>(engine: Engine<C>, entry: Entry<C>): Effect.Effect<void> =>
  Effect.map(goodbye(engine, entry), (closed) => engine.closed(entry, !closed))

/**
 * Closes a connection that no longer has a slot.
 *
 * @internal
 */
export const bury = <C>(engine: Engine<C>, entry: Entry<C>): Effect.Effect<void> =>
  Effect.map(goodbye(engine, entry), (closed) => Account.buried(engine, entry, !closed))

/** whether it closed in time; what takes longer goes on by itself, and what failed to may have left a socket open */
const goodbye = <C>(engine: Engine<C>, entry: Entry<C>): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkDaemon(entry.close)
    const outcome = yield* settle(fiber, engine.config.closeTimeout)
    if (Option.isSome(outcome) && Exit.isSuccess(outcome.value)) return true
    yield* Effect.exit(Effect.sync(entry.destroy))
    return false
  })

/**
 * When to try again after a failed connect. A schedule is the user's code too: it may fail, or never answer.
 *
 * @internal
 */
export const askRetry = <C>(engine: Engine<C>, cause: unknown): Effect.Effect<void> =>
  Effect.map(attempt(() => engine.retry.next(cause), scheduleTakes), (outcome) => {
    if (Option.isNone(outcome) || Exit.isFailure(outcome.value)) Outage.retryIn(engine, undefined)
    else if (outcome.value.value === undefined) Outage.retryEnded(engine)
    else Outage.retryIn(engine, outcome.value.value)
  })
