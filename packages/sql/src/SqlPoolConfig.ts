/**
 * The options of a SQL pool that are plain data, their defaults, and what they must be.
 *
 * @since 0.1.0
 */
import * as PoolConfig from "@dbpool/core/PoolConfig"
import { InvalidPoolConfig } from "@dbpool/core/PoolError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"

/**
 * When a connection is validated: before it is lent, after it came back, before a transaction begins on it, or before
 * each statement outside of transactions.
 *
 * @since 0.1.0
 * @category models
 */
export type ValidationMoment = "acquire" | "return" | "transaction" | "statement"

/**
 * What every SQL pool can be told on top of every other pool, whatever the dialect. Durations are Effect's.
 *
 * @example
 * ```ts
 * import type * as SqlPoolConfig from "@dbpool/sql/SqlPoolConfig"
 *
 * const options: SqlPoolConfig.SqlPoolOptions = {
 *   maxConnections: 20,
 *   statementTimeout: "30 seconds",
 *   maxStatements: 100_000
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface SqlPoolOptions extends Omit<PoolConfig.PoolOptions, "validateOn"> {
  /**
   * When a connection is validated that was not known to work within `validateAfterIdle`: before it is lent (`acquire`),
   * after it was given back (`return`), before BEGIN (`transaction`), before each statement outside of transactions
   * (`statement`). One that is no good is closed, and nothing is sent on it. Default: `["acquire"]`
   */
  readonly validateOn?: ReadonlyArray<ValidationMoment> | undefined
  /** A connection that has run so many statements is replaced as soon as nobody needs it. Default: any number */
  readonly maxStatements?: number | undefined
  /**
   * Whether a statement that provably was not executed is silently sent once more, on another connection. Only where
   * the pool itself took the lease for that one statement: `SqlClient` outside of transactions and sessions.
   * Default: `true`
   */
  readonly retryUnsent?: boolean | undefined
  /**
   * How long a statement may take; then it is cancelled on the server, and fails with the `StatementError` of reason
   * `StatementTimeout`. For a stream it bounds each wait for rows. COMMIT and ROLLBACK have bounds of their own.
   * Default: `Duration.infinity`, for none
   */
  readonly statementTimeout?: Duration.DurationInput | undefined
  /**
   * How long a COMMIT may go unanswered, which nothing can interrupt; then the transaction fails with `CommitUnknown`.
   * Default: 10 seconds
   */
  readonly commitTimeout?: Duration.DurationInput | undefined
}

/**
 * The options after checking, with every default filled in; durations in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface SqlPoolConfig extends Omit<PoolConfig.PoolConfig, "validateOn"> {
  readonly validateOn: ReadonlyArray<ValidationMoment>
  readonly maxStatements: number
  readonly retryUnsent: boolean
  readonly statementTimeout: number
  readonly commitTimeout: number
}

const moments: ReadonlyArray<unknown> = ["acquire", "return", "transaction", "statement"]

/** the pool underneath validates connections that nobody holds */
const poolOptions = ({ validateOn: _, ...options }: SqlPoolOptions): PoolConfig.PoolOptions => options

/**
 * Checks the options and fills in the defaults. Fails with an `InvalidPoolConfig` that names the first wrong option.
 *
 * @example
 * ```ts
 * import * as SqlPoolConfig from "@dbpool/sql/SqlPoolConfig"
 * import * as Effect from "effect/Effect"
 *
 * const config = SqlPoolConfig.resolve({ statementTimeout: "30 seconds" }).pipe(
 *   Effect.catchTag("InvalidPoolConfig", (error) => Effect.fail(`fix ${error.option}`))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const resolve = (options: SqlPoolOptions): Effect.Effect<SqlPoolConfig, InvalidPoolConfig> =>
  Effect.gen(function*() {
    const config = yield* PoolConfig.resolve(poolOptions(options))
    const refuse = (option: keyof SqlPoolOptions, requirement: string) => {
      const given = options[option]
      const shown = typeof given === "string" ? `"${given}"` : Inspectable.toStringUnknown(given, 0)
      return new InvalidPoolConfig({ pool: config.name, option, requirement: `${requirement}, not ${shown}` })
    }
    const { maxStatements = Infinity, retryUnsent = true, validateOn = ["acquire"] } = options
    if (!Array.isArray(validateOn) || validateOn.some((moment) => !moments.includes(moment))) {
      return yield* refuse("validateOn", `must be an array of ${moments.map((moment) => `"${moment}"`).join(", ")}`)
    }
    if (maxStatements !== Infinity && !(Number.isInteger(maxStatements) && maxStatements >= 1)) {
      return yield* refuse("maxStatements", "must be an integer of at least 1")
    }
    if (typeof retryUnsent !== "boolean") return yield* refuse("retryUnsent", "must be true or false")
    const bound = (option: "statementTimeout" | "commitTimeout", fallback: Duration.DurationInput) =>
      PoolConfig.bound(config.name, option, options[option] ?? fallback)
    return {
      ...config,
      validateOn,
      maxStatements,
      retryUnsent,
      statementTimeout: yield* bound("statementTimeout", Duration.infinity),
      commitTimeout: yield* bound("commitTimeout", "10 seconds")
    }
  })
