/**
 * From the options of `LindormPool` to what every connection is opened with.
 */
import * as PoolConfig from "@dbpool/core/PoolConfig"
import { InvalidPoolConfig } from "@dbpool/core/PoolError"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { LindormPoolOptions } from "../LindormPoolConfig.js"
import type { Login, Options } from "./connection.js"
import type { Target } from "./line.js"

/** @internal */
export interface Resolved<R> extends Options<R> {
  readonly server: "lindorm" | "avatica"
  readonly presets: {
    readonly idleTimeout: Duration.Duration
    readonly keepaliveInterval: Duration.Duration
  }
}

type Refuse = (option: string, requirement: string) => Effect.Effect<never, InvalidPoolConfig>

/** Checks what can be checked without a server. A malformed URL is never repeated in the error. @internal */
export const resolve = <RP>(
  pool: string,
  options: LindormPoolOptions<any, any, RP>
): Effect.Effect<Resolved<RP>, InvalidPoolConfig> =>
  Effect.gen(function*() {
    const refuse: Refuse = (option, requirement) => Effect.fail(new InvalidPoolConfig({ pool, option, requirement }))
    const { server = "lindorm" } = options
    if (server !== "lindorm" && server !== "avatica") yield* refuse("server", "must be \"lindorm\" or \"avatica\"")
    const frameSize = options.frameSize ?? 500
    if (!(Number.isInteger(frameSize) && frameSize > 0 && frameSize < 2 ** 31)) {
      // zero would make the server answer every query with no rows, and say that this is all
      yield* refuse("frameSize", `must be an integer of at least 1, not ${frameSize}`)
    }
    const { scheme } = options.authentication ?? {}
    if (scheme !== undefined && scheme !== "basic" && scheme !== "digest") {
      yield* refuse("authentication", "must have the scheme \"basic\" or \"digest\"")
    }
    const readTimeout = yield* PoolConfig.bound(pool, "readTimeout", options.readTimeout ?? "150 seconds")
    const serverExpiry = yield* PoolConfig.bound(pool, "serverExpiry", options.serverExpiry ?? "10 minutes")
    return {
      server,
      target: { ...yield* parse(options, refuse), credentials: options.authentication, readTimeout },
      login: login(server, options),
      rotates: Effect.isEffect(options.password),
      frameSize,
      serverExpiry,
      // below what the server forgets
      presets: {
        idleTimeout: Duration.millis(serverExpiry * 0.8),
        keepaliveInterval: Duration.millis(Math.min(serverExpiry * 0.4, keepalive))
      }
    }
  })

/** the longest silence after which nobody on the way takes a socket for abandoned */
const keepalive = 30_000

/** what a server is told when a connection is opened */
const login = <RP>(
  server: "lindorm" | "avatica",
  { database, password, properties, user }: LindormPoolOptions<any, any, RP>
): Effect.Effect<Login, unknown, RP> => {
  const [userName, passwordName] = server === "lindorm" ? ["lindorm_user", "lindorm_password"] : ["user", "password"]
  const common = {
    ...properties,
    ...(user === undefined ? {} : { [userName!]: user }),
    ...(database === undefined ? {} : { database })
  }
  if (password === undefined) return Effect.succeed(common)
  const withPassword = (password: Redacted.Redacted): Login => ({
    ...common,
    [passwordName!]: Redacted.value(password)
  })
  return Effect.isEffect(password)
    ? Effect.map(Effect.catchAllCause(password, notToBeHad), withPassword)
    : Effect.sync(() => withPassword(password))
}

/** whoever gives it may be back in a moment, so that this is a failure like others, whatever it was */
const notToBeHad = (cause: Cause.Cause<unknown>) => {
  const why = Cause.squash(cause)
  return Effect.fail(
    new Error(`the password is not to be had: ${why instanceof Error ? why.message : String(why)}`, { cause })
  )
}

const parse = (
  options: LindormPoolOptions<any, any, any>,
  refuse: Refuse
): Effect.Effect<Pick<Target, "host" | "port" | "path" | "tls">, InvalidPoolConfig> =>
  Effect.gen(function*() {
    const text = options.url.replace(/^jdbc:lindorm:table:url=/, "")
    const url = yield* Effect.orElse(
      Effect.try(() => new URL(text)),
      () => refuse("url", "is malformed: http://host:port")
    )
    if (url.protocol !== "http:" && url.protocol !== "https:") {
      yield* refuse("url", "must begin with http:// or https://")
    }
    if (url.username !== "" || url.password !== "") {
      yield* refuse("url", "must not hold a login: there are options for that")
    }
    const isSecure = url.protocol === "https:"
    if (!isSecure && options.ssl !== undefined) yield* refuse("ssl", "is for a url that begins with https://")
    return {
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: url.port === "" ? isSecure ? 443 : 80 : Number(url.port),
      path: `${url.pathname}${url.search}`,
      tls: isSecure ? options.ssl ?? {} : undefined
    }
  })
