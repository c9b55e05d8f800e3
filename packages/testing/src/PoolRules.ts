/**
 * The ten rules of a pool, judged from outside: by the calls of those who borrow, by the books of the connections, and by
 * `pool.stats`. They hold for every program, whatever the server does, so any test of yours can check them.
 *
 * @since 0.1.0
 */
import type * as Pool from "@dbpool/core/Pool"
import type { ConnectFailed, InvalidPoolConfig, TooManyConnections } from "@dbpool/core/PoolError"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as internal from "./internal/rules.js"
import type { AnyOptions, ConnectionOf, PoolBooks } from "./PoolBooks.js"

/**
 * The number of a rule.
 *
 * @since 0.1.0
 * @category models
 */
export type Rule = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10

/**
 * What each rule says.
 *
 * @since 0.1.0
 * @category models
 */
export const rules: Readonly<Record<Rule, string>> = {
  1: "never more connections than maxConnections, those being opened and closed included",
  2: "a connection has one holder",
  3: "nobody waits beside an idle connection, or while one could be opened",
  4: "first come, first served",
  5: "every caller is answered by its deadline",
  6: "a caller that leaves cancels no connect, and a late connection is kept",
  7: "a connection handed to somebody who has just left goes to the next one",
  8: "never lent: what is busy, dirty, dead, closed, too old, or drained hard",
  9: "every connection is closed exactly once, and nothing is left of a closed pool",
  10: "closing has a bound, and what takes longer is destroyed"
}

/**
 * A pool has broken a rule. The message says what happened, and what had happened before.
 *
 * @since 0.1.0
 * @category errors
 */
export class RuleBroken extends Data.TaggedError("RuleBroken")<{
  readonly pool: string
  readonly rule: Rule
  readonly what: string
  /** the last things that happened to the pool, one a line, with the milliseconds since it has been watched */
  readonly history: ReadonlyArray<string>
}> {
  /**
   * @since 0.1.0
   */
  override get message(): string {
    const history = this.history.map((line) => `\n  ${line}`).join("")
    return `Pool "${this.pool}" has broken rule ${this.rule} (${rules[this.rule]}): ${this.what}${history}`
  }
}

/**
 * How strict to be.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  /**
   * By how much the event loop may delay what is due. Under `TestClock` nothing is ever late: `"1 millis"` makes the rules
   * exact there. Default: 500 milliseconds
   */
  readonly tolerance?: Duration.DurationInput | undefined
  /**
   * The longest pause that the pool's `connectRetry` makes. Only after that, when something has gone wrong, must somebody
   * who waits see a connect. Default: 10 seconds, which is beyond those of `PoolSchedule.connect`
   */
  readonly slowestRetry?: Duration.DurationInput | undefined
}

/**
 * A pool that is being watched.
 *
 * @since 0.1.0
 * @category models
 */
export interface Watched<out P> {
  /** Give this one to your program: what it does with another one is not seen. */
  readonly pool: P
  /** Waits until everything that can happen at this moment has happened. Fails if a rule has ever been broken. */
  readonly check: Effect.Effect<void, RuleBroken>
  /** Everything found so far. */
  readonly broken: Effect.Effect<ReadonlyArray<RuleBroken>>
  /**
   * To be asked after the pool's scope has closed. Fails unless every connection was closed once, and nothing is left; or
   * if a rule has ever been broken.
   */
  readonly balanced: Effect.Effect<void, RuleBroken>
}

/**
 * Watches a pool that was made with the options of these books, until the scope closes, which must be the pool's own: the
 * pool is taken to be closing from then on. Fails with `InvalidPoolConfig` when the options are none a pool can be made of.
 *
 * Everybody who uses the pool has to use the watched one.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolBooks from "@dbpool/testing/PoolBooks"
 * import * as PoolRules from "@dbpool/testing/PoolRules"
 * import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* SimulatedServer.make
 *   const books = yield* PoolBooks.record({ ...server.options, maxConnections: 3 })
 *   const watched = yield* Effect.scoped(Effect.gen(function*() {
 *     const watched = yield* PoolRules.watch(yield* Pool.make(books.options), books)
 *     yield* watched.pool.use((connection) => connection.query)
 *     yield* watched.check
 *     return watched
 *   }))
 *   yield* watched.balanced
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const watch: <P extends Pool.Pool<any>>(
  pool: P,
  books: PoolBooks<unknown>,
  settings?: Settings
) => Effect.Effect<Watched<P>, InvalidPoolConfig, Scope.Scope> = internal.watch as any

/**
 * What is left to check when a pool has not been watched, but books have been kept: that after its scope has closed each
 * connection was closed exactly once, and nothing is left. To be asked when everything has ended that was going on.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolBooks from "@dbpool/testing/PoolBooks"
 * import * as PoolRules from "@dbpool/testing/PoolRules"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const books = yield* PoolBooks.record({ connect: Effect.sync(() => ({ name: "ftp" })) })
 *   const pool = yield* Effect.scoped(Pool.make(books.options))
 *   yield* PoolRules.balanced(pool, books)
 * })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const balanced: (pool: Pool.Pool<any>, books: PoolBooks<unknown>) => Effect.Effect<void, RuleBroken> =
  internal.balanced

/**
 * Makes a pool that is watched from its beginning to its end. When the scope closes, the rules are checked, the pool is
 * closed, which must not take longer than it may, and nothing of it may be left, no fiber either. If a rule has been
 * broken, the scope's closing dies with `RuleBroken`, so that the test fails by itself; one that has failed already keeps
 * its own error.
 *
 * Under `TestClock` the time that closing takes is let pass. Fails as `Pool.make` does.
 *
 * @example
 * ```ts
 * import * as PoolRules from "@dbpool/testing/PoolRules"
 * import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
 * import * as Effect from "effect/Effect"
 *
 * const test = Effect.gen(function*() {
 *   const server = yield* SimulatedServer.make
 *   const { pool } = yield* PoolRules.make({ ...server.options, maxConnections: 3 })
 *   yield* server.restart
 *   yield* pool.use((connection) => connection.query)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: <O extends AnyOptions>(
  options: O,
  settings?: Settings
) => Effect.Effect<
  Watched<Pool.Pool<ConnectionOf<O>>>,
  InvalidPoolConfig | ConnectFailed | TooManyConnections,
  Requirements<O> | Scope.Scope
> = internal.make as any

/**
 * What the hooks of a pool need.
 *
 * @since 0.1.0
 * @category models
 */
export type Requirements<O extends AnyOptions> = O extends Pool.Options<any, any, infer R, infer RV, infer RC, infer RR>
  ? R | RV | RC | RR
  : never
