/**
 * The options of a LindormTable pool.
 *
 * @since 0.1.0
 */
import type * as SqlPool from "@dbpool/sql/SqlPool"
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { ConnectionOptions } from "node:tls"

/**
 * Where the server is and how to talk to it, on top of the options of every pool.
 *
 * Two of those have other defaults here, below what the server forgets: `idleTimeout` is 80 % of `serverExpiry`, and
 * `keepaliveInterval` 30 seconds, or 40 % of `serverExpiry` if that is less.
 *
 * `RS`, `RR` and `RP` are what `setup`, `reset` and the password need, when they are effects.
 *
 * @example
 * ```ts
 * import type * as LindormPoolConfig from "@dbpool/sql-lindorm/LindormPoolConfig"
 * import * as Redacted from "effect/Redacted"
 *
 * const options: LindormPoolConfig.LindormPoolOptions = {
 *   url: "http://lindorm.example:30060",
 *   user: "root",
 *   password: Redacted.make("secret"),
 *   database: "test",
 *   maxConnections: 50
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface LindormPoolOptions<RS = never, RR = never, RP = never> extends SqlPool.Options<RS, RR> {
  /**
   * `http://host:port`, or `https://` for TLS. LindormTable's port for Avatica is 30060, and the console's prefix
   * `jdbc:lindorm:table:url=` may stay.
   */
  readonly url: string
  /**
   * What kind of server it is. `"lindorm"` gets its login as `lindorm_user` and `lindorm_password`, identifiers in
   * backticks, and has no transactions; `"avatica"`, which is every other, gets `user` and `password`, identifiers in
   * double quotes, and has transactions if the database behind it has. Default: `"lindorm"`
   */
  readonly server?: "lindorm" | "avatica" | undefined
  readonly user?: string | undefined
  /**
   * An effect is run for every connection that is opened, so that the password may change while the pool lives. When
   * the server refuses what it gave, it is run once more at once; a second refusal is fatal, as every one of a password
   * that is a value.
   */
  readonly password?: Redacted.Redacted | Effect.Effect<Redacted.Redacted, unknown, RP> | undefined
  /** Sent as the property `database`. */
  readonly database?: string | undefined
  /** More of what the server is told when a connection is opened, by name. */
  readonly properties?: Readonly<Record<string, string>> | undefined
  /** The login of the HTTP server, where that has one; it is not the database's. Default: none */
  readonly authentication?: {
    readonly scheme: "basic" | "digest"
    readonly username: string
    readonly password: Redacted.Redacted
  } | undefined
  /** Options of Node's `tls.connect`, for an `https://` URL. */
  readonly ssl?: ConnectionOptions | undefined
  /**
   * How long the server may send nothing while an answer is due; then the connection is cut. LindormTable itself gives up
   * after two minutes. Default: 150 seconds
   */
  readonly readTimeout?: Duration.DurationInput | undefined
  /** How many rows are asked for at a time. Default: 500 */
  readonly frameSize?: number | undefined
  /** How long after its last use the server forgets a connection. Default: 10 minutes, Avatica's and LindormTable's */
  readonly serverExpiry?: Duration.DurationInput | undefined
  /** On every span, besides the address of the server and the name of the database. */
  readonly spanAttributes?: Record<string, unknown> | undefined
  /** From the server's column names to the program's. */
  readonly transformResultNames?: ((name: string) => string) | undefined
  /** From the program's names to the server's. */
  readonly transformQueryNames?: ((name: string) => string) | undefined
}

/**
 * Every option as a value or as a `Config` of it. Functions, and effects that are no `Config`, stay what they are.
 *
 * @since 0.1.0
 * @category models
 */
export type LindormPoolConfig<RS = never, RR = never, RP = never> = {
  readonly [K in keyof LindormPoolOptions]:
    | LindormPoolOptions<RS, RR, RP>[K]
    | Config.Config<LindormPoolOptions<RS, RR, RP>[K]>
}
