/**
 * A pool of MySQL or MariaDB connections, on `mysql2`.
 *
 * @since 0.1.0
 */
import * as PoolConfig from "@dbpool/core/PoolConfig"
import type { ConnectFailed, InvalidPoolConfig, TooManyConnections } from "@dbpool/core/PoolError"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as internalClient from "./internal/client.js"
import * as internalConfig from "./internal/config.js"
import * as internalDriver from "./internal/driver.js"
import type { MysqlPoolConfig, MysqlPoolOptions } from "./MysqlPoolConfig.js"

export type {
  /**
   * Every option as a value or as a `Config` of it.
   *
   * @since 0.1.0
   * @category models
   */
  MysqlPoolConfig,
  /**
   * Where the server is and how to talk to it, on top of the options of every pool.
   *
   * @since 0.1.0
   * @category models
   */
  MysqlPoolOptions
} from "./MysqlPoolConfig.js"

/**
 * A `SqlPool` that is known to be MySQL or MariaDB.
 *
 * @since 0.1.0
 * @category models
 */
export interface MysqlPool extends SqlPool.SqlPool {
  readonly dialect: "mysql"
  /** The client, with what `@effect/sql-mysql2`'s has more than others. */
  readonly client: MysqlClient.MysqlClient
}

/**
 * The pool, for programs that rely on MySQL; others ask for `SqlPool`, which the same layer provides.
 *
 * @since 0.1.0
 * @category tags
 */
export const MysqlPool: Context.Tag<MysqlPool, MysqlPool> = Context.GenericTag<MysqlPool>(
  "~@dbpool/sql-mysql2/MysqlPool"
)

/**
 * Makes the tag of a further database, in the style of `Context.Tag`: `layerOf` provides it.
 *
 * @example
 * ```ts
 * import * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
 * import * as Effect from "effect/Effect"
 *
 * class Orders extends MysqlPool.Tag("app/Orders")<Orders>() {}
 *
 * const unpaid = Effect.gen(function*() {
 *   const { client: sql } = yield* Orders
 *   return yield* sql`select id from orders where paid is null`
 * })
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): Context.TagClass<Self, Id, MysqlPool> =>
  Context.Tag(id)<Self, MysqlPool>()

/**
 * Makes a pool that lives as long as the scope.
 *
 * Fails with `InvalidPoolConfig` when an option is wrong, and with `ConnectFailed` or `TooManyConnections` when
 * `initialize` cannot have the connections it waits for.
 *
 * @example
 * ```ts
 * import * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
 * import * as Reactivity from "@effect/experimental/Reactivity"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const pool = yield* MysqlPool.make({ host: "localhost", database: "shop", username: "app" })
 *   return yield* pool.use((connection) => connection.query("select 1 as one"))
 * }).pipe(Effect.scoped, Effect.provide(Reactivity.layer))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R = never>(
  options: MysqlPoolOptions<R>
): Effect.Effect<
  MysqlPool,
  InvalidPoolConfig | ConnectFailed | TooManyConnections,
  R | Scope.Scope | Reactivity.Reactivity
> =>
  Effect.gen(function*() {
    const { name } = yield* PoolConfig.resolve({ name: options.name })
    const target = yield* internalConfig.resolve(name, options)
    const driver = yield* internalDriver.make(target, options)
    const idleTimeout = options.idleTimeout ?? options.connectionTTL
    const pool = yield* SqlPool.make(driver, { ...options, name, idleTimeout })
    const client = internalClient.extend(pool.client, internalClient.configOf(target, options))
    return { ...pool, client, dialect: "mysql" as const }
  })

/**
 * The pool, and the clients of `@effect/sql` and `@effect/sql-mysql2` over it, as a scoped layer: code written for those
 * runs unchanged. Fails as `make` does.
 *
 * @example
 * ```ts
 * import * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 * import * as Redacted from "effect/Redacted"
 *
 * const DbLive = MysqlPool.layer({
 *   url: Redacted.make("mysql://app:secret@localhost/shop"),
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
export const layer = <R = never>(
  options: MysqlPoolOptions<R>
): Layer.Layer<
  MysqlPool | SqlPool.SqlPool | MysqlClient.MysqlClient | SqlClient.SqlClient,
  InvalidPoolConfig | ConnectFailed | TooManyConnections,
  R
> => provided(make(options), everything)

/**
 * `layer` with options from the configuration; values and `Config`s mix. Fails as `make` does, and with `ConfigError`.
 *
 * @example
 * ```ts
 * import * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
 * import * as Config from "effect/Config"
 *
 * const DbLive = MysqlPool.layerConfig({
 *   url: Config.redacted("DATABASE_URL"),
 *   maxConnections: Config.integer("DB_MAX_CONNECTIONS").pipe(Config.withDefault(10)),
 *   readTimeout: "10 seconds"
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <R = never>(
  config: MysqlPoolConfig<R>
): Layer.Layer<
  MysqlPool | SqlPool.SqlPool | MysqlClient.MysqlClient | SqlClient.SqlClient,
  ConfigError | InvalidPoolConfig | ConnectFailed | TooManyConnections,
  R
> => provided(Effect.flatMap(read(config), make), everything)

/**
 * The pool of a further database, under a tag of its own and no other: its client is `(yield* Tag).client`. Fails as
 * `make` does.
 *
 * @example
 * ```ts
 * import * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
 * import * as Layer from "effect/Layer"
 *
 * class Orders extends MysqlPool.Tag("app/Orders")<Orders>() {}
 *
 * const DbLive = Layer.mergeAll(
 *   MysqlPool.layer({ database: "shop", username: "app" }),
 *   MysqlPool.layerOf(Orders, { database: "orders", username: "app", maxConnections: 5 })
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOf = <I, R = never>(
  tag: Context.Tag<I, MysqlPool> | Context.Tag<I, SqlPool.SqlPool>,
  options: MysqlPoolOptions<R>
): Layer.Layer<I, InvalidPoolConfig | ConnectFailed | TooManyConnections, R> => provided(make(options), only(tag))

/**
 * `layerOf` with options from the configuration; values and `Config`s mix. Fails as `make` does, and with `ConfigError`.
 *
 * @example
 * ```ts
 * import * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
 * import * as Config from "effect/Config"
 *
 * class Orders extends MysqlPool.Tag("app/Orders")<Orders>() {}
 *
 * const OrdersLive = MysqlPool.layerOfConfig(Orders, { url: Config.redacted("ORDERS_URL"), maxConnections: 5 })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOfConfig = <I, R = never>(
  tag: Context.Tag<I, MysqlPool> | Context.Tag<I, SqlPool.SqlPool>,
  config: MysqlPoolConfig<R>
): Layer.Layer<I, ConfigError | InvalidPoolConfig | ConnectFailed | TooManyConnections, R> =>
  provided(Effect.flatMap(read(config), make), only(tag))

const read = <R>(config: MysqlPoolConfig<R>): Effect.Effect<MysqlPoolOptions<R>, ConfigError> =>
  Effect.all(
    Object.fromEntries(
      Object.entries<unknown>(config).map((
        [option, value]
      ) => [option, Config.isConfig(value) ? value : Effect.succeed(value)])
    )
  ) as Effect.Effect<MysqlPoolOptions<R>, ConfigError>

const everything = (pool: MysqlPool) =>
  Context.make(MysqlPool, pool).pipe(
    Context.add(SqlPool.SqlPool, pool),
    Context.add(MysqlClient.MysqlClient, pool.client),
    Context.add(SqlClient.SqlClient, pool.client)
  )

const only =
  <I>(tag: Context.Tag<I, MysqlPool> | Context.Tag<I, SqlPool.SqlPool>) => (pool: MysqlPool): Context.Context<I> =>
    Context.make(tag as Context.Tag<I, MysqlPool>, pool)

const provided = <I, E, R>(
  pool: Effect.Effect<MysqlPool, E, R | Scope.Scope | Reactivity.Reactivity>,
  services: (pool: MysqlPool) => Context.Context<I>
): Layer.Layer<I, E, Exclude<R, Scope.Scope | Reactivity.Reactivity>> =>
  Layer.provide(Layer.scopedContext(Effect.map(pool, services)), Reactivity.layer) as never
