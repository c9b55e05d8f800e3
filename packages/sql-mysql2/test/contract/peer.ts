/**
 * The official client of `@effect/sql-mysql2`, in the shape that the contract suite wants. It has no pool service, and does
 * not say when it stops waiting for a connection.
 */
import type * as ContractDialect from "@dbpool/testing/ContractDialect"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as Redacted from "effect/Redacted"
import * as Dialect from "./dialect.js"

const layer = (url: string): ContractDialect.Dialect["layer"] => (settings) => {
  const { hostname, pathname, port } = new URL(url)
  return MysqlClient.layer({
    host: hostname,
    port: Number(port),
    ...settings.address,
    username: settings.name,
    password: settings.password ?? Redacted.make(settings.name),
    database: pathname.slice(1),
    maxConnections: settings.maxConnections,
    connectionTTL: settings.idleTimeout,
    // without it large numbers lose digits
    poolConfig: { supportBigNumbers: true },
    transformQueryNames: settings.transformQueryNames,
    transformResultNames: settings.transformResultNames
  })
}

export const make = (product: Dialect.Product): ContractDialect.Dialect =>
  Dialect.make({
    name: `@effect/sql-mysql2 on ${product}`,
    product,
    layer,
    capabilities: { pool: "@effect/sql-mysql2 has no pool service" }
  })
