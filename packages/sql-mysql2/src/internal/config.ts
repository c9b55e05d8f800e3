/**
 * From the options of `MysqlPool` to the configuration of one `mysql2` connection.
 */
import * as PoolConfig from "@dbpool/core/PoolConfig"
import { InvalidPoolConfig } from "@dbpool/core/PoolError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import mysql from "mysql2"
import * as net from "node:net"
import type { Duplex } from "node:stream"
import type { MysqlPoolOptions } from "../MysqlPoolConfig.js"

/** where connections lead, and what they are opened with @internal */
export interface Target<R> {
  readonly host: string
  readonly port: number
  readonly database: string | undefined
  readonly username: string | undefined
  readonly password: string | undefined | Effect.Effect<Redacted.Redacted, unknown, R>
  /** all but the password and the socket */
  readonly config: mysql.ConnectionOptions
  readonly dial: () => Duplex
  /** in milliseconds, or `Infinity` */
  readonly readTimeout: number
  readonly writeTimeout: number
  readonly charset: string
  readonly collation: string
}

type Refuse = (option: string, requirement: string) => Effect.Effect<never, InvalidPoolConfig>

/** everything of `mysql2`'s that may be in `poolConfig` */
const driverOptions = new Set([
  "authPlugins",
  "bigNumberStrings",
  "compress",
  "connectAttributes",
  "dateStrings",
  "decimalNumbers",
  "disableEval",
  "enableCleartextPlugin",
  "flags",
  "infileStreamFactory",
  "insecureAuth",
  "jsonStrings",
  "localAddress",
  "password2",
  "password3",
  "passwordSha1",
  "timezone",
  "typeCast"
])

/**
 * Checks what can be checked without a server. A malformed URL is never repeated in the error: it may hold a password.
 *
 * @internal
 */
export const resolve = <R>(
  pool: string,
  options: MysqlPoolOptions<R>
): Effect.Effect<Target<R>, InvalidPoolConfig> =>
  Effect.gen(function*() {
    const refuse: Refuse = (option, requirement) => Effect.fail(new InvalidPoolConfig({ pool, option, requirement }))
    const fromUrl = options.url === undefined ? {} : yield* parseUrl(Redacted.value(options.url), refuse)
    const driver: mysql.ConnectionOptions = options.poolConfig ?? {}
    for (const name of Object.keys(driver)) {
      if (!driverOptions.has(name)) {
        yield* refuse(`poolConfig.${name}`, "is nothing for a connection of this pool: it has an option of its own")
      }
    }
    const password = options.password === undefined
      ? fromUrl.password
      : Redacted.isRedacted(options.password)
      ? Redacted.value(options.password)
      : options.password
    const host = options.host ?? fromUrl.host ?? "localhost"
    const port = options.port ?? fromUrl.port ?? 3306
    if (!(Number.isInteger(port) && port > 0 && port < 65536)) {
      yield* refuse("port", `must be from 1 to 65535, not ${port}`)
    }
    const preparedStatements = options.preparedStatements ?? 100
    if (!(Number.isInteger(preparedStatements) && preparedStatements >= 1)) {
      yield* refuse("preparedStatements", "must be a whole number, at least 1")
    }
    if (driver.timezone !== undefined && !/^(local|Z|[+-]\d\d:\d\d)$/.test(driver.timezone)) {
      yield* refuse("poolConfig.timezone", `must be "local", "Z" or like "+08:00"`)
    }
    const keepAliveDelay = yield* PoolConfig.bound(
      pool,
      "keepAliveInitialDelay",
      options.keepAliveInitialDelay ?? "10 seconds"
    )
    const database = options.database ?? fromUrl.database
    const username = options.username ?? fromUrl.username
    const ssl = options.ssl === undefined ? fromUrl.ssl : options.ssl
    const charset = options.charset ?? fromUrl.charset ?? "utf8mb4_unicode_ci"
    if (!(charset.toUpperCase() in Charsets)) {
      yield* refuse("charset", `must be a character set or a collation that MySQL has, not "${charset}"`)
    }
    const collation = collationOf(charset)
    const config: mysql.ConnectionOptions = {
      ...driver,
      ...(driver.typeCast === undefined ? {} : { typeCast: driver.typeCast }),
      ...defined({
        host,
        port,
        database,
        user: username,
        charset: collation,
        ssl: ssl === true ? { rejectUnauthorized: true, verifyIdentity: true } : ssl === false ? undefined : ssl
      }),
      // the server may ask for any file of this machine, unless the program has said which ones it may have
      flags: [...(driver.flags ?? []), ...(driver.infileStreamFactory === undefined ? ["-LOCAL_FILES"] : [])],
      connectAttributes: { program_name: options.applicationName ?? "dbpool", ...driver.connectAttributes },
      supportBigNumbers: true,
      // only statements that ask for it are sent in the way that may hold several
      multipleStatements: true,
      maxPreparedStatements: preparedStatements,
      // the pool's own bound ends the whole attempt
      connectTimeout: 0
    }
    yield* Effect.orElse(
      Effect.try(() => new ConnectionConfig({ ...config })),
      () => refuse("ssl", "must be true, false, or an object of TLS options")
    )
    return {
      host: options.socketPath ?? host,
      port,
      database,
      username,
      password,
      charset: collation.split("_")[0]!,
      collation,
      config,
      dial: options.stream ?? dialer(options, host, port, options.keepAlive !== false, keepAliveDelay),
      readTimeout: yield* PoolConfig.bound(pool, "readTimeout", options.readTimeout ?? Infinity),
      writeTimeout: yield* PoolConfig.bound(pool, "writeTimeout", options.writeTimeout ?? Infinity)
    }
  })

/** `mysql2` exports them, but does not say so */
const { Charsets, ConnectionConfig } = mysql as unknown as {
  readonly ConnectionConfig: new(options: mysql.ConnectionOptions) => unknown
  /** the numbers of collations, and of the default collation of each character set by the name of that */
  readonly Charsets: Readonly<Record<string, number>>
}

/** the first of those that have the number has the full name */
const collationOf = (charset: string): string =>
  Object.keys(Charsets).find((name) => Charsets[name] === Charsets[charset.toUpperCase()])!.toLowerCase()

const dialer = (
  { poolConfig, socketPath }: MysqlPoolOptions<any>,
  host: string,
  port: number,
  keepAlive: boolean,
  keepAliveInitialDelay: number
) =>
(): net.Socket =>
  socketPath === undefined
    ? dialTo(host, {
      host,
      port,
      noDelay: true,
      keepAlive,
      keepAliveInitialDelay,
      ...defined({ localAddress: poolConfig?.localAddress })
    })
    : net.connect(socketPath)

/**
 * `mysql2` leaves it to Node whose certificate is the right one, and Node looks at a field of the socket that it does not
 * fill in itself for addresses: without it the certificate would have to be that of `localhost`.
 *
 * @internal
 */
export const dialTo = (host: string, options: net.TcpNetConnectOpts): net.Socket =>
  Object.assign(net.connect(options), net.isIP(host) === 0 ? {} : { _host: host })

interface FromUrl {
  readonly host?: string
  readonly port?: number
  readonly database?: string
  readonly username?: string
  readonly password?: string
  readonly charset?: string
  readonly ssl?: mysql.SslOptions | false
}

const modes: Readonly<Record<string, mysql.SslOptions | false>> = {
  DISABLED: false,
  REQUIRED: { rejectUnauthorized: false },
  VERIFY_CA: { rejectUnauthorized: true },
  VERIFY_IDENTITY: { rejectUnauthorized: true, verifyIdentity: true }
}

const parseUrl = (text: string, refuse: Refuse): Effect.Effect<FromUrl, InvalidPoolConfig> =>
  Effect.gen(function*() {
    if (!/^(mysql|mariadb):\/\//.test(text)) yield* refuse("url", "must begin with mysql:// or mariadb://")
    const malformed = "is malformed: mysql://user:password@host:port/database"
    const parsed = yield* Effect.orElse(
      Effect.try(() => {
        const url = new URL(text)
        return {
          host: decodeURIComponent(url.hostname).replace(/^\[|\]$/g, ""),
          port: url.port === "" ? undefined : Number(url.port),
          database: decodeURIComponent(url.pathname.slice(1)),
          username: decodeURIComponent(url.username),
          password: decodeURIComponent(url.password),
          charset: url.searchParams.get("charset"),
          mode: url.searchParams.get("ssl-mode")
        }
      }),
      () => refuse("url", malformed)
    )
    const { mode, ...rest } = parsed
    const ssl = mode === null ? undefined : modes[mode.toUpperCase()]
    if (mode !== null && ssl === undefined) {
      yield* refuse("url", `has an ssl-mode that is none of ${Object.keys(modes).join(", ")}`)
    }
    return defined({ ...rest, ssl }) as FromUrl
  })

/** without the keys that say nothing: the driver would take them for an answer */
const defined = <A extends object>(options: A): { [K in keyof A]?: Exclude<A[K], undefined | null> } =>
  Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined && value !== null && value !== "")
  ) as never
