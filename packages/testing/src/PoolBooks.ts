/**
 * The books of a pool: what happened to each of its connections, written by the hooks themselves. They work for a pool of
 * anything, and are what `PoolRules` judges by.
 *
 * @since 0.1.0
 */
import type * as Pool from "@dbpool/core/Pool"
import type * as Effect from "effect/Effect"
import * as internal from "./internal/books.js"

/**
 * What the books of a pool are recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = internal.TypeId

/**
 * The type of what the books of a pool are recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@dbpool/testing/PoolBooks"

/**
 * The options of a pool of anything.
 *
 * @since 0.1.0
 * @category models
 */
export type AnyOptions = Pool.Options<any, any, any, any, any, any>

/**
 * What a pool with these options is a pool of.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectionOf<O extends AnyOptions> = O extends { readonly connect: Effect.Effect<infer C, any, any> } ? C
  : never

/**
 * What happened to one connection, or to one attempt to open one. Times are milliseconds since the books were opened.
 *
 * @since 0.1.0
 * @category models
 */
export interface Account<out C> {
  /** Counts from 1, in the order in which the attempts began. */
  readonly id: number
  readonly connection: C | undefined
  readonly startedAt: number
  /** Whether `connect` is still running. */
  readonly connecting: boolean
  /** `Infinity` while it is not open, and for ever when `connect` failed. */
  readonly openedAt: number
  /** When it said that it had died by itself. */
  readonly lostAt: number
  /** When its scope began to close. */
  readonly closingAt: number
  /** How often its scope was closed, from beginning to end. */
  readonly closed: number
  /** How often it was destroyed. */
  readonly destroyed: number
  /** Which hook is running on it. */
  readonly hook: string | undefined
}

/**
 * One account for each attempt to connect, in the order in which they began.
 *
 * @since 0.1.0
 * @category models
 */
export interface PoolBooks<out C, out O extends AnyOptions = AnyOptions> {
  readonly [TypeId]: TypeId
  /** The options that were given, with hooks that keep the books. Make the pool of these. */
  readonly options: O
  readonly accounts: ReadonlyArray<Account<C>>
}

/**
 * Keeps books of a pool that is going to be made with the returned `options`. Every connection has to be a value of its
 * own: two that are equal cannot be told apart.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolBooks from "@dbpool/testing/PoolBooks"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const books = yield* PoolBooks.record({
 *     connect: Effect.acquireRelease(Effect.sync(() => ({ name: "ftp" })), () => Effect.void),
 *     maxConnections: 3
 *   })
 *   const pool = yield* Pool.make(books.options)
 *   yield* pool.use(({ name }) => Effect.log(name))
 *   yield* Effect.log(`${books.accounts.length} connections were opened`)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const record: <O extends AnyOptions>(options: O) => Effect.Effect<PoolBooks<ConnectionOf<O>, O>> = internal
  .record as any
