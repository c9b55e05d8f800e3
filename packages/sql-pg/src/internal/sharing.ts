/**
 * Which statements may share a connection, and how it is noticed that one should not have.
 *
 * What shares is sent by the extended protocol, which takes one statement at a time and has a Sync after each, so that one
 * that fails ends nothing but itself. It must leave the session as it was, since it cannot be known in what order others
 * come.
 */
import type * as Driver from "@dbpool/sql/Driver"
import type pg from "pg"
import type { PgPoolOptions } from "../PgPoolConfig.js"
import type { PgConnection } from "./connection.js"
import { sharedStatement } from "./connection.js"

/** they begin no transaction, and answer with rows or a count: never with COPY, which would read what follows as data */
const plain = /^\s*(?:select|insert|update|delete|merge|with|values|table)\b/i

/** an inner one may be part of a text; then it is only not shared */
const isOne = (sql: string): boolean => {
  const end = sql.indexOf(";")
  return end < 0 || sql.slice(end + 1).trim() === ""
}

/** @internal */
export const allows = (sql: string): boolean => plain.test(sql) && isOne(sql)

/** what comes after these runs in a session of another kind */
const changes = new Set([
  "SET",
  "RESET",
  "DISCARD",
  "LISTEN",
  "UNLISTEN",
  "PREPARE",
  "DEALLOCATE",
  "DECLARE",
  "LOAD"
])

/** The error of all who share a connection when one of them has changed more than data; it may slip past `allows`. @internal */
export const slipOf = (status: "none" | "open" | "failed", result: pg.QueryResult | undefined): Error | undefined => {
  if (status !== "none") {
    return new Error("a statement has begun a transaction on a connection that others share: use `pool.transaction`")
  }
  const command = result?.command
  return command !== undefined && changes.has(command)
    ? new Error(`${command} has changed the session of a connection that others share: use \`pool.use\``)
    : undefined
}

/** @internal */
export const make = (options: PgPoolOptions<any, any, any>): Driver.Sharing<PgConnection> | undefined =>
  options.sharing === undefined ? undefined : {
    maxLeases: options.sharing.maxLeases,
    allows,
    execute: (connection, sql, params, mode) => connection.share(sql, params, mode),
    submit: (connection, sql, params, mode, done) =>
      connection.submit(sql, params, mode, undefined, sharedStatement, done),
    accepts: (connection) => !connection.line.isObstructed
  }
