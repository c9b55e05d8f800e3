/**
 * Who holds a pool's connections: what to look at when a pool is exhausted, or a connection does not come back.
 *
 * @since 0.1.0
 */
import type * as FiberId from "effect/FiberId"
import * as Format from "./internal/format.js"

/**
 * One lease that is going on. A session is one lease, whoever uses it inside.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import type * as PoolHolder from "@dbpool/core/PoolHolder"
 * import * as Effect from "effect/Effect"
 *
 * const longest = <C>(pool: Pool.Pool<C>): Effect.Effect<PoolHolder.Holder | undefined> =>
 *   Effect.map(pool.holders, (holders) => holders[0])
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Holder {
  /** the fiber that took the lease; one that has ended since may have handed it on through a scope */
  readonly fiberId: FiberId.Runtime
  /** the name of the span the lease was taken in, if there was one */
  readonly span: string | undefined
  readonly heldMillis: number
  /** the number of the connection within its pool, counting from 1; no other connection ever gets it */
  readonly connectionId: number
  /** what it is doing with the connection, if the pool has been told how to find out */
  readonly activity?: string | undefined
}

/**
 * One line for logs and error messages.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolHolder from "@dbpool/core/PoolHolder"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const pool = yield* Pool.make({ connect: Effect.succeed("a connection") })
 *   const holders = yield* pool.holders
 *   yield* Effect.forEach(holders, (holder) => Effect.log(PoolHolder.describe(holder)))
 * })
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const describe = ({ activity, connectionId, fiberId, heldMillis, span }: Holder): string => {
  const place = span === undefined ? "" : ` in span ${JSON.stringify(span)}`
  const doing = activity === undefined ? "" : `, ${activity}`
  return `fiber #${fiberId.id}${place} for ${Format.millis(heldMillis)} (connection ${connectionId}${doing})`
}

/** more than that makes an error message unreadable */
const handful = 5

/**
 * The longest-lasting few of them in one line, and how many there are besides. Expects them longest first, as
 * `pool.holders` and `AcquireTimeout` have them.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as PoolHolder from "@dbpool/core/PoolHolder"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const pool = yield* Pool.make({ connect: Effect.succeed("a connection") })
 *   yield* Effect.log(`connections are held by ${PoolHolder.summary(yield* pool.holders)}`)
 * })
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const summary = (holders: ReadonlyArray<Holder>): string => {
  if (holders.length === 0) return "nobody"
  const more = holders.length > handful ? `, and ${holders.length - handful} more` : ""
  return holders.slice(0, handful).map(describe).join(", ") + more
}
