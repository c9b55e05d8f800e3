/**
 * What comes out of `PgPool`'s `listen`.
 *
 * @since 0.1.0
 */
export * as PgListen from "./PgListen.js"

/**
 * A pool of PostgreSQL connections, on `pg`.
 *
 * @since 0.1.0
 */
export * as PgPool from "./PgPool.js"

/**
 * The options of a PostgreSQL pool.
 *
 * @since 0.1.0
 */
export * as PgPoolConfig from "./PgPoolConfig.js"
