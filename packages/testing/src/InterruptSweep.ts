/**
 * Interrupts an effect at every one of its steps, one step per run, so that you can see that nothing leaks wherever the
 * interrupt comes.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as internal from "./internal/interruptSweep.js"

/**
 * The place where a run is cut: the k-th operation of the fiber that runs the effect given to `interrupt` or `stop`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cut {
  /** There the fiber is interrupted. */
  readonly interrupt: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** There the fiber stops until whoever waits for `reached` has had the time to interrupt it. */
  readonly stop: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly reached: Effect.Effect<void>
}

/**
 * A cut, and the scheduler that makes it in whatever runs on it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Knife extends Cut {
  readonly scheduler: Scheduler.Scheduler
  /** Whether something was given to `interrupt` or `stop`. */
  readonly watches: () => boolean
  /** Whether the operation was reached. */
  readonly hasCut: () => boolean
}

/**
 * Makes the cut of a single run, for those who have a scheduler of their own, such as that of a simulated world: run the
 * effect by `Effect.withScheduler`. `later` is how a fiber that `stop` has stopped goes on; it must give the others time to
 * interrupt it. Default: Effect's own scheduler, and the next turn of the event loop.
 *
 * @example
 * ```ts
 * import * as InterruptSweep from "@dbpool/testing/InterruptSweep"
 * import * as Effect from "effect/Effect"
 *
 * // interrupted at its third operation
 * const cutAtThree = <A, E>(self: Effect.Effect<A, E>) => {
 *   const knife = InterruptSweep.knife(3)
 *   return Effect.withScheduler(knife.interrupt(self), knife.scheduler)
 * }
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const knife: (
  operation: number,
  options?: {
    readonly scheduler?: Scheduler.Scheduler | undefined
    readonly later?: ((run: () => void) => void) | undefined
  }
) => Knife = internal.knife

/**
 * One run, and how it ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface Run<out A, out E> {
  /** at which operation it was to be cut, counting from 1 */
  readonly operation: number
  /** whether it was; the last run ended before that */
  readonly cut: boolean
  readonly exit: Exit.Exit<A, E>
}

/**
 * After a cut at that operation something was wrong: what `after` found, or the effect did not end.
 *
 * @since 0.1.0
 * @category errors
 */
export class SweepFailed extends Data.TaggedError("SweepFailed")<{
  readonly operation: number
  readonly cause: unknown
}> {
  /**
   * @since 0.1.0
   */
  override get message(): string {
    const { cause } = this
    return `After a cut at operation ${this.operation}: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}

/**
 * What a sweep does, again and again.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<World, A, E, R> {
  /** Makes what one run needs. Each run has its own, and its scope is closed when the run is over. */
  readonly world: Effect.Effect<World, unknown, R>
  /** What is to be interrupted: whatever of it `cut.interrupt` or `cut.stop` is given, once in every run. */
  readonly effect: (world: World, cut: Cut) => Effect.Effect<A, E, R>
  /** What goes on while the effect runs: somebody gives a connection back, time passes. */
  readonly meanwhile?: ((world: World) => Effect.Effect<unknown, unknown, R>) | undefined
  /** Looks whether the world is in order after a run, and fails or dies if it is not. */
  readonly after: (world: World, run: Run<A, E>) => Effect.Effect<unknown, unknown, R>
  /** How long a run may go on after it was cut, on the real clock; then it is taken to hang. Default: 5 seconds */
  readonly patience?: Duration.DurationInput | undefined
}

/**
 * Runs an effect again and again, in a world of its own each time, and has it interrupted one operation later than the time
 * before, until it ends before that. Answers how the runs ended.
 *
 * Fails with `SweepFailed`, which names the operation, as soon as something is wrong.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as InterruptSweep from "@dbpool/testing/InterruptSweep"
 * import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
 * import * as Effect from "effect/Effect"
 *
 * const sweep = InterruptSweep.sweep({
 *   world: Effect.gen(function*() {
 *     const server = yield* SimulatedServer.make
 *     return yield* Pool.make(server.options)
 *   }),
 *   effect: (pool, cut) => cut.interrupt(pool.use((connection) => connection.query)),
 *   after: (pool) =>
 *     Effect.flatMap(pool.stats, ({ leased }) => leased === 0 ? Effect.void : Effect.fail("a connection is not back"))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const sweep = <World, A, E, R>(
  options: Options<World, A, E, R>
): Effect.Effect<ReadonlyArray<Run<A, E>>, SweepFailed, Exclude<R, Scope.Scope>> =>
  Effect.gen(function*() {
    const runs: Array<Run<A, E>> = []
    for (let operation = 1;; operation++) {
      const run = yield* internal.run(options, operation).pipe(
        Effect.scoped,
        Effect.catchAllCause((cause) => Effect.fail(new SweepFailed({ operation, cause: Cause.squash(cause) })))
      )
      runs.push(run)
      if (!run.cut) return runs
    }
  })

/**
 * A way for the fiber that runs an effect to be interrupted.
 *
 * @since 0.1.0
 * @category models
 */
export type Interrupter = <A, E>(self: Effect.Effect<A, E>, cut: Cut) => Effect.Effect<unknown, unknown>

/** a clock on which every sleep ends when the cut is reached */
const clockOf = ({ reached }: Cut): Clock.Clock => ({ ...Clock.make(), sleep: () => reached })

/**
 * The ways in which a program interrupts something: by itself, where the interrupt has to wait, and by the combinators of
 * Effect that do so. Sweep with each of them.
 *
 * The combinators interrupt what they run, and are not interrupted themselves: that may hang them right after they forked,
 * in Effect 3.
 *
 * @since 0.1.0
 * @category combinators
 */
export const interrupters: {
  readonly interrupt: Interrupter
  readonly uninterruptible: Interrupter
  readonly timeout: Interrupter
  readonly race: Interrupter
  readonly all: Interrupter
} = {
  interrupt: (self, { interrupt }) => interrupt(self),
  uninterruptible: (self, { interrupt }) => Effect.uninterruptible(interrupt(self)),
  timeout: (self, cut) => Effect.withClock(Effect.timeout(cut.stop(self), "1 second"), clockOf(cut)),
  race: (self, { reached, stop }) => Effect.race(stop(Effect.exit(self)), reached),
  all: (self, { reached, stop }) =>
    Effect.all([Effect.zipRight(stop(self), Effect.fail("done")), Effect.zipRight(reached, Effect.fail("enough"))], {
      concurrency: "unbounded"
    })
}
