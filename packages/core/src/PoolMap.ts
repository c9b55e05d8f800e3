/**
 * A pool for each key: for each host, each tenant, each database. Pools are made when they are first wanted and closed
 * when nobody has used them for a while, and all of them together keep to one maximum.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Inspectable from "effect/Inspectable"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { Budget, Current } from "./internal/budget.js"
import { show } from "./internal/input.js"
import * as Lineage from "./internal/lineage.js"
import type { Slot } from "./internal/shared.js"
import { Shared } from "./internal/shared.js"
import type { Pool } from "./Pool.js"
import * as PoolConfig from "./PoolConfig.js"
import { InvalidPoolConfig, PoolClosed, TypeId as ErrorTypeId } from "./PoolError.js"
import type { PoolStats } from "./PoolStats.js"

/**
 * What a map of pools is recognised by.
 *
 * @example
 * ```ts
 * import * as PoolMap from "@dbpool/core/PoolMap"
 * import * as Predicate from "effect/Predicate"
 *
 * const isPoolMap = (u: unknown): boolean => Predicate.hasProperty(u, PoolMap.TypeId)
 * ```
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = "~@dbpool/core/PoolMap"

/**
 * The type of what a map of pools is recognised by.
 *
 * @example
 * ```ts
 * import type * as PoolMap from "@dbpool/core/PoolMap"
 *
 * interface Ours {
 *   readonly id: PoolMap.TypeId
 * }
 * ```
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@dbpool/core/PoolMap"

/**
 * A pool for each key. A pool lasts at least as long as somebody uses it, by `use` or `get`.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import type * as PoolMap from "@dbpool/core/PoolMap"
 * import * as Effect from "effect/Effect"
 *
 * interface Connection {
 *   readonly run: (command: string) => Effect.Effect<string>
 * }
 *
 * const greet = (hosts: PoolMap.PoolMap<string, Pool.Pool<Connection>>, host: string) =>
 *   hosts.use(host, (pool) => pool.use((connection) => connection.run("hello")))
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface PoolMap<in out K, out P, out E = never> {
  readonly [TypeId]: TypeId
  readonly name: string
  /**
   * Runs an effect with the pool of a key. Fails as making it does, with `UnknownPool` when there are no settings for the
   * key, `PoolClosed` when the map's scope is closing, and with whatever the effect fails with. A pool that could not be
   * made is tried anew by the next one who asks.
   */
  readonly use: <A, E2, R>(
    key: K,
    f: (pool: P) => Effect.Effect<A, E2, R>
  ) => Effect.Effect<A, E | E2 | UnknownPool | PoolClosed, R>
  /** The pool of a key, which is kept until the scope closes. Fails as `use` does. */
  readonly get: (key: K) => Effect.Effect<P, E | UnknownPool | PoolClosed, Scope.Scope>
  /**
   * Closes the pool of a key now, as the end of its scope does: leases get its `shutdownTimeout` to end. Who asks from now
   * on gets another. Answers whether there was one.
   */
  readonly evict: (key: K) => Effect.Effect<boolean>
  /** What each pool is doing and has done so far. */
  readonly stats: Effect.Effect<ReadonlyArray<readonly [K, PoolStats]>>
}

/**
 * How the pools are made, and how many connections and how much time they have.
 *
 * The settings of a key are the `default`, with what its `overrides` say instead; or, where keys have nothing in common,
 * what `settings` says.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import type * as PoolError from "@dbpool/core/PoolError"
 * import type * as PoolMap from "@dbpool/core/PoolMap"
 * import * as Effect from "effect/Effect"
 * import type * as Scope from "effect/Scope"
 *
 * interface Account {
 *   readonly user: string
 *   readonly maxConnections: number
 * }
 *
 * const accounts: Record<string, Partial<Account>> = { "db.internal": { user: "internal" } }
 *
 * const options: PoolMap.Options<string, Account, Pool.Pool<string>, PoolError.PoolError, Scope.Scope> = {
 *   default: { user: "guest", maxConnections: 5 },
 *   overrides: (host) => accounts[host],
 *   make: ({ maxConnections, user }, host) => Pool.make({ connect: Effect.succeed(`${user}@${host}`), maxConnections }),
 *   maxConnections: 50
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type Options<K, S, P extends Pool<any>, E = never, R = never> =
  & Common<K, S, P, E, R>
  & (
    | {
      /** What is the same for all keys. */
      readonly default: S
      /** What is different for a key. Default: nothing */
      readonly overrides?: ((key: K) => Partial<NoInfer<S>> | undefined) | undefined
    }
    | {
      /** The settings of each key; one that gets none has no pool. */
      readonly settings: (key: K) => S | undefined
    }
  )

interface Common<K, S, P, E, R> {
  /** In errors. Default: `pools` */
  readonly name?: string | undefined
  /** Makes the pool of a key, in a scope of its own. With `initialize: "lazy"` it doesn't wait for the server. */
  readonly make: (settings: S, key: K) => Effect.Effect<P, E, R>
  /**
   * The most connections that all pools have open together. A pool that lacks one gets that which has been idle for longest
   * in another, unless that keeps it for its `minConnections`. Default: any number
   */
  readonly maxConnections?: number | undefined
  /** A pool that nobody has used for so long is closed. Default: 10 minutes */
  readonly idleTimeout?: Duration.DurationInput | undefined
}

/**
 * A key for which there are no settings.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import type * as PoolMap from "@dbpool/core/PoolMap"
 * import * as Effect from "effect/Effect"
 *
 * const program = <C>(hosts: PoolMap.PoolMap<string, Pool.Pool<C>>, host: string) =>
 *   hosts.use(host, (pool) => pool.stats).pipe(
 *     Effect.catchTag("UnknownPool", ({ key }) => Effect.fail(`not one of ours: ${key}`))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownPool extends Data.TaggedError("UnknownPool")<{
  /** the name of the map */
  readonly pools: string
  readonly key: unknown
}> {
  /**
   * @since 0.1.0
   */
  get [ErrorTypeId](): ErrorTypeId {
    return ErrorTypeId
  }

  /**
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return false
  }

  /**
   * @since 0.1.0
   */
  override get message(): string {
    const key = typeof this.key === "string" ? `"${this.key}"` : Inspectable.toStringUnknown(this.key, 0)
    return `There are no settings for ${key} in "${this.pools}"`
  }
}

/**
 * A map of pools that lives as long as the scope, with all its pools. Keys are equal by Effect's `Equal`: strings, numbers,
 * `Data`. Fails with `InvalidPoolConfig` when an option is wrong.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolMap from "@dbpool/core/PoolMap"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const hosts = yield* PoolMap.make({
 *     default: { user: "guest", maxConnections: 5 },
 *     overrides: (host: string) => host === "db.internal" ? { user: "internal" } : undefined,
 *     make: ({ maxConnections, user }, host) =>
 *       Pool.make({ name: host, connect: Effect.succeed(`${user}@${host}`), maxConnections, initialize: "lazy" }),
 *     maxConnections: 50
 *   })
 *   return yield* hosts.use("db.internal", (pool) => pool.use(Effect.succeed)) // internal@db.internal
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <K, S, P extends Pool<any>, E = never, R = never>(
  options: Options<K, S, P, E, R>
): Effect.Effect<PoolMap<K, P, E>, InvalidPoolConfig, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.gen(function*() {
    const { maxConnections = Infinity, name = "pools" } = options
    if (maxConnections !== Infinity && !(Number.isInteger(maxConnections) && maxConnections >= 1)) {
      const requirement = `must be an integer of at least 1, not ${show(maxConnections)}`
      return yield* new InvalidPoolConfig({ pool: name, option: "maxConnections", requirement })
    }
    const idleTimeout = yield* PoolConfig.bound(name, "idleTimeout", options.idleTimeout ?? "10 minutes")
    const runtime = Lineage.orphan(yield* Effect.runtime<any>())
    const budget = maxConnections === Infinity ? undefined : new Budget(maxConnections)
    const pools = new Pools<K, P, E>(
      ({ key }) => {
        const settings = "settings" in options
          ? options.settings(key)
          : { ...options.default, ...options.overrides?.(key) }
        return settings === undefined
          ? Effect.fail(new UnknownPool({ pools: name, key }))
          : Effect.provideService(options.make(settings, key), Current, budget) as never
      },
      name,
      idleTimeout,
      yield* Effect.clock,
      runtime
    )
    yield* Effect.addFinalizer(() => pools.close)
    return {
      [TypeId]: TypeId,
      name,
      use: (key, f) => pools.shared.use(key, f),
      get: (key) => pools.shared.hold(key),
      evict: (key) => pools.evict(key),
      stats: pools.stats
    }
  })

type Failure<E> = E | UnknownPool | PoolClosed

class Pools<K, P extends Pool<any>, E> {
  readonly shared: Shared<K, P, Failure<E>>
  /** closes what is idle, as long as anything is */
  private sweeping = false
  private sweeper: Fiber.RuntimeFiber<void> | undefined = undefined

  constructor(
    make: (slot: Slot<K, P, Failure<E>>) => Effect.Effect<P, E | UnknownPool, Scope.Scope>,
    name: string,
    private readonly idleTimeout: number,
    private readonly clock: Effect.Effect.Success<typeof Effect.clock>,
    private readonly runtime: Runtime.Runtime<never>
  ) {
    this.shared = new Shared<K, P, Failure<E>>({
      make,
      closed: () => new PoolClosed({ pool: name }),
      left: (slot) => Effect.sync(() => this.rests(slot))
    }, runtime)
  }

  readonly stats = Effect.suspend(() =>
    Effect.forEach(
      [...MutableHashMap.values(this.shared.slots)].filter(({ value }) => value !== undefined),
      ({ key, value }) => Effect.map(value!.stats, (stats) => [key, stats] as const)
    )
  )

  evict(key: K): Effect.Effect<boolean> {
    return Effect.suspend(() =>
      Option.match(MutableHashMap.get(this.shared.slots, key), {
        onNone: () => Effect.succeed(false),
        onSome: (slot) => Effect.as(Effect.uninterruptible(this.shared.drop(slot)), true)
      })
    )
  }

  readonly close = Effect.suspend(() => {
    this.sweeper?.unsafeInterruptAsFork(this.sweeper.id())
    return this.shared.close
  })

  private rests(slot: Slot<K, P, Failure<E>>): void {
    slot.idleSince = this.now()
    if (this.sweeping || this.idleTimeout === Infinity) return
    this.sweeping = true
    this.sweeper = Runtime.runFork(this.runtime)(Effect.interruptible(this.sweep))
  }

  private readonly sweep: Effect.Effect<void> = Effect.suspend(() => {
    let next = Infinity
    for (const slot of [...MutableHashMap.values(this.shared.slots)]) {
      if (slot.users > 0) continue
      const due = slot.idleSince + this.idleTimeout
      if (due > this.now()) next = Math.min(next, due)
      // in a fiber of its own: closing may take its time
      else Runtime.runFork(this.runtime)(this.shared.drop(slot))
    }
    if (next === Infinity) {
      this.sweeping = false
      return Effect.void
    }
    return Effect.zipRight(Effect.sleep(Duration.millis(next - this.now())), this.sweep)
  })

  private now(): number {
    return Number(this.clock.unsafeCurrentTimeNanos()) / 1e6
  }
}
