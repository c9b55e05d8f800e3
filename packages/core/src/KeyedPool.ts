/**
 * Leases with a name: whoever asks for the same key while it is held gets the same connection.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Lineage from "./internal/lineage.js"
import { Shared } from "./internal/shared.js"
import type { Lease, Pool } from "./Pool.js"
import type { AcquireError } from "./PoolError.js"
import { PoolClosed } from "./PoolError.js"

/**
 * What a keyed pool is recognised by.
 *
 * @example
 * ```ts
 * import * as KeyedPool from "@dbpool/core/KeyedPool"
 * import * as Predicate from "effect/Predicate"
 *
 * const isKeyedPool = (u: unknown): boolean => Predicate.hasProperty(u, KeyedPool.TypeId)
 * ```
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = "~@dbpool/core/KeyedPool"

/**
 * The type of what a keyed pool is recognised by.
 *
 * @example
 * ```ts
 * import type * as KeyedPool from "@dbpool/core/KeyedPool"
 *
 * interface Ours {
 *   readonly id: KeyedPool.TypeId
 * }
 * ```
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@dbpool/core/KeyedPool"

/**
 * Lends a connection to a key: the first one who asks takes it from the pool, those who ask while it is held share it, and
 * with the last one it goes back. Who shares a connection has to agree on who uses it when.
 *
 * @example
 * ```ts
 * import type * as KeyedPool from "@dbpool/core/KeyedPool"
 * import * as Effect from "effect/Effect"
 *
 * interface Connection {
 *   readonly run: (command: string) => Effect.Effect<void>
 * }
 *
 * // all steps of a job run on the connection of that job, whichever fiber takes them
 * const step = (jobs: KeyedPool.KeyedPool<string, Connection>, job: string, command: string) =>
 *   jobs.use(job, (connection) => connection.run(command))
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface KeyedPool<in K, out C> {
  readonly [TypeId]: TypeId
  /**
   * The connection of a key, until the scope closes. Fails as the pool's `acquire` does: all who wait for the same
   * connection get the same answer, and the deadline counts from when the first of them asked.
   */
  readonly acquire: (key: K) => Effect.Effect<Lease<C>, AcquireError, Scope.Scope>
  /** Runs an effect with the connection of a key. Fails as `acquire` does, and with whatever the effect fails with. */
  readonly use: <A, E, R>(
    key: K,
    f: (connection: C) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | AcquireError, R>
}

/**
 * Keyed leases of a pool. When the scope closes, the connections that are still held are closed, because nobody can tell
 * whether they are in use, and who asks then gets `PoolClosed`. Keys are equal by Effect's `Equal`: strings, numbers, `Data`.
 *
 * @example
 * ```ts
 * import * as KeyedPool from "@dbpool/core/KeyedPool"
 * import * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   let n = 0
 *   const pool = yield* Pool.make({ connect: Effect.sync(() => ({ n: ++n })) })
 *   const keyed = yield* KeyedPool.make<string, { readonly n: number }>(pool)
 *   const one = yield* keyed.acquire("report")
 *   const other = yield* keyed.acquire("report")
 *   return one.connection === other.connection // true
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <K, C>(pool: Pool<C>): Effect.Effect<KeyedPool<K, C>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runtime = Lineage.orphan(yield* Effect.runtime<never>())
    const shared: Shared<K, Lease<C>, AcquireError> = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new Shared<K, Lease<C>, AcquireError>({
          // whoever still holds it at the end may go on using it without asking: nobody else must ever get it
          make: (slot) =>
            Effect.tap(pool.acquire, (lease) =>
              Effect.addFinalizer(() => slot.users > 0 ? lease.invalidate : Effect.void)),
          closed: () =>
            new PoolClosed({ pool: pool.name }),
          left: (slot) => shared.drop(slot)
        }, runtime)
      ),
      (shared) => shared.close
    )
    return {
      [TypeId]: TypeId,
      acquire: (key) => shared.hold(key),
      use: (key, f) => shared.use(key, (lease) => Effect.suspend(() => f(lease.connection)))
    }
  })
