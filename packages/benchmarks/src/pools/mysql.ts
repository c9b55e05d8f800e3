/**
 * Ways to MySQL and MariaDB, each with ten connections that stay open.
 */
import * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
import * as MariaServer from "@dbpool/testing/MariaServer"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import mariadb from "mariadb"
import mysql from "mysql2"

export const size = 10

const account = Effect.map(
  MariaServer.MariaServer,
  ({ database, host, password, port, user }) => ({ host, port, database, user, password })
)

export const ours = Effect.flatMap(account, ({ password, user, ...rest }) =>
  MysqlPool.make({
    ...rest,
    username: user,
    password: Redacted.make(password),
    maxConnections: size,
    minConnections: size,
    initialize: "fill"
  })).pipe(Effect.provide(Reactivity.layer))

export const official = Effect.flatMap(account, ({ password, user, ...rest }) =>
  MysqlClient.make({
    ...rest,
    username: user,
    password: Redacted.make(password),
    maxConnections: size,
    poolConfig: { maxIdle: size },
    connectionTTL: "1 hour"
  })).pipe(Effect.provide(Reactivity.layer))

export const raw: Effect.Effect<mysql.Pool, never, MariaServer.MariaServer | Scope.Scope> = Effect.flatMap(
  account,
  (options) =>
    Effect.acquireRelease(
      Effect.sync(() =>
        mysql.createPool({
          ...options,
          connectionLimit: size,
          maxIdle: size,
          idleTimeout: 3_600_000,
          supportBigNumbers: true
        })
      ),
      (pool) => Effect.promise(() => pool.promise().end())
    )
)

/** what `Effect` itself costs around a statement of the raw pool: no client over that pool can cost less */
export const floor = (pool: mysql.Pool) => (text: string, values: ReadonlyArray<any>): Effect.Effect<unknown, Error> =>
  Effect.async((resume) => {
    pool.execute(text, [...values], (error, rows) => resume(error ? Effect.fail(error) : Effect.succeed(rows)))
  })

export const mariadbConnector = Effect.flatMap(account, (options) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      mariadb.createPool({
        ...options,
        connectionLimit: size,
        minimumIdle: size,
        idleTimeout: 3600,
        acquireTimeout: 60_000
      })
    ),
    (pool) => Effect.promise(() => pool.end())
  ))
