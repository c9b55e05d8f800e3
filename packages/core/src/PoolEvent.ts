/**
 * What happens in a pool, as it happens: for dashboards, metrics and logs of one's own.
 *
 * @since 0.1.0
 */
import type { Fault } from "./Pool.js"
import type { AcquireError } from "./PoolError.js"
import type { Holder } from "./PoolHolder.js"
import type { RetireReason } from "./PoolStats.js"

/**
 * One thing that happened. `pool` is the pool's name, `at` the time of the pool's clock in milliseconds since 1970.
 *
 * About connections, by their number within the pool:
 *
 * - `ConnectionOpened`; `ConnectionRetired`, the decision that it is not lent again, and `ConnectionClosed`, its end
 * - `ConnectAttemptFailed`: one attempt, whatever becomes of those who wait
 *
 * About leases:
 *
 * - `Acquired` and `Released`; a session is one lease
 * - `AcquireRefused`: a caller got an error instead
 * - `LeaseOverdue`: a lease has passed `leakDetectionThreshold`
 * - `NestedWait`: a caller waits although it holds a connection already; only with `nestedAcquire: "warn"`, and every time
 *
 * About the server:
 *
 * - `TroubleBegan` and `TroubleEnded`: an `outage`, in which no connect works, or a `limit`, while the server takes no more
 *   connections
 *
 * What an operator did: `Resized`, `Drained`, `Suspended`, `Resumed`, and `Closing` when the pool's scope began to close.
 *
 * @example
 * ```ts
 * import type * as PoolEvent from "@dbpool/core/PoolEvent"
 *
 * const describe = (event: PoolEvent.PoolEvent): string => {
 *   switch (event._tag) {
 *     case "ConnectionRetired":
 *       return `${event.pool}: connection ${event.connectionId} is closed because of ${event.reason}`
 *     case "TroubleBegan":
 *       return `${event.pool}: ${event.trouble}, ${event.cause}`
 *     default:
 *       return `${event.pool}: ${event._tag}`
 *   }
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type PoolEvent = { readonly pool: string; readonly at: number } & PoolOccurrence

/**
 * What a `PoolEvent` tells, without when and where.
 *
 * @example
 * ```ts
 * import type * as PoolEvent from "@dbpool/core/PoolEvent"
 *
 * const opened: PoolEvent.PoolOccurrence = { _tag: "ConnectionOpened", connectionId: 1, connectMillis: 12 }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type PoolOccurrence =
  | { readonly _tag: "ConnectionOpened"; readonly connectionId: number; readonly connectMillis: number }
  | {
    readonly _tag: "ConnectAttemptFailed"
    readonly connectionId: number
    readonly connectMillis: number
    readonly fault: Fault
    readonly cause: unknown
  }
  | {
    readonly _tag: "ConnectionRetired"
    readonly connectionId: number
    readonly reason: RetireReason
    /** how long it was open, and how often lent */
    readonly ageMillis: number
    readonly uses: number
  }
  | {
    readonly _tag: "ConnectionClosed"
    readonly connectionId: number
    readonly reason: RetireReason
    /** it did not close within `closeTimeout`, or failed to, and was destroyed */
    readonly abandoned: boolean
  }
  | { readonly _tag: "Acquired"; readonly connectionId: number; readonly waitedMillis: number }
  | { readonly _tag: "Released"; readonly connectionId: number; readonly heldMillis: number }
  | { readonly _tag: "AcquireRefused"; readonly error: AcquireError; readonly waitedMillis: number }
  | { readonly _tag: "LeaseOverdue"; readonly holder: Holder }
  | { readonly _tag: "NestedWait"; readonly holder: Holder }
  | { readonly _tag: "TroubleBegan"; readonly trouble: "outage" | "limit"; readonly cause: unknown }
  | { readonly _tag: "TroubleEnded"; readonly trouble: "outage" | "limit"; readonly lastedMillis: number }
  | { readonly _tag: "Resized"; readonly maxConnections: number; readonly minConnections: number }
  | { readonly _tag: "Drained"; readonly overMillis: number; readonly hard: boolean }
  | { readonly _tag: "Suspended" }
  | { readonly _tag: "Resumed" }
  | { readonly _tag: "Closing" }
