/**
 * A real Avatica server for tests and examples: Apache's own, from its Maven artifacts, over HSQLDB or H2 in memory. It
 * can forget connections within seconds, and behave like LindormTable.
 *
 * It needs a JDK, and Maven the first time; what Maven gets is kept in `~/.cache/dbpool` (or `$XDG_CACHE_HOME/dbpool`).
 * The server is killed when the scope closes, and ends by itself when the process dies in any other way.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as internal from "./internal/avaticaServer.js"

/**
 * What a server is recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = "~@dbpool/testing/AvaticaServer"

/**
 * The type of what a server is recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@dbpool/testing/AvaticaServer"

/**
 * An Avatica server that accepts connections.
 *
 * @since 0.1.0
 * @category models
 */
export interface AvaticaServer {
  readonly [TypeId]: TypeId
  /** `http://host:port` */
  readonly url: string
  readonly host: string
  readonly port: number
  /** What only a server that we started ourselves can tell. */
  readonly started: Option.Option<{
    readonly pid: number
    /** Its certificate in PEM, if it speaks TLS. */
    readonly certificate: Option.Option<string>
    /**
     * The names of the connections that it remembers, and how many statements; what has expired is forgotten at that
     * moment.
     */
    readonly remembered: Effect.Effect<{ readonly connections: ReadonlyArray<string>; readonly statements: number }>
  }>
}

/**
 * How the server is started.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The database behind it. Default: `"hsqldb"` */
  readonly engine?: "hsqldb" | "h2" | undefined
  /**
   * Behaves like LindormTable, over H2: it wants this login, in the properties `lindorm_user` and `lindorm_password` or
   * `user` and `password`; `database` must be one of these; and it takes `UPSERT`. Default: plain Avatica
   */
  readonly lindorm?: {
    readonly user: string
    readonly password: string
    readonly databases: ReadonlyArray<string>
  } | undefined
  /** How long after its last use a connection is forgotten. Default: Avatica's 10 minutes */
  readonly connectionExpiry?: Duration.DurationInput | undefined
  /** How many connections it remembers. Default: Avatica's 1000 */
  readonly connectionCapacity?: number | undefined
  /** How long after its last use a statement is forgotten. Default: Avatica's 5 minutes */
  readonly statementExpiry?: Duration.DurationInput | undefined
  /** How many statements it remembers. Default: Avatica's 10000 */
  readonly statementCapacity?: number | undefined
  /** Whom it lets in, by HTTP. Default: everybody */
  readonly authentication?: {
    readonly scheme: "basic" | "digest"
    readonly user: string
    readonly password: string
  } | undefined
  /** After how long without a request it closes a socket. Default: Jetty's 60 seconds */
  readonly socketIdleTimeout?: Duration.DurationInput | undefined
  /** Speaks TLS, with a certificate of its own for `localhost` and 127.0.0.1. Default: `false` */
  readonly tls?: boolean | undefined
  /** The time zone of its JVM. In another than UTC Avatica shifts dates and times. Default: `"UTC"` */
  readonly timeZone?: string | undefined
}

/**
 * There is no server. The message says why and what to do.
 *
 * @since 0.1.0
 * @category errors
 */
export class AvaticaServerError extends Data.TaggedError("AvaticaServerError")<{
  readonly reason: "JavaMissing" | "MavenMissing" | "ArtifactsMissing" | "StartFailed" | "InvalidUrl"
  readonly message: string
}> {}

/**
 * The service of a program's server.
 *
 * @since 0.1.0
 * @category tags
 */
export const AvaticaServer: Context.Tag<AvaticaServer, AvaticaServer> = Context.GenericTag<AvaticaServer>(
  "@dbpool/testing/AvaticaServer"
)

const host = "127.0.0.1"

const cacheSettings = (
  name: string,
  expiry: Duration.DurationInput | undefined,
  capacity: number | undefined
): Record<string, string> => ({
  ...(expiry === undefined ? {} : {
    [`avatica.${name}cache.expiryduration`]: String(Duration.toMillis(expiry)),
    [`avatica.${name}cache.expiryunit`]: "MILLISECONDS"
  }),
  ...(capacity === undefined ? {} : {
    [`avatica.${name}cache.maxcapacity`]: String(capacity),
    // the capacity is divided among so many
    [`avatica.${name}cache.concurrency`]: "1"
  })
})

/**
 * Starts a server of its own on a free port of the loopback address, which takes half a second; a minute the first time.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<AvaticaServer, AvaticaServerError, Scope.Scope> =>
  internal.start({
    engine: options.engine ?? "hsqldb",
    lindorm: options.lindorm ?? null,
    cache: {
      ...cacheSettings("connection", options.connectionExpiry, options.connectionCapacity),
      ...cacheSettings("statement", options.statementExpiry, options.statementCapacity)
    },
    authentication: options.authentication ?? null,
    idleMillis: options.socketIdleTimeout === undefined ? null : Duration.toMillis(options.socketIdleTimeout),
    tls: options.tls ?? false
  }, options.timeZone ?? "UTC").pipe(
    Effect.map(({ certificate, pid, port, remembered }): AvaticaServer => ({
      [TypeId]: TypeId,
      url: `${options.tls === true ? "https" : "http"}://${host}:${port}`,
      host,
      port,
      started: Option.some({
        pid,
        certificate: certificate === "" ? Option.none() : Option.some(certificate),
        remembered
      })
    })),
    Effect.mapError((error) =>
      new AvaticaServerError({
        reason: error.reason,
        message: `${error.message} On Debian, apt-get install default-jdk-headless maven gets what is needed; or set ` +
          "DBPOOL_AVATICA_URL to the address of an Avatica server to use that one instead."
      })
    )
  )

/**
 * A server that runs already, by its URL.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromUrl = (url: string): Effect.Effect<AvaticaServer, AvaticaServerError> =>
  Effect.try({
    try: () => new URL(url),
    catch: () => undefined
  }).pipe(
    Effect.filterOrFail(({ protocol }) => protocol === "http:" || protocol === "https:"),
    Effect.map(({ hostname, port, protocol }): AvaticaServer => ({
      [TypeId]: TypeId,
      url,
      host: hostname.replace(/^\[|\]$/g, ""),
      port: port === "" ? protocol === "http:" ? 80 : 443 : Number(port),
      started: Option.none()
    })),
    Effect.mapError(() =>
      new AvaticaServerError({
        reason: "InvalidUrl",
        message: "The address of the Avatica server is not of the form http://host:port."
      })
    )
  )

/**
 * The server that tests use: the one at `DBPOOL_AVATICA_URL` if that is set, else one of its own.
 *
 * The options are for a server of its own; one at `DBPOOL_AVATICA_URL` stays as it is. The tests of `@dbpool/sql-lindorm`
 * take that for plain Avatica over HSQLDB.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeTest = (options?: Options): Effect.Effect<AvaticaServer, AvaticaServerError, Scope.Scope> =>
  Config.nonEmptyString("DBPOOL_AVATICA_URL").pipe(
    Effect.option,
    Effect.flatMap(Option.match({
      onNone: () => make(options),
      onSome: fromUrl
    }))
  )

/**
 * A server as a scoped layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<AvaticaServer, AvaticaServerError> =>
  Layer.scoped(AvaticaServer, make(options))

/**
 * The server that tests use, as a scoped layer; see `makeTest`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTest = (options?: Options): Layer.Layer<AvaticaServer, AvaticaServerError> =>
  Layer.scoped(AvaticaServer, makeTest(options))
