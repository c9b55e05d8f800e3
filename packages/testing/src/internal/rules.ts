/**
 * Watching a pool: the fiber that looks whenever something has happened, and the end.
 */
import * as Pool from "@dbpool/core/Pool"
import * as PoolConfig from "@dbpool/core/PoolConfig"
import type { InvalidPoolConfig } from "@dbpool/core/PoolError"
import type { PoolStats } from "@dbpool/core/PoolStats"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Supervisor from "effect/Supervisor"
import type { AnyOptions, PoolBooks } from "../PoolBooks.js"
import type { RuleBroken, Settings, Watched } from "../PoolRules.js"
import type { Books } from "./books.js"
import { record } from "./books.js"
import { Referee } from "./referee.js"
import { longRest, rest } from "./rest.js"
import { watched } from "./watchedPool.js"

type AnyPool = Pool.Pool<unknown>

/** judges twice if need be: a finding that a fiber which has not run yet would explain is none */
const look = (referee: Referee, stats: Effect.Effect<PoolStats>): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* rest
    const first = referee.judge(yield* stats)
    if (first.length === 0) return
    yield* longRest
    const second = referee.judge(yield* stats)
    for (const finding of first) {
      const stays = second.some(({ rule, what }) => rule === finding.rule && what === finding.what)
      if (stays && !referee.found.some(({ what }) => what === finding.what)) referee.blame(finding)
    }
  })

/** looks whenever something has happened */
const looking = (referee: Referee, stats: Effect.Effect<PoolStats>): Effect.Effect<never> => {
  let changed = true
  let wake: (() => void) | undefined
  referee.onChange = () => {
    changed = true
    wake?.()
  }
  const change = Effect.async<void>((resume) => {
    wake = () => {
      wake = undefined
      resume(Effect.void)
    }
    if (changed) wake()
  })
  return Effect.forever(Effect.zipRight(
    change,
    Effect.suspend(() => {
      changed = false
      return look(referee, stats)
    })
  ))
}

const verdict = (referee: Referee): Effect.Effect<void, RuleBroken> =>
  Effect.suspend(() => referee.found.length === 0 ? Effect.void : Effect.fail(referee.found[0]!))

const refereeOf = (pool: AnyPool, books: Books, settings: Settings): Effect.Effect<Referee, InvalidPoolConfig> =>
  Effect.gen(function*() {
    const config = yield* PoolConfig.resolve({ ...books.options, name: pool.name })
    const tolerance = yield* PoolConfig.bound(pool.name, "tolerance", settings.tolerance ?? "500 millis")
    const slowestRetry = yield* PoolConfig.bound(pool.name, "slowestRetry", settings.slowestRetry ?? "10 seconds")
    return new Referee(books, config, tolerance, slowestRetry)
  })

const begin = <P extends AnyPool>(pool: P, referee: Referee): Effect.Effect<Watched<P>, never, Scope.Scope> =>
  Effect.gen(function*() {
    yield* Effect.addFinalizer(() => Effect.sync(() => referee.closes()))
    yield* Effect.forkScoped(Effect.interruptible(looking(referee, pool.stats)))
    return {
      pool: watched(pool, referee),
      check: Effect.zipRight(look(referee, pool.stats), verdict(referee)),
      broken: Effect.sync(() => referee.found.slice()),
      balanced: Effect.gen(function*() {
        yield* rest
        referee.judgeEnd(yield* pool.stats)
        yield* verdict(referee)
      })
    }
  })

/** @internal */
export const watch = <P extends AnyPool>(pool: P, books: PoolBooks<unknown>, settings: Settings = {}) =>
  Effect.flatMap(refereeOf(pool, books as Books, settings), (referee) => begin(pool, referee))

/** @internal */
export const balanced = (pool: AnyPool, books: PoolBooks<unknown>): Effect.Effect<void, RuleBroken> =>
  Effect.gen(function*() {
    // the pool was made of these options, so they are sound
    const referee = yield* Effect.orDie(refereeOf(pool, books as Books, {}))
    referee.judgeEnd(yield* pool.stats)
    yield* verdict(referee)
  })

/** @internal */
export const make = (options: AnyOptions, settings: Settings = {}) =>
  Effect.gen(function*() {
    const books = yield* record(options)
    const scope = yield* Scope.make()
    const fibers = yield* Supervisor.track
    let end = (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> => Scope.close(scope, exit)
    yield* Effect.addFinalizer((exit) => end(exit))
    const pool: AnyPool = yield* Effect.supervised(Scope.extend(Pool.make(books.options), scope), fibers)
    const referee = yield* refereeOf(pool, books, settings)
    const begun = yield* Scope.extend(begin(pool, referee), scope)
    end = (exit) =>
      Effect.gen(function*() {
        if (Exit.isFailure(exit)) return yield* close(referee, scope)
        yield* look(referee, pool.stats)
        yield* close(referee, scope)
        yield* nothingRuns(referee, fibers)
        yield* Effect.orDie(begun.balanced)
      })
    return begun
  })

/** Closes the pool, and lets the time pass that this takes. */
const close = (referee: Referee, scope: Scope.CloseableScope): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { closeTimeout, resetTimeout, shutdownTimeout, validateTimeout } = referee.config
    const bound = shutdownTimeout + 2 * closeTimeout + 2 * resetTimeout + validateTimeout + referee.tolerance
    const took = yield* Effect.forkDaemon(Effect.map(
      Effect.timed(Scope.close(scope, Exit.void)),
      ([duration]) => Duration.toMillis(duration)
    ))
    const late = `the pool was not closed after ${bound} ms`
    const done = yield* within(took, bound)
    if (Option.isNone(done) || done.value > bound) referee.blame({ rule: 10, what: late })
  })

/** a clock that only moves when it is told to, which is what Effect's `TestClock` is */
const isTestClock = (clock: Clock.Clock): clock is Clock.Clock & {
  readonly adjust: (duration: Duration.DurationInput) => Effect.Effect<void>
} => "adjust" in clock

/** no scope of a test takes longer to close, whatever the options of its pool say */
const longest = 86_400_000

const within = <A>(fiber: Fiber.Fiber<A>, bound: number): Effect.Effect<Option.Option<A>> =>
  Effect.gen(function*() {
    const millis = Math.min(bound, longest)
    const clock = yield* Effect.clock
    yield* rest
    if (isTestClock(clock)) {
      if (Option.isNone(yield* Fiber.poll(fiber))) yield* clock.adjust(millis)
      yield* rest
      const exit = yield* Fiber.poll(fiber)
      return Option.isSome(exit) ? Option.some(yield* exit.value) : Option.none()
    }
    return yield* Effect.interruptible(Effect.timeoutOption(Fiber.join(fiber), millis))
  })

/** The pool has closed: none of its fibers may run on, unless a hook of the user's does. */
const nothingRuns = (referee: Referee, fibers: Supervisor.Supervisor<Array<Fiber.RuntimeFiber<any, any>>>) =>
  Effect.gen(function*() {
    yield* rest
    const stuck = referee.books.accounts.some(({ closedAt, closingAt, connecting, hook }) =>
      connecting || hook !== undefined || (closingAt !== Infinity && closedAt === Infinity)
    )
    if (stuck) return
    const left = (yield* fibers.value).length
    if (left > 0) referee.blame({ rule: 9, what: `${left} fibers of the closed pool still run` })
  })
