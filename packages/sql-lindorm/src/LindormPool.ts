/**
 * A pool of connections to LindormTable, or to any other server that speaks Avatica's protobuf over HTTP, such as the
 * Phoenix Query Server.
 *
 * @since 0.1.0
 */
import type { ConnectFailed, InvalidPoolConfig, TooManyConnections } from "@dbpool/core/PoolError"
import type * as Driver from "@dbpool/sql/Driver"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as SqlPoolConfig from "@dbpool/sql/SqlPoolConfig"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Statement from "@effect/sql/Statement"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as internalConfig from "./internal/config.js"
import type { AvaticaConnection } from "./internal/connection.js"
import { connect } from "./internal/connection.js"
import { classify, connectFault } from "./internal/errors.js"
import type { LindormPoolConfig, LindormPoolOptions } from "./LindormPoolConfig.js"

export type {
  /**
   * Every option as a value or as a `Config` of it.
   *
   * @since 0.1.0
   * @category models
   */
  LindormPoolConfig,
  /**
   * Where the server is and how to talk to it, on top of the options of every pool.
   *
   * @since 0.1.0
   * @category models
   */
  LindormPoolOptions
} from "./LindormPoolConfig.js"

/**
 * A `SqlPool` that is known to be LindormTable, or another Avatica server.
 *
 * @since 0.1.0
 * @category models
 */
export interface LindormPool extends SqlPool.SqlPool {
  readonly dialect: "lindorm"
}

/**
 * The pool, for programs that rely on LindormTable; others ask for `SqlPool`, which the same layer provides.
 *
 * @since 0.1.0
 * @category tags
 */
export const LindormPool: Context.Tag<LindormPool, LindormPool> = Context.GenericTag<LindormPool>(
  "~@dbpool/sql-lindorm/LindormPool"
)

/**
 * Makes the tag of a further database, in the style of `Context.Tag`: `layerOf` provides it.
 *
 * @example
 * ```ts
 * import * as LindormPool from "@dbpool/sql-lindorm/LindormPool"
 * import * as Effect from "effect/Effect"
 *
 * class Telemetry extends LindormPool.Tag("app/Telemetry")<Telemetry>() {}
 *
 * const latest = Effect.gen(function*() {
 *   const { client: sql } = yield* Telemetry
 *   return yield* sql`select * from readings where device = ${"d001"} limit 1`
 * })
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): Context.TagClass<Self, Id, LindormPool> =>
  Context.Tag(id)<Self, LindormPool>()

/**
 * Makes a pool that lives as long as the scope.
 *
 * Fails with `InvalidPoolConfig` when an option is wrong, and with `ConnectFailed` or `TooManyConnections` when
 * `initialize` cannot have the connections it waits for.
 *
 * @example
 * ```ts
 * import * as LindormPool from "@dbpool/sql-lindorm/LindormPool"
 * import * as Reactivity from "@effect/experimental/Reactivity"
 * import * as Effect from "effect/Effect"
 * import * as Redacted from "effect/Redacted"
 *
 * const program = Effect.gen(function*() {
 *   const pool = yield* LindormPool.make({
 *     url: "http://lindorm.example:30060",
 *     user: "root",
 *     password: Redacted.make("secret"),
 *     database: "test"
 *   })
 *   return yield* pool.use((connection) => connection.query("select * from tb limit 1"))
 * }).pipe(Effect.scoped, Effect.provide(Reactivity.layer))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <RS = never, RR = never, RP = never>(
  options: LindormPoolOptions<RS, RR, RP>
): Effect.Effect<
  LindormPool,
  InvalidPoolConfig | ConnectFailed | TooManyConnections,
  RS | RR | RP | Scope.Scope | Reactivity.Reactivity
> =>
  Effect.gen(function*() {
    const { name } = yield* SqlPoolConfig.resolve(options)
    const target = yield* internalConfig.resolve(name, options)
    const pool = yield* SqlPool.make(makeDriver(target, options), {
      ...options,
      idleTimeout: options.idleTimeout ?? target.presets.idleTimeout,
      keepaliveInterval: options.keepaliveInterval ?? target.presets.keepaliveInterval,
      name
    })
    return Object.assign(pool, { dialect: "lindorm" as const })
  })

/**
 * The pool, and `@effect/sql`'s client over it, as a scoped layer. Fails as `make` does.
 *
 * @example
 * ```ts
 * import * as LindormPool from "@dbpool/sql-lindorm/LindormPool"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 * import * as Redacted from "effect/Redacted"
 *
 * const LindormLive = LindormPool.layer({
 *   url: "http://lindorm.example:30060",
 *   user: "root",
 *   password: Redacted.make("secret"),
 *   database: "test",
 *   maxConnections: 50
 * })
 *
 * const program = Effect.gen(function*() {
 *   const sql = yield* SqlClient.SqlClient
 *   yield* sql`upsert into tb (id, name, address) values (${"i002"}, ${"n002"}, ${"a002"})`
 *   return yield* sql`select * from tb`
 * }).pipe(Effect.provide(LindormLive))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <RS = never, RR = never, RP = never>(
  options: LindormPoolOptions<RS, RR, RP>
): Layer.Layer<
  LindormPool | SqlPool.SqlPool | SqlClient.SqlClient,
  InvalidPoolConfig | ConnectFailed | TooManyConnections,
  RS | RR | RP
> => provided(make(options), everything)

/**
 * `layer` with options from the configuration; values and `Config`s mix. Fails as `make` does, and with `ConfigError`.
 *
 * @example
 * ```ts
 * import * as LindormPool from "@dbpool/sql-lindorm/LindormPool"
 * import * as Config from "effect/Config"
 *
 * const LindormLive = LindormPool.layerConfig({
 *   url: Config.string("LINDORM_URL"),
 *   user: Config.string("LINDORM_USER"),
 *   password: Config.redacted("LINDORM_PASSWORD"),
 *   database: "test",
 *   maxConnections: Config.integer("DB_MAX_CONNECTIONS").pipe(Config.withDefault(50))
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <RS = never, RR = never, RP = never>(
  config: LindormPoolConfig<RS, RR, RP>
): Layer.Layer<
  LindormPool | SqlPool.SqlPool | SqlClient.SqlClient,
  ConfigError | InvalidPoolConfig | ConnectFailed | TooManyConnections,
  RS | RR | RP
> => provided(Effect.flatMap(read(config), make), everything)

/**
 * The pool of a further database, under a tag of its own and no other: its client is `(yield* Tag).client`. The tag is
 * one of `LindormPool.Tag`, or of `SqlPool.Tag` where the program does not care for the dialect. Fails as `make` does.
 *
 * @example
 * ```ts
 * import * as LindormPool from "@dbpool/sql-lindorm/LindormPool"
 *
 * class Telemetry extends LindormPool.Tag("app/Telemetry")<Telemetry>() {}
 *
 * const TelemetryLive = LindormPool.layerOf(Telemetry, { url: "http://lindorm.example:30060", database: "telemetry" })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOf = <I, RS = never, RR = never, RP = never>(
  tag: Context.Tag<I, LindormPool> | Context.Tag<I, SqlPool.SqlPool>,
  options: LindormPoolOptions<RS, RR, RP>
): Layer.Layer<I, InvalidPoolConfig | ConnectFailed | TooManyConnections, RS | RR | RP> =>
  provided(make(options), only(tag))

/**
 * `layerOf` with options from the configuration; values and `Config`s mix. Fails as `make` does, and with `ConfigError`.
 *
 * @example
 * ```ts
 * import * as LindormPool from "@dbpool/sql-lindorm/LindormPool"
 * import * as Config from "effect/Config"
 *
 * class Telemetry extends LindormPool.Tag("app/Telemetry")<Telemetry>() {}
 *
 * const TelemetryLive = LindormPool.layerOfConfig(Telemetry, { url: Config.string("TELEMETRY_URL") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOfConfig = <I, RS = never, RR = never, RP = never>(
  tag: Context.Tag<I, LindormPool> | Context.Tag<I, SqlPool.SqlPool>,
  config: LindormPoolConfig<RS, RR, RP>
): Layer.Layer<I, ConfigError | InvalidPoolConfig | ConnectFailed | TooManyConnections, RS | RR | RP> =>
  provided(Effect.flatMap(read(config), make), only(tag))

const read = <RS, RR, RP>(
  config: LindormPoolConfig<RS, RR, RP>
): Effect.Effect<LindormPoolOptions<RS, RR, RP>, ConfigError> =>
  Effect.all(Object.fromEntries(
    Object.entries<unknown>(config).map((
      [option, value]
    ) => [option, Config.isConfig(value) ? value : Effect.succeed(value)])
  )) as unknown as Effect.Effect<LindormPoolOptions<RS, RR, RP>, ConfigError>

const everything = (pool: LindormPool) =>
  Context.make(LindormPool, pool).pipe(
    Context.add(SqlPool.SqlPool, pool),
    Context.add(SqlClient.SqlClient, pool.client)
  )

const only =
  <I>(tag: Context.Tag<I, LindormPool> | Context.Tag<I, SqlPool.SqlPool>) => (pool: LindormPool): Context.Context<I> =>
    Context.make(tag as Context.Tag<I, LindormPool>, pool)

const provided = <I, E, R>(
  pool: Effect.Effect<LindormPool, E, R | Scope.Scope | Reactivity.Reactivity>,
  services: (pool: LindormPool) => Context.Context<I>
): Layer.Layer<I, E, Exclude<R, Scope.Scope | Reactivity.Reactivity>> =>
  Layer.provide(Layer.scopedContext(Effect.map(pool, services)), Reactivity.layer) as never

const makeDriver = <RP>(
  target: internalConfig.Resolved<RP>,
  options: LindormPoolOptions<any, any, RP>
): Driver.Driver<AvaticaConnection, RP> => {
  const isLindorm = target.server === "lindorm"
  return {
    connect: connect(target),
    connectFault,
    classify,
    compiler: makeCompiler(isLindorm ? "`" : "\"", options.transformQueryNames),
    transformRows: options.transformResultNames === undefined
      ? undefined
      : Statement.defaultTransforms(options.transformResultNames).array,
    spanAttributes: [
      ...Object.entries(options.spanAttributes ?? {}),
      ["db.system.name", isLindorm ? "lindorm" : "avatica"],
      ...(options.database === undefined ? [] : [["db.namespace", options.database] as const]),
      ["server.address", target.target.host],
      ["server.port", target.target.port]
    ],
    begin: isLindorm ? undefined : (transaction) => (connection) => connection.begin(transaction),
    transactionOptions: ["isolation", "accessMode"]
  }
}

/** of the dialects that `@effect/sql` knows, SQLite's is the one with `?` and nothing else of its own */
const makeCompiler = (quote: string, transform: ((name: string) => string) | undefined): Statement.Compiler => {
  const escape = Statement.defaultEscape(quote)
  return Statement.makeCompiler({
    dialect: "sqlite",
    placeholder: () => "?",
    onIdentifier: transform === undefined
      ? escape
      : (name, withoutTransform) => escape(withoutTransform ? name : transform(name)),
    onRecordUpdate: () => ["", []],
    onCustom: () => ["", []]
  })
}
