/**
 * How a pool is doing: ready, degraded or down, and why. For readiness probes, and for people who ask.
 *
 * @since 0.1.0
 */
import * as Format from "./internal/format.js"

/**
 * - `Ready`: whoever asks for a connection gets one, or soon does
 * - `Degraded`: callers are served, but something is wrong. `outage`: no connect works, and what is open is all there is;
 *   `limit`: the server takes no more connections; `exhausted`: all are taken, and somebody has waited for half of the
 *   time it has
 * - `Down`: nobody is served. `outage`: no connect works, and nothing is open; `suspended`; `closing`: the pool's scope is
 *   closing or closed
 *
 * A pool that has not been used yet is `Ready`, although it may have no connection: `pool.awaitReady` finds out.
 *
 * @example
 * ```ts
 * import type * as PoolHealth from "@dbpool/core/PoolHealth"
 *
 * // a pool that is merely degraded still serves, and taking the process out would only move the load elsewhere
 * const status = (health: PoolHealth.PoolHealth): number => health._tag === "Down" ? 503 : 200
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type PoolHealth =
  | { readonly _tag: "Ready"; readonly pool: string }
  | ({ readonly _tag: "Degraded"; readonly reason: "outage" | "limit" | "exhausted" } & Trouble)
  | ({ readonly _tag: "Down"; readonly reason: "outage" | "suspended" | "closing" } & Trouble)

/**
 * What is known about what is wrong.
 *
 * @example
 * ```ts
 * import type * as PoolHealth from "@dbpool/core/PoolHealth"
 *
 * const retryAfterSeconds = (trouble: PoolHealth.Trouble): number => Math.ceil((trouble.retryInMillis ?? 0) / 1000)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Trouble {
  readonly pool: string
  /** the error of the last attempt to connect, in an `outage` and at a `limit` */
  readonly cause: unknown
  /** for how long it has been so, where the pool knows */
  readonly forMillis: number | undefined
  /** when the pool tries to connect again; `undefined` when an attempt is under way, or none is planned */
  readonly retryInMillis: number | undefined
}

/**
 * One sentence for people.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import * as PoolHealth from "@dbpool/core/PoolHealth"
 * import * as Effect from "effect/Effect"
 *
 * const report = <C>(pool: Pool.Pool<C>) => Effect.map(pool.health, PoolHealth.describe)
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const describe = (health: PoolHealth): string => {
  const name = `Pool "${health.pool}"`
  if (health._tag === "Ready") return `${name} is ready.`
  const lasting = health.forMillis === undefined ? "" : ` for ${Format.millis(health.forMillis)}`
  const next = health.retryInMillis === undefined ? "" : ` (next attempt in ${Format.millis(health.retryInMillis)})`
  switch (health.reason) {
    case "outage": {
      const open = health._tag === "Down" ? "has no connection" : "has only what is open"
      return `${name} ${open} and could not connect${lasting}: ${Format.cause(health.cause)}${next}.`
    }
    case "limit":
      return `${name} gets no more connections${lasting}: ${Format.cause(health.cause)}${next}.`
    case "exhausted":
      return `${name} is exhausted: somebody has been waiting${lasting}.`
    case "suspended":
      return `${name} is suspended.`
    case "closing":
      return `${name} is closed or closing.`
  }
}
