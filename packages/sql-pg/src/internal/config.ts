/**
 * From the options of `PgPool` to what every connection is opened with.
 */
import * as PoolConfig from "@dbpool/core/PoolConfig"
import { InvalidPoolConfig } from "@dbpool/core/PoolError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type { CustomTypesConfig } from "pg"
import pg from "pg"
import { parse } from "pg-connection-string"
import type { PgPoolOptions } from "../PgPoolConfig.js"
import type { Raw } from "./cancelSocket.js"
import * as Login from "./login.js"
import * as parameters from "./parameters.js"

/** what every connection is opened with, and where that leads once the environment has been asked @internal */
export interface Target<R = never> extends parameters.Parameters {
  readonly address: { readonly host: string; readonly port: number; readonly database: string }
  readonly username: string | undefined
  readonly config: pg.ClientConfig
  /** who logs in, where that may change */
  readonly login: Effect.Effect<Login.Login, unknown, R> | undefined
  readonly raw: (() => Raw) | undefined
  readonly preparedStatements: number
  readonly transactionPooling: boolean
}

/** @internal */
export type Refuse = (option: string, requirement: string) => Effect.Effect<never, InvalidPoolConfig>

/**
 * Checks what can be checked without a server. A malformed URL is never repeated in the error: it may hold a password.
 *
 * @internal
 */
export const resolve = <R = never>(
  pool: string,
  options: PgPoolOptions<any, any, R>
): Effect.Effect<Target<R>, InvalidPoolConfig> =>
  Effect.gen(function*() {
    const refuse: Refuse = (option, requirement) => Effect.fail(new InvalidPoolConfig({ pool, option, requirement }))
    const fromUrl = options.url === undefined ? {} : yield* parseUrl(Redacted.value(options.url), refuse)
    const { stream } = options
    const { changing, ...fixed } = yield* Login.resolve(options, refuse)
    if (stream !== undefined && typeof stream !== "function") {
      return yield* refuse("stream", "must be a function that makes a stream")
    }
    for (const option of ["keepAlive", "transactionPooling"] as const) {
      const value = options[option]
      if (value !== undefined && typeof value !== "boolean") return yield* refuse(option, "must be true or false")
    }
    const transactionPooling = options.transactionPooling === true
    if (transactionPooling && options.reset === "session") {
      return yield* refuse("reset", "must not be \"session\" with transactionPooling: the session is the proxy's")
    }
    const { sharing } = options
    if (sharing !== undefined && !Predicate.hasProperty(sharing, "maxLeases")) {
      return yield* refuse("sharing", "must be { maxLeases }")
    }
    if (transactionPooling && sharing !== undefined) {
      return yield* refuse(
        "sharing",
        "must not be set with transactionPooling: the proxy has its servers shared already"
      )
    }
    const preparedStatements = options.preparedStatements ?? (transactionPooling ? 0 : 100)
    if (!(Number.isInteger(preparedStatements) && preparedStatements >= 0)) {
      return yield* refuse("preparedStatements", `must be an integer of at least 0, not ${preparedStatements}`)
    }
    const initialDelay = yield* PoolConfig.bound(
      pool,
      "keepAliveInitialDelay",
      options.keepAliveInitialDelay ?? "10 seconds"
    )
    const config: pg.ClientConfig = {
      // comes last of all, after what the environment says
      fallback_application_name: "dbpool",
      ...fromUrl,
      ...defined({
        host: options.path ?? options.host,
        port: options.port,
        database: options.database,
        ...fixed,
        // a copy: `pg` hides the key in it
        ssl: typeof options.ssl === "object" ? { ...options.ssl } : options.ssl,
        types: options.types === undefined ? undefined : harmless(options.types),
        application_name: options.applicationName
      }),
      keepAlive: options.keepAlive ?? true,
      keepAliveInitialDelayMillis: Math.min(initialDelay, maxDelay)
    }
    if (changing !== undefined && options.credentials !== undefined && !(config.database ?? process.env.PGDATABASE)) {
      return yield* refuse("database", "must be set together with credentials: its default is the name of the user")
    }
    // one that is never connected knows what the environment adds, and complains about what it cannot use
    const client = yield* Effect.orElse(
      Effect.try(() => new pg.Client(config)),
      () => refuse("url", "asks for TLS in a way that pg does not know")
    )
    const port = config.port ?? client.port
    if (!(Number.isInteger(port) && port > 0 && port < 65536)) {
      return yield* refuse("port", `must be from 1 to 65535, not ${port}`)
    }
    return {
      address: { host: client.host, port, database: client.database ?? "postgres" },
      username: client.user,
      config: stream === undefined ? config : { ...config, stream },
      ...yield* parameters.resolve(pool, options, transactionPooling, refuse),
      login: changing,
      raw: stream as (() => Raw) | undefined,
      preparedStatements,
      transactionPooling
    }
  })

/** What looks for a parser may throw where nothing but the process would hear of it; a parser may. */
const harmless = (types: CustomTypesConfig): CustomTypesConfig => ({
  getTypeParser: (id: number, format?: any): any => {
    try {
      return types.getTypeParser(id, format)
    } catch (error) {
      return () => {
        throw error
      }
    }
  }
})

/** `connectionTTL` is `maxLifetime` @internal */
export const lifetime = <R>(
  pool: string,
  { connectionTTL, maxLifetime }: PgPoolOptions<any, any, R>
): Effect.Effect<Duration.DurationInput | undefined, InvalidPoolConfig> => {
  if (connectionTTL === undefined) return Effect.succeed(maxLifetime)
  return maxLifetime === undefined
    ? PoolConfig.bound(pool, "connectionTTL", connectionTTL)
    : Effect.fail(
      new InvalidPoolConfig({ pool, option: "connectionTTL", requirement: "must not be set together with maxLifetime" })
    )
}

/** what a timer of the system can count, in seconds */
const maxDelay = Duration.toMillis(Duration.days(1))

/** the others are `pg`'s own, or those of other drivers; some would change how it speaks to the server */
const understood = [
  "user",
  "password",
  "host",
  "port",
  "database",
  "ssl",
  "sslnegotiation",
  "application_name",
  "fallback_application_name",
  "options",
  "statement_timeout",
  "lock_timeout",
  "idle_in_transaction_session_timeout"
]

const parseUrl = (url: string, refuse: Refuse): Effect.Effect<pg.ClientConfig, InvalidPoolConfig> =>
  /^postgres(ql)?:\/\//.test(url)
    ? Effect.try(() => parse(url)).pipe(
      Effect.map((parsed): pg.ClientConfig => {
        const known = Object.entries(parsed).filter(([name]) => understood.includes(name))
        const { port, ...rest } = defined(Object.fromEntries(known))
        return port === undefined ? rest : { ...rest, port: Number(port) }
      }),
      Effect.catchAll(({ error }) =>
        refuse(
          "url",
          (error as { readonly syscall?: string }).syscall === "open"
            ? "names a certificate file that cannot be read"
            : "is malformed: postgres://user:password@host:port/database"
        )
      )
    )
    : refuse("url", "must begin with postgres:// or postgresql://")

/** without the keys that say nothing: the driver would take them for an answer */
const defined = <A extends object>(options: A): A =>
  Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined && value !== null && value !== "")
  ) as A
