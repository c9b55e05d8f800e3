/**
 * The database of the service: a pool that is measured, and that says in the log what happens to it.
 */
import * as PoolLogger from "@dbpool/core/PoolLogger"
import * as PoolMetrics from "@dbpool/core/PoolMetrics"
import * as PgPool from "@dbpool/sql-pg/PgPool"
import * as Config from "effect/Config"
import * as Layer from "effect/Layer"

export const DatabaseLive = PgPool.layerConfig({
  url: Config.redacted("DATABASE_URL"),
  name: "main",
  maxConnections: Config.integer("DATABASE_CONNECTIONS").pipe(Config.withDefault(10)),
  acquireTimeout: "3 seconds",
  leakDetectionThreshold: "1 minute",
  // what is still running when the process has to end gets so long
  shutdownTimeout: "10 seconds"
}).pipe(Layer.provide([PoolMetrics.layer, PoolLogger.layer()]))
