/**
 * A pool of PostgreSQL connections, on `pg`.
 *
 * @since 0.1.0
 */
import type { AcquireError, ConnectFailed, InvalidPoolConfig, TooManyConnections } from "@dbpool/core/PoolError"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as SqlPoolConfig from "@dbpool/sql/SqlPoolConfig"
import type { QueryError } from "@dbpool/sql/SqlPoolError"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Channels from "./internal/channels.js"
import * as internalClient from "./internal/client.js"
import * as internalConfig from "./internal/config.js"
import * as internalDriver from "./internal/driver.js"
import type * as PgListen from "./PgListen.js"
import type { PgPoolConfig, PgPoolOptions } from "./PgPoolConfig.js"

export type {
  /**
   * Who logs in.
   *
   * @since 0.1.0
   * @category models
   */
  Credentials,
  /**
   * Every option as a value or as a `Config` of it, or all of them as one `Config`.
   *
   * @since 0.1.0
   * @category models
   */
  PgPoolConfig,
  /**
   * Where the server is and how to talk to it, on top of the options of every pool.
   *
   * @since 0.1.0
   * @category models
   */
  PgPoolOptions
} from "./PgPoolConfig.js"

/**
 * A `SqlPool` that is known to be PostgreSQL.
 *
 * @since 0.1.0
 * @category models
 */
export interface PgPool extends SqlPool.SqlPool {
  readonly dialect: "pg"
  /** The client, with what `@effect/sql-pg`'s has more than others: `json`, `listen`, `notify`. */
  readonly client: PgClient.PgClient
  /**
   * What is notified on a channel, for as long as the stream runs. It begins with `Listening`. When the connection dies
   * it listens on another as soon as there is one, and says so with a `Gap`.
   *
   * All channels of a pool share one connection. It is a lease of the pool: one of `maxConnections`, from the first
   * listener to the last, and in `holders` under the span `dbpool.listen`.
   *
   * Before it listens it fails as `use` does, with `StatementError` when the server refuses, and with `InvalidPoolConfig`
   * where `maxConnections` is 1, or behind a transaction pooler, which forgets who listens. Afterwards only the end of the
   * pool ends it, with `PoolClosed`.
   */
  readonly listen: (
    channel: string,
    options?: PgListen.Options
  ) => Stream.Stream<PgListen.Element, PgListen.ListenError>
  /** Notifies a channel: in a transaction of this pool when it commits, else at once. At most 7999 bytes. */
  readonly notify: (channel: string, payload?: string) => Effect.Effect<void, AcquireError | QueryError>
}

/**
 * The pool, for programs that rely on PostgreSQL; others ask for `SqlPool`, which the same layer provides.
 *
 * @since 0.1.0
 * @category tags
 */
export const PgPool: Context.Tag<PgPool, PgPool> = Context.GenericTag<PgPool>("~@dbpool/sql-pg/PgPool")

/**
 * Makes the tag of a further database, in the style of `Context.Tag`: `layerOf` provides it.
 *
 * @example
 * ```ts
 * import * as PgPool from "@dbpool/sql-pg/PgPool"
 * import * as Effect from "effect/Effect"
 *
 * class Orders extends PgPool.Tag("app/Orders")<Orders>() {}
 *
 * const open = Effect.gen(function*() {
 *   const { client: sql } = yield* Orders
 *   return yield* sql`select id from orders where paid is null`
 * })
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): Context.TagClass<Self, Id, PgPool> =>
  Context.Tag(id)<Self, PgPool>()

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
export const make = <RS = never, RR = never, RP = never>(
  options: PgPoolOptions<RS, RR, RP>
): Effect.Effect<
  PgPool,
  InvalidPoolConfig | ConnectFailed | TooManyConnections,
  RS | RR | RP | Scope.Scope | Reactivity.Reactivity
> =>
  Effect.gen(function*() {
    const config = yield* SqlPoolConfig.resolve(options)
    const target = yield* internalConfig.resolve(config.name, options)
    const maxLifetime = yield* internalConfig.lifetime(config.name, options)
    const sqlPool = yield* SqlPool.make(internalDriver.make(target, options), {
      ...options,
      name: config.name,
      maxLifetime
    })
    const channels = yield* Channels.make(sqlPool, config, target.transactionPooling)
    const client = internalClient.extend(sqlPool.client, channels, internalClient.configOf(target, options))
    return { ...sqlPool, ...channels, client, dialect: "pg" as const }
  })

/**
 * The pool, and the clients of `@effect/sql` and `@effect/sql-pg` over it, as a scoped layer: code written for those
 * runs unchanged. Fails as `make` does.
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
export const layer = <RS = never, RR = never, RP = never>(
  options: PgPoolOptions<RS, RR, RP>
): Layer.Layer<
  PgPool | SqlPool.SqlPool | PgClient.PgClient | SqlClient.SqlClient,
  InvalidPoolConfig | ConnectFailed | TooManyConnections,
  RS | RR | RP
> => provided(make(options), everything)

/**
 * `layer` with options from the configuration; values and `Config`s mix, inside records too. Fails as `make` does, and with `ConfigError`.
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
export const layerConfig = <RS = never, RR = never, RP = never>(
  config: PgPoolConfig<RS, RR, RP>
): Layer.Layer<
  PgPool | SqlPool.SqlPool | PgClient.PgClient | SqlClient.SqlClient,
  ConfigError | InvalidPoolConfig | ConnectFailed | TooManyConnections,
  RS | RR | RP
> => provided(Effect.flatMap(read(config), make), everything)

/**
 * The pool of a further database, under a tag of its own and no other: its client is `(yield* Tag).client`. The tag is
 * one of `PgPool.Tag`, or of `SqlPool.Tag` where the program does not care for the dialect. Fails as `make` does.
 *
 * @example
 * ```ts
 * import * as PgPool from "@dbpool/sql-pg/PgPool"
 * import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
 *
 * class Orders extends PgPool.Tag("app/Orders")<Orders>() {}
 *
 * const DbLive = Layer.mergeAll(
 *   PgPool.layer({ database: "shop", username: "app" }),
 *   PgPool.layerOf(Orders, { database: "orders", username: "app", maxConnections: 5 })
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOf = <I, RS = never, RR = never, RP = never>(
  tag: Context.Tag<I, PgPool> | Context.Tag<I, SqlPool.SqlPool>,
  options: PgPoolOptions<RS, RR, RP>
): Layer.Layer<I, InvalidPoolConfig | ConnectFailed | TooManyConnections, RS | RR | RP> =>
  provided(make(options), only(tag))

/**
 * `layerOf` with options from the configuration; values and `Config`s mix. Fails as `make` does, and with `ConfigError`.
 *
 * @example
 * ```ts
 * import * as PgPool from "@dbpool/sql-pg/PgPool"
 * import * as Config from "effect/Config"
 *
 * class Orders extends PgPool.Tag("app/Orders")<Orders>() {}
 *
 * const OrdersLive = PgPool.layerOfConfig(Orders, { url: Config.redacted("ORDERS_URL"), maxConnections: 5 })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOfConfig = <I, RS = never, RR = never, RP = never>(
  tag: Context.Tag<I, PgPool> | Context.Tag<I, SqlPool.SqlPool>,
  config: PgPoolConfig<RS, RR, RP>
): Layer.Layer<I, ConfigError | InvalidPoolConfig | ConnectFailed | TooManyConnections, RS | RR | RP> =>
  provided(Effect.flatMap(read(config), make), only(tag))

const read = <RS, RR, RP>(config: PgPoolConfig<RS, RR, RP>): Effect.Effect<PgPoolOptions<RS, RR, RP>, ConfigError> =>
  (Config.isConfig(config) ?
    config :
    readAll(
      { ...config },
      (value) => hasConfigs(value) ? readAll(value, Effect.succeed) : Effect.succeed(value)
    )) as Effect.Effect<PgPoolOptions<RS, RR, RP>, ConfigError>

/** a record; an effect that needs a `Config` has one inside as well */
const hasConfigs = (value: unknown): value is Readonly<Record<string, unknown>> =>
  Predicate.isRecord(value) && Object.getPrototypeOf(value) === Object.prototype &&
  Object.values(value).some(Config.isConfig)

const readAll = (
  config: Readonly<Record<string, unknown>>,
  other: (value: unknown) => Effect.Effect<unknown, ConfigError>
) =>
  Effect.all(Object.fromEntries(
    Object.entries(config).map(([option, value]) => [option, Config.isConfig(value) ? value : other(value)])
  ))

const everything = (pool: PgPool) =>
  Context.make(PgPool, pool).pipe(
    Context.add(SqlPool.SqlPool, pool),
    Context.add(PgClient.PgClient, pool.client),
    Context.add(SqlClient.SqlClient, pool.client)
  )

const only = <I>(tag: Context.Tag<I, PgPool> | Context.Tag<I, SqlPool.SqlPool>) => (pool: PgPool): Context.Context<I> =>
  Context.make(tag as Context.Tag<I, PgPool>, pool)

const provided = <I, E, R>(
  pool: Effect.Effect<PgPool, E, R | Scope.Scope | Reactivity.Reactivity>,
  services: (pool: PgPool) => Context.Context<I>
): Layer.Layer<I, E, Exclude<R, Scope.Scope | Reactivity.Reactivity>> =>
  Layer.provide(Layer.scopedContext(Effect.map(pool, services)), Reactivity.layer) as never
