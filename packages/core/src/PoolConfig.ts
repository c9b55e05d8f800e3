/**
 * The options of a pool, their defaults, and what they must be.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { decodeMillis, show } from "./internal/input.js"
import { InvalidPoolConfig } from "./PoolError.js"
import * as PoolSchedule from "./PoolSchedule.js"

/**
 * What every pool can be told, whatever it is a pool of. All durations are Effect durations: a number is milliseconds,
 * text such as `"30 seconds"` reads best.
 *
 * @example
 * ```ts
 * import type * as PoolConfig from "@dbpool/core/PoolConfig"
 *
 * const options: PoolConfig.PoolOptions = {
 *   name: "orders",
 *   maxConnections: 20,
 *   acquireTimeout: "2 seconds",
 *   idleTimeout: "1 minute"
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface PoolOptions {
  /** Stands in errors, logs and statistics. Default: `pool-1`, `pool-2`, ... */
  readonly name?: string | undefined
  /** How many connections may be open at once, those being opened and closed included. Default: 10 */
  readonly maxConnections?: number | undefined
  /** How many are kept open even when nobody needs them. Default: 0 */
  readonly minConnections?: number | undefined
  /**
   * How many may be idle; what comes back beyond that is closed. With 0 nothing is kept, and the pool only limits how
   * many connections there are at once. Default: `maxConnections`
   */
  readonly maxIdle?: number | undefined
  /**
   * How long a caller may take to get its connection: queueing, connecting and validating together. The deadline is
   * set once, when the caller arrives. Default: 30 seconds. `Duration.infinity` waits for ever.
   */
  readonly acquireTimeout?: Duration.DurationInput | undefined
  /** `"fail"`: a caller that finds every connection taken gets `TooManyConnections` at once. Default: `"wait"` */
  readonly whenExhausted?: "wait" | "fail" | undefined
  /**
   * What happens to a caller that holds a connection of this pool, or descends from a fiber that does, and finds every
   * connection taken: `"allow"` lets it wait, `"warn"` does so too and logs a warning, one for each span such a
   * connection is held in, `"fail"` fails at once with `NestedAcquire`. Every descendant counts, fibers started by
   * `forkDaemon` too, so that `"fail"` refuses some programs that would end well. Default: `"warn"`
   */
  readonly nestedAcquire?: "allow" | "warn" | "fail" | undefined
  /** How many callers may wait for a connection to be given back; more get `TooManyConnections`. Default: any number */
  readonly maxWaiting?: number | undefined
  /** The bound of one attempt to connect. Default: 5 seconds */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /**
   * When to try again after a failed connect; it starts anew after a success. When it ends, the callers that wait get
   * `ConnectFailed`, and the pool rests until the next caller comes. Default: `PoolSchedule.connect`
   */
  readonly connectRetry?: Schedule.Schedule<unknown, unknown> | undefined
  /**
   * How long an outage may make callers wait. Once no connection has worked for that long they get the cause, as
   * `ConnectFailed`, at once, and one connection after another is tried in the background. Zero tells even the caller
   * whose attempt would end the outage. Default: 5 seconds
   */
  readonly failFastAfter?: Duration.DurationInput | undefined
  /** How many connects may be under way at once. Default: 4 */
  readonly connectConcurrency?: number | undefined
  /**
   * What building the pool waits for: `"lazy"` for nothing, `"check"` for one connection, `"fill"` for
   * `minConnections`. If they can't be had, building fails and everything opened is closed. Default: `"check"`
   */
  readonly initialize?: "lazy" | "check" | "fill" | undefined
  /** How long `initialize` goes on trying. A fatal error ends it at once. Default: 5 seconds */
  readonly initializeTimeout?: Duration.DurationInput | undefined
  /**
   * A connection that nobody has used for so long is closed, down to `minConnections`. Default: 5 minutes, because
   * load balancers cut silent connections after 350 s. `Duration.infinity` keeps them.
   */
  readonly idleTimeout?: Duration.DurationInput | undefined
  /**
   * When to look for connections that have been idle for `idleTimeout`. It is fed with how many were closed the last
   * time; when it ends, nobody looks any more. Default: whenever one is due
   */
  readonly idleSchedule?: Schedule.Schedule<unknown, number> | undefined
  /** A connection of that age is never lent again. Default: 30 minutes. `Duration.infinity` never retires one. */
  readonly maxLifetime?: Duration.DurationInput | undefined
  /**
   * The last part of `maxLifetime`, in which a connection is replaced as soon as nobody needs it; where in it is drawn
   * at random per connection, so that those opened together don't end together. From 0 to 1. Default: 0.25
   */
  readonly lifetimeJitter?: number | undefined
  /** A connection lent so often is replaced as soon as nobody needs it. Default: any number of times */
  readonly maxUses?: number | undefined
  /**
   * How often a connection that is kept although idle (see `minConnections`) is validated, so that neither the server nor
   * a firewall forgets it. It does not count as used. Default: 2 minutes
   */
  readonly keepaliveInterval?: Duration.DurationInput | undefined
  /**
   * When to validate every idle connection, one after the other, whether it is to be kept or not; instead of
   * `keepaliveInterval`. It is fed with how many were stale the last time. Default: none
   */
  readonly keepaliveSchedule?: Schedule.Schedule<unknown, number> | undefined
  /**
   * Which idle connection is lent next: `"lifo"`, the one used last, lets the others rest and be closed; `"fifo"` uses
   * all of them in turn. Default: `"lifo"`
   */
  readonly order?: "lifo" | "fifo" | undefined
  /**
   * When a connection is validated: before it is lent (`"acquire"`), after it was given back (`"return"`), both, or
   * neither. What is validated on return is not lent before. Default: `["acquire"]`
   */
  readonly validateOn?: ReadonlyArray<"acquire" | "return"> | undefined
  /** A connection used more recently than that is lent without validation. Default: 1 second */
  readonly validateAfterIdle?: Duration.DurationInput | undefined
  /** The bound of one validation. Default: 2 seconds */
  readonly validateTimeout?: Duration.DurationInput | undefined
  /** A lease that lasts longer is reported, once, by a warning in the log. Default: `Duration.infinity`, for never */
  readonly leakDetectionThreshold?: Duration.DurationInput | undefined
  /** How long restoring a returned connection may take (cancel, roll back) before it is destroyed. Default: 5 seconds */
  readonly resetTimeout?: Duration.DurationInput | undefined
  /** How long closing a connection may take before it is destroyed. Default: 1 second */
  readonly closeTimeout?: Duration.DurationInput | undefined
  /** How long leases may go on when the pool's scope closes; then their connections are closed. Default: 10 seconds */
  readonly shutdownTimeout?: Duration.DurationInput | undefined
}

/**
 * The options after checking, with every default filled in; durations in milliseconds.
 *
 * @example
 * ```ts
 * import * as PoolConfig from "@dbpool/core/PoolConfig"
 * import * as Effect from "effect/Effect"
 *
 * const millis = Effect.map(PoolConfig.resolve({ idleTimeout: "1 minute" }), ({ idleTimeout }) => idleTimeout)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface PoolConfig {
  readonly name: string
  readonly maxConnections: number
  readonly minConnections: number
  readonly maxIdle: number
  readonly acquireTimeout: number
  readonly whenExhausted: "wait" | "fail"
  readonly nestedAcquire: "allow" | "warn" | "fail"
  readonly maxWaiting: number
  readonly connectTimeout: number
  readonly connectRetry: Schedule.Schedule<unknown, unknown>
  readonly failFastAfter: number
  readonly connectConcurrency: number
  readonly initialize: "lazy" | "check" | "fill"
  readonly initializeTimeout: number
  readonly idleTimeout: number
  readonly idleSchedule: Schedule.Schedule<unknown, number> | undefined
  readonly maxLifetime: number
  readonly lifetimeJitter: number
  readonly maxUses: number
  readonly keepaliveInterval: number
  readonly keepaliveSchedule: Schedule.Schedule<unknown, number> | undefined
  readonly order: "lifo" | "fifo"
  readonly validateOn: ReadonlyArray<"acquire" | "return">
  readonly validateAfterIdle: number
  readonly validateTimeout: number
  readonly leakDetectionThreshold: number
  readonly resetTimeout: number
  readonly closeTimeout: number
  readonly shutdownTimeout: number
}

let unnamed = 0

/**
 * Checks the options and fills in the defaults. Fails with an `InvalidPoolConfig` that names the first wrong option.
 *
 * @example
 * ```ts
 * import * as PoolConfig from "@dbpool/core/PoolConfig"
 * import * as Effect from "effect/Effect"
 *
 * const config = PoolConfig.resolve({ minConnections: 3, maxConnections: 2 }).pipe(
 *   Effect.catchTag("InvalidPoolConfig", (error) => Effect.fail(`fix ${error.option}`))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const resolve = (options: PoolOptions): Effect.Effect<PoolConfig, InvalidPoolConfig> =>
  Effect.suspend(() => {
    const name = options.name ?? `pool-${++unnamed}`
    let invalid: InvalidPoolConfig | undefined
    const refuse = (option: keyof PoolOptions, requirement: string, given: unknown): void => {
      const pool = typeof name === "string" ? name : show(name)
      invalid ??= new InvalidPoolConfig({ pool, option, requirement: `${requirement}, not ${show(given)}` })
    }
    const integer = (option: NumberOption, fallback: number, least: number): number => {
      const value = options[option] ?? fallback
      if (!(Number.isInteger(value) && value >= least)) refuse(option, `must be an integer of at least ${least}`, value)
      return value
    }
    const millis = (option: DurationOption, fallback: Duration.DurationInput, least: "zero" | "above"): number => {
      const value = options[option] ?? fallback
      const decoded = decodeMillis(value)
      if (least === "zero" && !(decoded >= 0)) refuse(option, "must be a duration of zero or more", value)
      if (least === "above" && !(decoded > 0)) refuse(option, "must be a duration above zero", value)
      return decoded
    }
    const oneOf = <A extends string>(option: keyof PoolOptions, value: A, allowed: ReadonlyArray<A>): A => {
      if (!allowed.includes(value)) refuse(option, `must be one of ${allowed.map(show).join(", ")}`, value)
      return value
    }
    if (typeof name !== "string" || name === "") refuse("name", "must be a text that is not empty", name)
    const maxConnections = integer("maxConnections", 10, 1)
    const minConnections = integer("minConnections", 0, 0)
    if (invalid === undefined && minConnections > maxConnections) {
      refuse("minConnections", `must be at most maxConnections (${maxConnections})`, minConnections)
    }
    const lifetimeJitter = options.lifetimeJitter ?? 0.25
    if (!(typeof lifetimeJitter === "number" && lifetimeJitter >= 0 && lifetimeJitter <= 1)) {
      refuse("lifetimeJitter", "must be a number from 0 to 1", lifetimeJitter)
    }
    const schedule = <In>(option: ScheduleOption, value: Schedule.Schedule<unknown, In> | undefined) => {
      if (value !== undefined && !Schedule.isSchedule(value)) refuse(option, "must be a Schedule", value)
      return value
    }
    const validateOn = options.validateOn ?? ["acquire"]
    if (!Array.isArray(validateOn) || validateOn.some((moment) => moment !== "acquire" && moment !== "return")) {
      refuse("validateOn", "must be an array of \"acquire\" and \"return\"", validateOn)
    }
    const unbounded = (option: NumberOption, least: number): number =>
      options[option] === undefined || options[option] === Infinity ? Infinity : integer(option, least, least)
    const maxIdle = integer("maxIdle", maxConnections, 0)
    if (invalid === undefined && maxIdle < minConnections) {
      refuse("maxIdle", `must be at least minConnections (${minConnections})`, maxIdle)
    }
    const config: PoolConfig = {
      name,
      maxConnections,
      minConnections,
      maxIdle,
      acquireTimeout: millis("acquireTimeout", "30 seconds", "above"),
      whenExhausted: oneOf("whenExhausted", options.whenExhausted ?? "wait", ["wait", "fail"]),
      nestedAcquire: oneOf("nestedAcquire", options.nestedAcquire ?? "warn", ["allow", "warn", "fail"]),
      maxWaiting: unbounded("maxWaiting", 0),
      connectTimeout: millis("connectTimeout", "5 seconds", "above"),
      connectRetry: schedule("connectRetry", options.connectRetry ?? PoolSchedule.connect)!,
      failFastAfter: millis("failFastAfter", "5 seconds", "zero"),
      connectConcurrency: integer("connectConcurrency", 4, 1),
      initialize: oneOf("initialize", options.initialize ?? "check", ["lazy", "check", "fill"]),
      initializeTimeout: millis("initializeTimeout", "5 seconds", "above"),
      idleTimeout: millis("idleTimeout", "5 minutes", "above"),
      idleSchedule: schedule("idleSchedule", options.idleSchedule),
      maxLifetime: millis("maxLifetime", "30 minutes", "above"),
      lifetimeJitter,
      maxUses: unbounded("maxUses", 1),
      keepaliveInterval: millis("keepaliveInterval", "2 minutes", "above"),
      keepaliveSchedule: schedule("keepaliveSchedule", options.keepaliveSchedule),
      order: oneOf("order", options.order ?? "lifo", ["lifo", "fifo"]),
      validateOn,
      validateAfterIdle: millis("validateAfterIdle", "1 second", "zero"),
      validateTimeout: millis("validateTimeout", "2 seconds", "above"),
      leakDetectionThreshold: millis("leakDetectionThreshold", Duration.infinity, "above"),
      resetTimeout: millis("resetTimeout", "5 seconds", "above"),
      closeTimeout: millis("closeTimeout", "1 second", "above"),
      shutdownTimeout: millis("shutdownTimeout", "10 seconds", "zero")
    }
    return invalid === undefined ? Effect.succeed(config) : Effect.fail(invalid)
  })

type DurationOption = {
  readonly [K in keyof PoolOptions]-?: [Duration.DurationInput | undefined] extends [PoolOptions[K]] ? K : never
}[keyof PoolOptions]

type ScheduleOption = "connectRetry" | "idleSchedule" | "keepaliveSchedule"

type NumberOption = "maxConnections" | "minConnections" | "maxIdle" | "maxWaiting" | "connectConcurrency" | "maxUses"

/**
 * Checks a new size for a pool. Fails with `InvalidPoolConfig` when the two don't go together, or with `maxIdle`.
 *
 * @example
 * ```ts
 * import * as PoolConfig from "@dbpool/core/PoolConfig"
 * import * as Effect from "effect/Effect"
 *
 * const smaller = PoolConfig.resolve({ maxConnections: 10 }).pipe(
 *   Effect.flatMap((config) => PoolConfig.resize(config, { maxConnections: 5 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const resize = (
  config: PoolConfig,
  size: { readonly maxConnections?: number | undefined; readonly minConnections?: number | undefined }
): Effect.Effect<PoolConfig, InvalidPoolConfig> =>
  Effect.map(
    resolve({
      name: config.name,
      maxConnections: size.maxConnections ?? config.maxConnections,
      minConnections: size.minConnections ?? config.minConnections,
      // one that was never set goes along with the maximum
      maxIdle: config.maxIdle === config.maxConnections ? undefined : config.maxIdle
    }),
    ({ maxConnections, maxIdle, minConnections }) => ({ ...config, maxConnections, maxIdle, minConnections })
  )

/**
 * Checks one more duration option, for layers that add options of their own. Fails with `InvalidPoolConfig` when it is
 * not above zero.
 *
 * @example
 * ```ts
 * import * as PoolConfig from "@dbpool/core/PoolConfig"
 *
 * const millis = PoolConfig.bound("orders", "commitTimeout", "10 seconds")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const bound = (
  pool: string,
  option: string,
  value: Duration.DurationInput
): Effect.Effect<number, InvalidPoolConfig> => {
  const millis = decodeMillis(value)
  return millis > 0
    ? Effect.succeed(millis)
    : Effect.fail(
      new InvalidPoolConfig({ pool, option, requirement: `must be a duration above zero, not ${show(value)}` })
    )
}
