/**
 * A connection for each fiber: a fiber keeps the one it was lent first, over many uses, until it ends.
 *
 * Most programs want `pool.session` instead, whose connection also reaches the fibers that are started inside. This is for
 * what is written with threads in mind: workers that live for long, each with a connection of its own.
 *
 * What forks runs in another fiber, and so on another connection: `Effect.all` and `Effect.forEach` with concurrency,
 * `Effect.fork`, `Effect.race` and `Effect.timeout`. Such a fiber takes a connection for its first use and gives it back
 * when it ends. `fibers.use(f).pipe(Effect.timeout("1 second"))` therefore runs on a connection that is new to it: put the
 * timeout inside, around what is done with the connection.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import type { Restore } from "./internal/lease.js"
import * as Lineage from "./internal/lineage.js"
import type { Lease, Pool } from "./Pool.js"
import type { AcquireError } from "./PoolError.js"
import { PoolClosed } from "./PoolError.js"

/**
 * What a fiber pool is recognised by.
 *
 * @example
 * ```ts
 * import * as FiberPool from "@dbpool/core/FiberPool"
 * import * as Predicate from "effect/Predicate"
 *
 * const isFiberPool = (u: unknown): boolean => Predicate.hasProperty(u, FiberPool.TypeId)
 * ```
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = "~@dbpool/core/FiberPool"

/**
 * The type of what a fiber pool is recognised by.
 *
 * @example
 * ```ts
 * import type * as FiberPool from "@dbpool/core/FiberPool"
 *
 * interface Ours {
 *   readonly id: FiberPool.TypeId
 * }
 * ```
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@dbpool/core/FiberPool"

/**
 * Lends each fiber one connection, which it keeps.
 *
 * @example
 * ```ts
 * import type * as FiberPool from "@dbpool/core/FiberPool"
 * import * as Effect from "effect/Effect"
 *
 * interface Connection {
 *   readonly run: (command: string) => Effect.Effect<void>
 * }
 *
 * // a worker sets up what it needs once, and finds it again for every job
 * const worker = (fibers: FiberPool.FiberPool<Connection>, job: Effect.Effect<string>) =>
 *   Effect.zipRight(
 *     fibers.use((connection) => connection.run("create temporary table work")),
 *     Effect.forever(Effect.flatMap(job, (command) => fibers.use((connection) => connection.run(command))))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface FiberPool<out C> {
  readonly [TypeId]: TypeId
  /**
   * Runs an effect with the connection of the running fiber, which keeps it afterwards, until it ends. What is left open
   * on it, such as a transaction, costs the fiber its connection: the pool gets it back and cleans it, and the next use
   * takes one anew. So does one that has died.
   *
   * Fails as the pool's `acquire` does, but only when the fiber has no connection yet, and with whatever the effect fails
   * with.
   */
  readonly use: <A, E, R>(f: (connection: C) => Effect.Effect<A, E, R>) => Effect.Effect<A, E | AcquireError, R>
  /** Gives back the connection of the running fiber now; the next use takes one anew. Does nothing without one. */
  readonly release: Effect.Effect<void>
}

/**
 * A connection for each fiber, from a pool, whose `maxConnections` is how many fibers can have one; others wait as they do
 * for that pool. When the scope closes, all connections go back to it, but for those in use, which are closed; and who asks
 * then gets `PoolClosed`.
 *
 * @example
 * ```ts
 * import * as FiberPool from "@dbpool/core/FiberPool"
 * import * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   let n = 0
 *   const pool = yield* Pool.make({ connect: Effect.sync(() => ++n) })
 *   const fibers = yield* FiberPool.make(pool)
 *   const mine = fibers.use(Effect.succeed)
 *   // [1, 1]: one fiber, one connection
 *   const same = [yield* mine, yield* mine]
 *   // [2, 3]: two more fibers
 *   const others = yield* Effect.all([mine, mine], { concurrency: 2 })
 *   return [same, others]
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <C>(pool: Pool<C>): Effect.Effect<FiberPool<C>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runtime = Lineage.orphan(yield* Effect.runtime<never>())
    const book = new Book<C>(pool, runtime)
    yield* Effect.addFinalizer(() => book.close)
    return {
      [TypeId]: TypeId,
      use: <A, E, R>(f: (connection: C) => Effect.Effect<A, E, R>) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.withFiberRuntime<A, E | AcquireError, R>((fiber) => book.use(fiber, restore, f))
        ),
      release: Effect.withFiberRuntime((fiber) => Effect.uninterruptible(book.release(fiber)))
    }
  })

type AnyFiber = Fiber.RuntimeFiber<any, any>

/** What one fiber has. Only that fiber, its end, and the end of the pool may touch it. */
class Own<C> {
  /** how many uses are going on, one inside the other */
  depth = 0

  constructor(readonly lease: Lease<C>, readonly scope: Scope.CloseableScope, readonly onEnd: () => void) {}
}

class Book<C> {
  private readonly owned = new Map<AnyFiber, Own<C>>()
  private closed = false

  constructor(private readonly pool: Pool<C>, private readonly runtime: Runtime.Runtime<never>) {}

  use<A, E, R>(
    fiber: AnyFiber,
    restore: Restore,
    f: (connection: C) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | AcquireError, R> {
    const run = (own: Own<C>): Effect.Effect<A, E, R> => {
      own.depth++
      return Effect.ensuring(
        restore(Effect.suspend(() => f(own.lease.connection))),
        Effect.suspend(() => --own.depth === 0 && own.lease.condition !== "clean" ? this.release(fiber) : Effect.void)
      )
    }
    const own = this.owned.get(fiber)
    if (own === undefined) return Effect.flatMap(this.take(fiber, restore), run)
    return own.depth === 0 && own.lease.condition === "broken"
      ? Effect.flatMap(Effect.zipRight(this.release(fiber), this.take(fiber, restore)), run)
      : run(own)
  }

  release(fiber: AnyFiber): Effect.Effect<void> {
    return Effect.suspend(() => {
      const own = this.owned.get(fiber)
      if (own === undefined) return Effect.void
      this.owned.delete(fiber)
      fiber.removeObserver(own.onEnd)
      return Scope.close(own.scope, Exit.void)
    })
  }

  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.closed = true
    return Effect.forEach(
      [...this.owned],
      // one that is in use at the end may be used on without asking: nobody else must ever get it
      ([fiber, { depth, lease }]) => Effect.zipRight(depth > 0 ? lease.invalidate : Effect.void, this.release(fiber)),
      { discard: true }
    )
  })

  private take(fiber: AnyFiber, restore: Restore): Effect.Effect<Own<C>, AcquireError> {
    return Effect.suspend(() =>
      this.closed
        ? Effect.fail(new PoolClosed({ pool: this.pool.name }))
        : Effect.flatMap(Scope.make(), (scope) =>
          Effect.matchCauseEffect(restore(Scope.extend(this.pool.acquire, scope)), {
            onFailure: (cause) =>
              Effect.zipRight(Scope.close(scope, Exit.void), Effect.failCause(cause)),
            onSuccess: (lease) => {
              const own = new Own(lease, scope, () => void Runtime.runFork(this.runtime)(this.release(fiber)))
              this.owned.set(fiber, own)
              fiber.addObserver(own.onEnd)
              return Effect.succeed(own)
            }
          }))
    )
  }
}
