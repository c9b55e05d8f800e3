/** The official client of `@effect/sql-pg`, in the shape that the contract suite wants. It has no pool service. */
import type * as ContractDialect from "@dbpool/testing/ContractDialect"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Redacted from "effect/Redacted"
import * as Dialect from "./dialect.js"

/** `connectTimeout` is what bounds the waiting there */
const layer = (url: string): ContractDialect.Dialect["layer"] => (settings) =>
  PgClient.layer({
    ...target(url),
    ...settings.address,
    ...(settings.password === undefined ? {} : { password: settings.password }),
    applicationName: settings.name,
    maxConnections: settings.maxConnections,
    minConnections: settings.minConnections,
    connectTimeout: settings.acquireTimeout,
    idleTimeout: settings.idleTimeout,
    transformQueryNames: settings.transformQueryNames,
    transformResultNames: settings.transformResultNames
  })

const target = (url: string) => {
  const { hostname, password, pathname, port, username } = new URL(url)
  return {
    host: hostname,
    port: Number(port),
    username: decodeURIComponent(username),
    password: Redacted.make(decodeURIComponent(password)),
    database: pathname.slice(1)
  }
}

export const make = (version: string): ContractDialect.Dialect =>
  Dialect.make({
    name: "@effect/sql-pg",
    server: { version },
    layer,
    capabilities: { pool: "@effect/sql-pg has no pool service" }
  })
