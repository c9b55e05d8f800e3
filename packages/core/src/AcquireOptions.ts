/**
 * What a caller can say about its own wait for a connection: per call, or for a whole region of a program.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"

/**
 * How long one caller waits for a connection, and whether it does.
 *
 * @example
 * ```ts
 * import type * as AcquireOptions from "@dbpool/core/AcquireOptions"
 *
 * const hurried: AcquireOptions.AcquireOptions = { timeout: "100 millis" }
 * const impatient: AcquireOptions.AcquireOptions = { whenExhausted: "fail" }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface AcquireOptions {
  /** Overrides the pool's `acquireTimeout`. It counts from the moment the caller asks. */
  readonly timeout?: Duration.DurationInput | undefined
  /** Overrides the pool's `whenExhausted`. */
  readonly whenExhausted?: "wait" | "fail" | undefined
}

/**
 * The options that hold for a region. They reach every pool used inside it, and the statements of a `SqlClient` too;
 * options given to a call itself come first. They are only looked at when a caller has to wait.
 *
 * @example
 * ```ts
 * import * as AcquireOptions from "@dbpool/core/AcquireOptions"
 * import * as Effect from "effect/Effect"
 *
 * const timeoutHere = Effect.map(AcquireOptions.Region, ({ timeout }) => timeout)
 * ```
 *
 * @since 0.1.0
 * @category references
 */
export class Region extends Context.Reference<Region>()("~@dbpool/core/AcquireOptions", {
  defaultValue: (): AcquireOptions => ({})
}) {}

/**
 * Sets the options for everything that runs inside an effect. A region within a region inherits what it doesn't set.
 *
 * @example
 * ```ts
 * import * as AcquireOptions from "@dbpool/core/AcquireOptions"
 * import * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const pool = yield* Pool.make({ connect: Effect.succeed("a connection") })
 *   // a health check must not queue up behind the traffic
 *   yield* pool.use(() => Effect.void).pipe(AcquireOptions.within({ whenExhausted: "fail" }))
 * })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const within: {
  (options: AcquireOptions): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, options: AcquireOptions): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, options: AcquireOptions): Effect.Effect<A, E, R> =>
    Effect.flatMap(Region, (outer) =>
      Effect.provideService(self, Region, {
        timeout: options.timeout ?? outer.timeout,
        whenExhausted: options.whenExhausted ?? outer.whenExhausted
      }))
)
