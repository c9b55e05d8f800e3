/**
 * From the options of `PgPool` to the configuration of one `pg.Client`.
 */
import { InvalidPoolConfig } from "@dbpool/core/PoolError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type pg from "pg"
import { parse } from "pg-connection-string"
import type { PgPoolOptions } from "../PgPool.js"

/** @internal */
export interface Target {
  readonly host: string | undefined
  readonly port: number | undefined
  readonly database: string | undefined
  readonly config: pg.ClientConfig
}

/**
 * Checks what can be checked without a server. A malformed URL is never repeated in the error: it may hold a password.
 *
 * @internal
 */
export const resolve = (pool: string, options: PgPoolOptions): Effect.Effect<Target, InvalidPoolConfig> =>
  Effect.gen(function*() {
    const refuse = (option: string, requirement: string) =>
      Effect.fail(new InvalidPoolConfig({ pool, option, requirement }))
    const port = options.port
    if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65536)) {
      return yield* refuse("port", `must be from 1 to 65535, not ${port}`)
    }
    const fromUrl = options.url === undefined ? {} : yield* parseUrl(Redacted.value(options.url), refuse)
    const password = options.password === undefined ? fromUrl.password : Redacted.value(options.password)
    const config: pg.ClientConfig = {
      ...fromUrl,
      ...defined({
        host: options.path ?? options.host,
        port,
        database: options.database,
        user: options.username,
        ssl: options.ssl,
        types: options.types,
        application_name: options.applicationName ?? fromUrl.application_name ?? "dbpool"
      }),
      ...(password === undefined ? {} : { password }),
      keepAlive: true
    }
    return {
      host: config.host ?? undefined,
      port: config.port,
      database: config.database,
      config
    }
  })

const parseUrl = (
  url: string,
  refuse: (option: string, requirement: string) => Effect.Effect<never, InvalidPoolConfig>
): Effect.Effect<pg.ClientConfig, InvalidPoolConfig> =>
  /^postgres(ql)?:\/\//.test(url)
    ? Effect.flatMap(
      Effect.option(Effect.try(() => parse(url))),
      (parsed) => {
        if (parsed._tag === "None") return refuse("url", "is malformed: postgres://user:password@host:port/database")
        const { database, host, port, ...rest } = parsed.value
        const number = port === undefined || port === null || port === "" ? undefined : Number(port)
        return Effect.succeed(
          defined({
            ...rest,
            host: host ?? undefined,
            database: database ?? undefined,
            port: number
          }) as pg.ClientConfig
        )
      }
    )
    : refuse("url", "must begin with postgres:// or postgresql://")

/** without the keys that are undefined: the driver would take them for an answer */
const defined = <A extends object>(options: A): A =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined && value !== "")) as A
