/**
 * `@effect/sql-mysql2`'s client over a pool of ours: what its interface has beyond `SqlClient`.
 */
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Redacted from "effect/Redacted"
import type { MysqlPoolOptions } from "../MysqlPoolConfig.js"
import type { Target } from "./config.js"

/** Gives a client what it lacks. @internal */
export const extend = (
  client: SqlClient.SqlClient,
  config: MysqlClient.MysqlClientConfig
): MysqlClient.MysqlClient => Object.assign(client, { [MysqlClient.TypeId]: MysqlClient.TypeId, config } as const)

/** what `@effect/sql-mysql2` would have been configured with @internal */
export const configOf = <R>(target: Target<R>, options: MysqlPoolOptions<R>): MysqlClient.MysqlClientConfig => ({
  url: options.url,
  host: target.host,
  port: target.port,
  database: target.database,
  username: target.username,
  password: typeof target.password === "string" ? Redacted.make(target.password) : undefined,
  maxConnections: options.maxConnections,
  connectionTTL: options.idleTimeout ?? options.connectionTTL,
  poolConfig: options.poolConfig,
  spanAttributes: options.spanAttributes,
  transformResultNames: options.transformResultNames,
  transformQueryNames: options.transformQueryNames
})
