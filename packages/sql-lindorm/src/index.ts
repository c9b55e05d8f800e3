/**
 * @since 0.1.0
 */

/**
 * What goes wrong between this client and an Avatica server. Programs meet these as the `cause` of the pool's errors:
 * `StatementError`, `NoSuchConnection`, `ConnectionLost`, `ConnectFailed`.
 *
 * @since 0.1.0
 */
export * as AvaticaError from "./AvaticaError.js"

/**
 * What a statement came to, as `SqlConnection.raw` and the `raw` of a `SqlClient`'s statement give it.
 *
 * @since 0.1.0
 */
export * as AvaticaResult from "./AvaticaResult.js"

/**
 * Many rows in one request: `executeBatch` of the protocol. Rows are written in order; if one is refused the statement
 * fails, and under autocommit those before it stay written.
 *
 * @since 0.1.0
 */
export * as Batch from "./Batch.js"

/**
 * What the database behind an Avatica server knows about its tables: the requests of the protocol that JDBC calls
 * `getTables` and `getColumns`. LindormTable has `SHOW TABLES` and `DESCRIBE` besides.
 *
 * @since 0.1.0
 */
export * as Catalog from "./Catalog.js"

/**
 * A pool of connections to LindormTable, or to any other server that speaks Avatica's protobuf over HTTP, such as the
 * Phoenix Query Server.
 *
 * @since 0.1.0
 */
export * as LindormPool from "./LindormPool.js"

/**
 * The options of a LindormTable pool.
 *
 * @since 0.1.0
 */
export * as LindormPoolConfig from "./LindormPoolConfig.js"
