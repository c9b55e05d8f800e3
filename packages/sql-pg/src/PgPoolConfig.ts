/**
 * The options of a PostgreSQL pool.
 *
 * @since 0.1.0
 */
import type * as SqlPool from "@dbpool/sql/SqlPool"
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { Duplex } from "node:stream"
import type { ConnectionOptions } from "node:tls"
import type { CustomTypesConfig } from "pg"

/**
 * Who logs in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credentials {
  readonly username: string
  readonly password: Redacted.Redacted
}

/**
 * Where the server is and how to talk to it, on top of the options of every pool. Every option of `@effect/sql-pg` is
 * here under its name. What is set here comes before what the URL says, and both before the `PG...` environment
 * variables.
 *
 * `RS`, `RR` and `RP` are what `setup`, `reset`, and the password or the credentials need, when they are effects.
 *
 * @example
 * ```ts
 * import type * as PgPoolConfig from "@dbpool/sql-pg/PgPoolConfig"
 *
 * const options: PgPoolConfig.PgPoolOptions = {
 *   host: "db.example.com",
 *   database: "shop",
 *   username: "app",
 *   ssl: true,
 *   lockTimeout: "2 seconds",
 *   parameters: { search_path: "shop, public", TimeZone: "UTC" }
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface PgPoolOptions<RS = never, RR = never, RP = never> extends SqlPool.Options<RS, RR> {
  /**
   * `postgres://user:password@host:port/database`, with these of libpq's parameters: `sslmode`, `sslcert`, `sslkey`,
   * `sslrootcert`, `sslnegotiation`, `application_name`, `options`. Others are ignored.
   */
  readonly url?: Redacted.Redacted | undefined
  /** Default: `localhost` */
  readonly host?: string | undefined
  /** Default: 5432 */
  readonly port?: number | undefined
  /** The directory of a Unix socket, instead of a host. */
  readonly path?: string | undefined
  /** Default: the same as `username` */
  readonly database?: string | undefined
  /** Default: the user that runs the program */
  readonly username?: string | undefined
  /**
   * An effect is run for every connection that is opened, so that the password may change while the pool lives. When
   * the server refuses what it gave, it is run once more at once; a second refusal is fatal, as every one of a password
   * that is a value.
   */
  readonly password?: Redacted.Redacted | Effect.Effect<Redacted.Redacted, unknown, RP> | undefined
  /**
   * Both together, in place of `username` and `password`, for users that change as well. An effect is run as that of
   * `password` is; it needs a `database`, whose default is the name of the user.
   */
  readonly credentials?: Credentials | Effect.Effect<Credentials, unknown, RP> | undefined
  /** `true` checks the server's certificate; options are those of Node's `tls.connect`. Default: no TLS */
  readonly ssl?: boolean | ConnectionOptions | undefined
  /** Makes the socket, of connections and of cancels: a stream with the `connect(port, host)` of a `net.Socket`. */
  readonly stream?: (() => Duplex) | undefined
  /** What `pg_stat_activity` shows. Default: `dbpool` */
  readonly applicationName?: string | undefined
  /**
   * Settings of the session, sent when it is opened: `{ search_path: "shop", TimeZone: "UTC" }`. They need no round trip,
   * and `DISCARD ALL` goes back to them. One that the server does not know is fatal.
   */
  readonly parameters?: Readonly<Record<string, string | number | boolean>> | undefined
  /**
   * How long a statement may wait for a lock (`lock_timeout`); behind a transaction pooler only in transactions.
   * Default: what the server says
   */
  readonly lockTimeout?: Duration.DurationInput | undefined
  /**
   * How long a transaction may do nothing (`idle_in_transaction_session_timeout`) before the server cuts the connection.
   * Default: what the server says
   */
  readonly idleInTransactionTimeout?: Duration.DurationInput | undefined
  /**
   * How often the server looks, while a statement runs, whether its client is still there
   * (`client_connection_check_interval`, PostgreSQL 14 and newer). Older servers and proxies, which refuse it, are asked
   * without. Zero leaves it to the server. Default: 5 seconds, behind a transaction pooler zero
   */
  readonly clientConnectionCheckInterval?: Duration.DurationInput | undefined
  /** Whether the system probes silent connections, so that those of a vanished server are noticed. Default: `true` */
  readonly keepAlive?: boolean | undefined
  /** After how long a silence; the probes then come every second, and ten without an answer end it. Default: 10 seconds */
  readonly keepAliveInitialDelay?: Duration.DurationInput | undefined
  /**
   * How many statements each connection keeps prepared: those with parameters, from the second time they are run on it.
   * 0 prepares none. Default: 100, behind a transaction pooler 0
   */
  readonly preparedStatements?: number | undefined
  /**
   * The server is reached through a proxy that gives each transaction another backend, such as PgBouncer with
   * `pool_mode = transaction`. No statement stays prepared, nothing but what such proxies know is sent at login, and the
   * connection of a cancelled statement is not lent again. Default: `false`
   */
  readonly transactionPooling?: boolean | undefined
  /**
   * Lets up to `maxLeases` single statements of `SqlClient` run on one connection at the same time, once every connection
   * is in use: they are sent without waiting for one another. Not for transactions, streams, leases and sessions, nor for
   * statements that might change the session; see "Sharing, and when not to" in docs/postgres.md. Not to be had with
   * `transactionPooling`. Default: each has a connection of its own
   */
  readonly sharing?: { readonly maxLeases: number } | undefined
  /** `maxLifetime`, by the name that `@effect/sql-pg` has for it. */
  readonly connectionTTL?: Duration.DurationInput | undefined
  /** On every span, besides the address of the server and the name of the database. */
  readonly spanAttributes?: Record<string, unknown> | undefined
  /** From the server's column names to the program's. */
  readonly transformResultNames?: ((name: string) => string) | undefined
  /** From the program's names to the server's. */
  readonly transformQueryNames?: ((name: string) => string) | undefined
  /** Whether JSON values are transformed too. Default: `true` */
  readonly transformJson?: boolean | undefined
  /** Parsers of `pg` for the server's types. */
  readonly types?: CustomTypesConfig | undefined
}

/**
 * Every option as a value or as a `Config` of it, or all of them as one `Config`. The records among them may have `Config`s
 * inside. Functions, and effects that are no `Config`, stay what they are.
 *
 * @example
 * ```ts
 * import type * as PgPoolConfig from "@dbpool/sql-pg/PgPoolConfig"
 * import * as Config from "effect/Config"
 *
 * const config: PgPoolConfig.PgPoolConfig = {
 *   host: Config.string("DB_HOST"),
 *   database: "shop",
 *   credentials: { username: Config.string("DB_USER"), password: Config.redacted("DB_PASSWORD") },
 *   parameters: { search_path: Config.string("DB_SCHEMA"), TimeZone: "UTC" }
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type PgPoolConfig<RS = never, RR = never, RP = never> =
  | Config.Config<PgPoolOptions<RS, RR, RP>>
  | {
    readonly [K in keyof PgPoolOptions]:
      | PgPoolOptions<RS, RR, RP>[K]
      | Config.Config<PgPoolOptions<RS, RR, RP>[K]>
      | (K extends "credentials" | "parameters" | "spanAttributes" | "ssl" | "types" ? Inside<PgPoolOptions[K]> : never)
  }

type Inside<A> = A extends Effect.Effect<any, any, any> ? never
  : A extends object ? { readonly [K in keyof A]: A[K] | Config.Config<A[K]> }
  : never
