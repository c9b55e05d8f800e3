/**
 * A pool of PostgreSQL connections, on `pg`.
 *
 * @since 0.1.0
 */
import type { ConnectFailed, InvalidPoolConfig, TooManyConnections } from "@dbpool/core/PoolError"
import type * as Driver from "@dbpool/sql/Driver"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as SqlPoolConfig from "@dbpool/sql/SqlPoolConfig"
import type * as Transaction from "@dbpool/sql/Transaction"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Statement from "@effect/sql/Statement"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { ConnectionOptions } from "node:tls"
import type { CustomTypesConfig } from "pg"
import * as internalConfig from "./internal/config.js"
import type { PgConnection } from "./internal/connection.js"
import { connect } from "./internal/connection.js"
import { classify, connectFault } from "./internal/errors.js"

/**
 * A `SqlPool` that is known to be PostgreSQL.
 *
 * @since 0.1.0
 * @category models
 */
export interface PgPool extends SqlPool.SqlPool {
  readonly dialect: "pg"
}

/**
 * The pool, for programs that rely on PostgreSQL; others ask for `SqlPool`, which the same layer provides.
 *
 * @since 0.1.0
 * @category tags
 */
export const PgPool: Context.Tag<PgPool, PgPool> = Context.GenericTag<PgPool>("~@dbpool/sql-pg/PgPool")

/**
 * Where the server is and how to talk to it, on top of the options of every pool. The names are those of
 * `@effect/sql-pg`. What is set here comes before what the URL says, and both before the `PG...` environment variables.
 *
 * @since 0.1.0
 * @category models
 */
export interface PgPoolOptions extends SqlPool.Options {
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
  readonly password?: Redacted.Redacted | undefined
  /** `true` checks the server's certificate; options are those of Node's `tls.connect`. Default: no TLS */
  readonly ssl?: boolean | ConnectionOptions | undefined
  /** What `pg_stat_activity` shows. Default: `dbpool` */
  readonly applicationName?: string | undefined
  /** On every span, besides the address of the server and the name of the database. */
  readonly spanAttributes?: Record<string, unknown> | undefined
  /** From the server's column names to the program's. */
  readonly transformResultNames?: ((name: string) => string) | undefined
  /** From the program's names to the server's. */
  readonly transformQueryNames?: ((name: string) => string) | undefined
  /** Whether JSON values are transformed too. */
  readonly transformJson?: boolean | undefined
  /** Parsers of `pg` for the server's types. */
  readonly types?: CustomTypesConfig | undefined
}

/**
 * Every option as a value or as a `Config` of it. Functions stay what they are.
 *
 * @since 0.1.0
 * @category models
 */
export type PgPoolConfig = {
  readonly [K in keyof PgPoolOptions]: PgPoolOptions[K] | Config.Config<PgPoolOptions[K]>
}

/**
 * Makes a pool that lives as long as the scope.
 *
 * Fails with `InvalidPoolConfig` when an option is wrong, and with `ConnectFailed` or `TooManyConnections` when
 * `initialize` cannot have the connections it waits for.
 *
 * @example
 * ```ts
 * import * as PgPool from "@dbpool/sql-pg/PgPool"
 * import * as Reactivity from "@effect/experimental/Reactivity"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const pool = yield* PgPool.make({ host: "localhost", database: "shop", username: "app" })
 *   return yield* pool.use((connection) => connection.query("select 1 as one"))
 * }).pipe(Effect.scoped, Effect.provide(Reactivity.layer))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: PgPoolOptions
): Effect.Effect<
  PgPool,
  InvalidPoolConfig | ConnectFailed | TooManyConnections,
  Scope.Scope | Reactivity.Reactivity
> =>
  Effect.gen(function*() {
    const { name } = yield* SqlPoolConfig.resolve(options)
    const target = yield* internalConfig.resolve(name, options)
    const pool = yield* SqlPool.make(makeDriver(target, options), { ...options, name })
    return Object.assign(pool, { dialect: "pg" as const })
  })

/**
 * The pool, and `@effect/sql`'s client over it, as a scoped layer. Fails as `make` does.
 *
 * @example
 * ```ts
 * import * as PgPool from "@dbpool/sql-pg/PgPool"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 * import * as Redacted from "effect/Redacted"
 *
 * const DbLive = PgPool.layer({
 *   url: Redacted.make("postgres://app:secret@localhost/shop"),
 *   maxConnections: 20
 * })
 *
 * const program = Effect.gen(function*() {
 *   const sql = yield* SqlClient.SqlClient
 *   return yield* sql`select name from products where price < ${100}`
 * }).pipe(Effect.provide(DbLive))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: PgPoolOptions
): Layer.Layer<
  PgPool | SqlPool.SqlPool | SqlClient.SqlClient,
  InvalidPoolConfig | ConnectFailed | TooManyConnections
> => fromMake(make(options))

/**
 * `layer` with options from the configuration; values and `Config`s mix. Fails as `make` does, and with `ConfigError`.
 *
 * @example
 * ```ts
 * import * as PgPool from "@dbpool/sql-pg/PgPool"
 * import * as Config from "effect/Config"
 *
 * const DbLive = PgPool.layerConfig({
 *   url: Config.redacted("DATABASE_URL"),
 *   maxConnections: Config.integer("DB_MAX_CONNECTIONS").pipe(Config.withDefault(10)),
 *   idleTimeout: "10 minutes"
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: PgPoolConfig
): Layer.Layer<
  PgPool | SqlPool.SqlPool | SqlClient.SqlClient,
  ConfigError | InvalidPoolConfig | ConnectFailed | TooManyConnections
> =>
  fromMake(Effect.flatMap(
    Effect.all(Object.fromEntries(
      Object.entries<unknown>(config).map((
        [option, value]
      ) => [option, Config.isConfig(value) ? value : Effect.succeed(value)])
    )),
    (options: PgPoolOptions) => make(options)
  ))

const fromMake = <E>(pool: Effect.Effect<PgPool, E, Scope.Scope | Reactivity.Reactivity>) =>
  Layer.scopedContext(Effect.map(pool, (pool) =>
    Context.make(PgPool, pool).pipe(
      Context.add(SqlPool.SqlPool, pool),
      Context.add(SqlClient.SqlClient, pool.client)
    ))).pipe(Layer.provide(Reactivity.layer))

const makeDriver = (target: internalConfig.Target, options: PgPoolOptions): Driver.Driver<PgConnection> => ({
  connect: connect(target.config),
  connectFault,
  classify,
  compiler: PgClient.makeCompiler(options.transformQueryNames, options.transformJson),
  transformRows: options.transformResultNames === undefined
    ? undefined
    : Statement.defaultTransforms(options.transformResultNames, options.transformJson).array,
  spanAttributes: [
    ...Object.entries(options.spanAttributes ?? {}),
    ["db.system.name", "postgresql"],
    ["db.namespace", target.database],
    ["server.address", target.host],
    ["server.port", target.port]
  ],
  begin,
  transactionOptions: ["isolation", "accessMode", "deferrable"]
})

const begin = ({ accessMode, deferrable, isolation }: Transaction.TransactionOptions): string =>
  [
    "BEGIN",
    isolation === undefined ? "" : `ISOLATION LEVEL ${isolation.toUpperCase()}`,
    accessMode?.toUpperCase() ?? "",
    deferrable === undefined ? "" : deferrable ? "DEFERRABLE" : "NOT DEFERRABLE"
  ]
    .filter((word) => word !== "").join(" ")
