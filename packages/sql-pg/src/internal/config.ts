/**
 * From the options of `PgPool` to the configuration of one `pg.Client`.
 */
import { InvalidPoolConfig } from "@dbpool/core/PoolError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import pg from "pg"
import { parse } from "pg-connection-string"
import type { PgPoolOptions } from "../PgPool.js"

/** what every connection is opened with, and where that leads once the environment has been asked @internal */
export interface Target {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly config: pg.ClientConfig
}

type Refuse = (option: string, requirement: string) => Effect.Effect<never, InvalidPoolConfig>

/**
 * Checks what can be checked without a server. A malformed URL is never repeated in the error: it may hold a password.
 *
 * @internal
 */
export const resolve = (pool: string, options: PgPoolOptions): Effect.Effect<Target, InvalidPoolConfig> =>
  Effect.gen(function*() {
    const refuse: Refuse = (option, requirement) => Effect.fail(new InvalidPoolConfig({ pool, option, requirement }))
    const fromUrl = options.url === undefined ? {} : yield* parseUrl(Redacted.value(options.url), refuse)
    const config: pg.ClientConfig = {
      // comes last of all, after what the environment says
      fallback_application_name: "dbpool",
      ...fromUrl,
      ...defined({
        host: options.path ?? options.host,
        port: options.port,
        database: options.database,
        user: options.username,
        password: options.password === undefined ? undefined : Redacted.value(options.password),
        ssl: options.ssl,
        types: options.types,
        application_name: options.applicationName
      }),
      keepAlive: true
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
    return { host: client.host, port, database: client.database ?? "postgres", config }
  })

/** the others are `pg`'s own, or those of other drivers; some would change how it speaks to the server */
const parameters = [
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
        const known = Object.entries(parsed).filter(([name]) => parameters.includes(name))
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
