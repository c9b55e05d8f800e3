/**
 * The options of a MySQL or MariaDB pool.
 *
 * @since 0.1.0
 */
import type * as SqlPool from "@dbpool/sql/SqlPool"
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { ConnectionOptions, SslOptions } from "mysql2"
import type { Duplex } from "node:stream"

/**
 * Options of `mysql2` for its connections. Those of its pool are not among them, nor those that would change what this
 * one relies on.
 *
 * @since 0.1.0
 * @category models
 */
export type DriverOptions = Pick<
  ConnectionOptions,
  | "authPlugins"
  | "bigNumberStrings"
  | "compress"
  | "connectAttributes"
  | "dateStrings"
  | "decimalNumbers"
  | "disableEval"
  | "enableCleartextPlugin"
  | "flags"
  | "infileStreamFactory"
  | "insecureAuth"
  | "jsonStrings"
  | "localAddress"
  | "password2"
  | "password3"
  | "passwordSha1"
  | "timezone"
  | "typeCast"
>

/**
 * Where the server is and how to talk to it, on top of the options of every pool. Every option of `@effect/sql-mysql2` is
 * here under its name. What is set here comes before what the URL says.
 *
 * `R` is what the password needs, when that is an effect.
 *
 * @example
 * ```ts
 * import type * as MysqlPoolConfig from "@dbpool/sql-mysql2/MysqlPoolConfig"
 *
 * const options: MysqlPoolConfig.MysqlPoolOptions = {
 *   host: "rm-example.mysql.rds.aliyuncs.com",
 *   database: "shop",
 *   username: "app",
 *   connectTimeout: "3 seconds",
 *   readTimeout: "10 seconds",
 *   writeTimeout: "10 seconds"
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface MysqlPoolOptions<out R = never> extends SqlPool.Options {
  /**
   * `mysql://user:password@host:port/database`, with these parameters: `ssl-mode` (`DISABLED`, `REQUIRED`, `VERIFY_CA`,
   * `VERIFY_IDENTITY`) and `charset`. Others are ignored.
   */
  readonly url?: Redacted.Redacted | undefined
  /** Default: `localhost` */
  readonly host?: string | undefined
  /** Default: 3306 */
  readonly port?: number | undefined
  /** A Unix socket, instead of a host. */
  readonly socketPath?: string | undefined
  /** Default: none; statements then have to say which database they mean. */
  readonly database?: string | undefined
  /** Default: the server's anonymous user */
  readonly username?: string | undefined
  /**
   * An effect is run for every connection that is opened, so that the password may change while the pool lives. When
   * the server refuses what it gave, it is run once more at once; a second refusal is fatal, as every one of a password
   * that is a value.
   */
  readonly password?: Redacted.Redacted | Effect.Effect<Redacted.Redacted, unknown, R> | undefined
  /**
   * `true` checks the server's certificate and that it is the server's name; options are those of `mysql2`.
   * Default: no TLS
   */
  readonly ssl?: boolean | SslOptions | undefined
  /** Makes the socket, of connections and of cancels, connected or about to be. Default: one to the address above */
  readonly stream?: (() => Duplex) | undefined
  /** The character set of the session, or a collation of it. Default: `utf8mb4_unicode_ci` */
  readonly charset?: string | undefined
  /** What the server's `session_connect_attrs` shows as `program_name`. Default: `dbpool` */
  readonly applicationName?: string | undefined
  /**
   * How long the server may be silent while its answer is waited for. Then the statement is cancelled, the connection
   * closed, and the statement fails with `ConnectionLost`. Default: for ever
   */
  readonly readTimeout?: Duration.DurationInput | undefined
  /** How long it may take nothing of what is sent; then as with `readTimeout`. Default: for ever */
  readonly writeTimeout?: Duration.DurationInput | undefined
  /** Whether the system probes silent connections, so that those of a vanished server are noticed. Default: `true` */
  readonly keepAlive?: boolean | undefined
  /** After how long a silence; the probes then come every second, and ten without an answer end it. Default: 10 seconds */
  readonly keepAliveInitialDelay?: Duration.DurationInput | undefined
  /**
   * How many statements each connection keeps prepared, at least 1. All connections of all programs together must stay
   * below the server's `max_prepared_stmt_count` (16,382). Default: 100
   */
  readonly preparedStatements?: number | undefined
  /** Options of `mysql2` for each connection, such as `{ timezone: "Z", dateStrings: true }`. */
  readonly poolConfig?: DriverOptions | undefined
  /** `idleTimeout`, by the name that `@effect/sql-mysql2` has for it. */
  readonly connectionTTL?: Duration.DurationInput | undefined
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
export type MysqlPoolConfig<R = never> = {
  readonly [K in keyof MysqlPoolOptions<R>]: MysqlPoolOptions<R>[K] | Config.Config<MysqlPoolOptions<R>[K]>
}
