/**
 * What comes out of `PgPool`'s `listen`.
 *
 * @since 0.1.0
 */
import type { AcquireError, InvalidPoolConfig } from "@dbpool/core/PoolError"
import type { QueryError } from "@dbpool/sql/SqlPoolError"

/**
 * LISTEN is in force: what is notified from here on will come, unless a `Gap` says otherwise. Always the first element.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listening {
  readonly _tag: "Listening"
  readonly channel: string
}

/**
 * Somebody has notified the channel. The payload is empty when there was none; `processId` is the notifier's backend.
 *
 * @since 0.1.0
 * @category models
 */
export interface Notification {
  readonly _tag: "Notification"
  readonly channel: string
  readonly payload: string
  readonly processId: number
}

/**
 * Here notifications may be missing: the connection was lost, or they were not read as fast as they came. Whoever keeps
 * a copy of something has to read it anew. LISTEN is in force again.
 *
 * @since 0.1.0
 * @category models
 */
export interface Gap {
  readonly _tag: "Gap"
  readonly channel: string
  readonly reason: "ConnectionLost" | "TooSlow"
}

/**
 * An element of the stream.
 *
 * @example
 * ```ts
 * import type * as PgListen from "@dbpool/sql-pg/PgListen"
 * import * as PgPool from "@dbpool/sql-pg/PgPool"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 *
 * // a cache that is never stale for longer than an outage lasts
 * const keepFresh = (reload: Effect.Effect<void>, forget: (key: string) => Effect.Effect<void>) =>
 *   Effect.flatMap(PgPool.PgPool, (pool) =>
 *     Stream.runForEach(pool.listen("prices"), (element: PgListen.Element) =>
 *       element._tag === "Notification" ? forget(element.payload) : reload))
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type Element = Listening | Notification | Gap

/**
 * What listening fails with. Once it listens, nothing but the end of the pool ends it.
 *
 * @since 0.1.0
 * @category models
 */
export type ListenError = AcquireError | QueryError | InvalidPoolConfig

/**
 * How a channel is listened to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * How many elements may wait to be read; what comes beyond that is dropped, and a `Gap` stands in its place.
   * Default: 4096
   */
  readonly capacity?: number | undefined
}
