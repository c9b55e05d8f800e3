/**
 * A real PgBouncer in front of a PostgreSQL server, for tests.
 *
 * The program is the one at `DBPOOL_PGBOUNCER`, that of the Debian package `pgbouncer`, or, as root on Debian, that
 * package freshly installed. It is stopped and its directory removed when the scope closes, and also when the process
 * dies in any other way.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { fileURLToPath } from "node:url"
import * as aptPackage from "./internal/aptPackage.js"
import * as guardian from "./internal/guardian.js"
import * as PgServer from "./PgServer.js"

/**
 * What a PgBouncer is recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = "~@dbpool/testing/PgBouncer"

/**
 * The type of what a PgBouncer is recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@dbpool/testing/PgBouncer"

/**
 * A PgBouncer that accepts connections, and the account of the server behind it.
 *
 * @since 0.1.0
 * @category models
 */
export interface PgBouncer {
  readonly [TypeId]: TypeId
  /** `postgres://user:password@host:port/database`, of the server behind it, through it */
  readonly url: string
  readonly host: string
  readonly port: number
  /** Such as `1.18.0`. */
  readonly version: string
  readonly pid: number
}

/**
 * How it is started.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Default: `transaction` */
  readonly poolMode?: "session" | "transaction" | "statement" | undefined
  /** How many connections to the server it keeps. Default: 10 */
  readonly poolSize?: number | undefined
  /** Further settings of its configuration file by name, such as `{ query_wait_timeout: "2" }`. */
  readonly settings?: Readonly<Record<string, string>> | undefined
}

/**
 * There is no PgBouncer. The message says why and what to do.
 *
 * @since 0.1.0
 * @category errors
 */
export class PgBouncerError extends Data.TaggedError("PgBouncerError")<{ readonly message: string }> {}

/**
 * The service of a program's PgBouncer.
 *
 * @since 0.1.0
 * @category tags
 */
export const PgBouncer: Context.Tag<PgBouncer, PgBouncer> = Context.GenericTag<PgBouncer>("@dbpool/testing/PgBouncer")

const guardianPath = fileURLToPath(new URL("./internal/pgBouncerGuardian.mjs", import.meta.url))

const program = Config.nonEmptyString("DBPOOL_PGBOUNCER").pipe(
  Effect.orElse(() => aptPackage.program("pgbouncer", ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"]))
)

/**
 * Starts one on a free port of the loopback address. The account may use its console, the database `pgbouncer`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  server: Pick<PgServer.PgServer, "host" | "port" | "user" | "password" | "database">,
  options: Options = {}
): Effect.Effect<PgBouncer, PgBouncerError, Scope.Scope> =>
  Effect.gen(function*() {
    const { database, host, password, port, user } = server
    const ready = yield* guardian.start(guardianPath, {
      pgbouncer: yield* program,
      server: { host, port, user, password },
      settings: {
        auth_type: "scram-sha-256",
        pool_mode: options.poolMode ?? "transaction",
        default_pool_size: String(options.poolSize ?? 10),
        max_client_conn: "1000",
        admin_users: user,
        ...options.settings
      }
    }).pipe(Effect.mapError(({ message }) => message))
    const url = new URL("postgres://127.0.0.1")
    Object.assign(url, { username: user, password, port: String(ready.port), pathname: `/${database}` })
    return {
      [TypeId]: TypeId as TypeId,
      url: url.href,
      host: url.hostname,
      port: ready.port,
      version: ready.version,
      pid: ready.pid
    }
  }).pipe(
    Effect.mapError((message) =>
      new PgBouncerError({ message: `${message} Set DBPOOL_PGBOUNCER to the path of a PgBouncer to use that one.` })
    )
  )

/**
 * A PgBouncer in front of the program's server, as a scoped layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<PgBouncer, PgBouncerError, PgServer.PgServer> =>
  Layer.scoped(PgBouncer, Effect.flatMap(PgServer.PgServer, (server) => make(server, options)))
