/**
 * @since 0.1.0
 */
export * as Driver from "./Driver.js"

/**
 * @since 0.1.0
 */
export * as SqlConnection from "./SqlConnection.js"

/**
 * @since 0.1.0
 */
export * as SqlMetrics from "./SqlMetrics.js"

/**
 * @since 0.1.0
 */
export * as SqlPool from "./SqlPool.js"

/**
 * @since 0.1.0
 */
export * as SqlPoolConfig from "./SqlPoolConfig.js"

/**
 * @since 0.1.0
 */
export * as SqlPoolError from "./SqlPoolError.js"

/**
 * @since 0.1.0
 */
export * as StatementError from "./StatementError.js"

/**
 * @since 0.1.0
 */
export * as Transaction from "./Transaction.js"
