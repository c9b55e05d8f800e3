/**
 * @since 0.1.0
 */
export * as AcquireOptions from "./AcquireOptions.js"

/**
 * @since 0.1.0
 */
export * as FiberPool from "./FiberPool.js"

/**
 * @since 0.1.0
 */
export * as KeyedPool from "./KeyedPool.js"

/**
 * @since 0.1.0
 */
export * as Pool from "./Pool.js"

/**
 * @since 0.1.0
 */
export * as PoolConfig from "./PoolConfig.js"

/**
 * @since 0.1.0
 */
export * as PoolError from "./PoolError.js"

/**
 * @since 0.1.0
 */
export * as PoolEvent from "./PoolEvent.js"

/**
 * @since 0.1.0
 */
export * as PoolHealth from "./PoolHealth.js"

/**
 * @since 0.1.0
 */
export * as PoolHolder from "./PoolHolder.js"

/**
 * @since 0.1.0
 */
export * as PoolLogger from "./PoolLogger.js"

/**
 * @since 0.1.0
 */
export * as PoolMap from "./PoolMap.js"

/**
 * @since 0.1.0
 */
export * as PoolMetrics from "./PoolMetrics.js"

/**
 * @since 0.1.0
 */
export * as PoolReset from "./PoolReset.js"

/**
 * @since 0.1.0
 */
export * as PoolSchedule from "./PoolSchedule.js"

/**
 * @since 0.1.0
 */
export * as PoolStats from "./PoolStats.js"

/**
 * @since 0.1.0
 */
export * as SharingPool from "./SharingPool.js"
