/**
 * A pool whose connections may be used by several callers at once: those of a protocol that answers many requests on one
 * connection.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { Exit } from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { AcquireOptions } from "./AcquireOptions.js"
import * as internal from "./internal/make.js"
import type * as Pool from "./Pool.js"
import type { AcquireError, ConnectFailed, InvalidPoolConfig, TooManyConnections } from "./PoolError.js"

/**
 * A pool that lends connections to one caller alone, and to several at once that ask for no more.
 *
 * @example
 * ```ts
 * import type * as SharingPool from "@dbpool/core/SharingPool"
 * import * as Effect from "effect/Effect"
 *
 * interface Peer {
 *   readonly get: (path: string) => Effect.Effect<string>
 * }
 *
 * const pages = (pool: SharingPool.SharingPool<Peer>) =>
 *   Effect.forEach(["/a", "/b", "/c"], (path) => pool.share((peer) => peer.get(path)), { concurrency: "unbounded" })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface SharingPool<out C> extends Pool.Pool<C> {
  /**
   * `use` of a connection that others may be using at the same time, all of them by `share`. Whoever asks gets a free
   * connection, one that is about to be free, or a new one if there is room; else the one that the fewest share, and
   * waits only when each is shared by `maxLeases`. A caller that wants a connection for itself does not wait for long:
   * the first of them has one closed to newcomers, until those who share it are done.
   *
   * Inside a session it is a turn on the session's connection, which is nobody else's: then `alone` is true. Fails as
   * `use` does.
   *
   * In `stats` a connection that is shared counts as `leased` once; each of those who share it is a lease of its own in
   * all else: `acquired`, `maxUses`, `holders`, events.
   */
  readonly share: <A, E, R>(
    f: (connection: C, alone: boolean) => Effect.Effect<A, E, R>,
    options?: AcquireOptions
  ) => Effect.Effect<A, E | AcquireError, R>
  /** `share` for an operation that is a callback, as `call` is `use` for one. */
  readonly shareCall: <A, E>(
    start: (connection: C, done: (exit: Exit<A, E>) => void, alone: boolean) => () => void,
    options?: AcquireOptions
  ) => Effect.Effect<A, E | AcquireError>
}

/**
 * How connections are shared.
 *
 * @example
 * ```ts
 * import type * as SharingPool from "@dbpool/core/SharingPool"
 *
 * interface Peer {
 *   readonly goingAway: boolean
 * }
 *
 * const sharing: SharingPool.Sharing<Peer> = { maxLeases: 100, accepts: (peer) => !peer.goingAway }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Sharing<in C> {
  /** How many may share one connection; at least 1. */
  readonly maxLeases: number
  /** Whether one that is shared takes one more. Must be quick. Default: always */
  readonly accepts?: ((connection: C) => boolean) | undefined
}

/**
 * The options of every pool, and how connections are shared. `condition` is looked at when nobody has the connection any
 * more.
 *
 * @example
 * ```ts
 * import type * as SharingPool from "@dbpool/core/SharingPool"
 * import * as Effect from "effect/Effect"
 *
 * const options: SharingPool.Options<string> = {
 *   connect: Effect.succeed("a connection"),
 *   maxConnections: 2,
 *   sharing: { maxLeases: 10 }
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<C, E = never, R = never, RV = never, RC = never, RR = never>
  extends Pool.Options<C, E, R, RV, RC, RR>
{
  readonly sharing: Sharing<C>
}

/**
 * Makes a pool that lives as long as the scope. Fails as `Pool.make` does, and with an `InvalidPoolConfig` that names
 * `sharing.maxLeases`.
 *
 * @example
 * ```ts
 * import * as SharingPool from "@dbpool/core/SharingPool"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const pool = yield* SharingPool.make({
 *     connect: Effect.succeed({ get: (path: string) => Effect.succeed(`what is at ${path}`) }),
 *     maxConnections: 2,
 *     sharing: { maxLeases: 100 }
 *   })
 *   return yield* pool.share((peer) => peer.get("/"))
 * })
 *
 * Effect.runPromise(Effect.scoped(program))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: <C, E = never, R = never, RV = never, RC = never, RR = never>(
  options: Options<C, E, R, RV, RC, RR>
) => Effect.Effect<
  SharingPool<C>,
  InvalidPoolConfig | ConnectFailed | TooManyConnections,
  R | RV | RC | RR | Scope.Scope
> = internal.makeSharing
