/**
 * @since 0.1.0
 */

/**
 * A pool of MySQL or MariaDB connections, on `mysql2`.
 *
 * @since 0.1.0
 */
export * as MysqlPool from "./MysqlPool.js"

/**
 * The options of a MySQL or MariaDB pool.
 *
 * @since 0.1.0
 */
export * as MysqlPoolConfig from "./MysqlPoolConfig.js"
