/**
 * Ways to PostgreSQL, each with ten connections, those of the peers without what slows them down (no idle timeouts).
 */
import * as PgPool from "@dbpool/sql-pg/PgPool"
import type * as PgPoolConfig from "@dbpool/sql-pg/PgPoolConfig"
import * as PgServer from "@dbpool/testing/PgServer"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import pg from "pg"
import postgres from "postgres"

export const size = 10

/** where it is: the server itself, or a proxy in front of it */
export interface Address {
  readonly host: string
  readonly port: number
}

const account = (address: Address | undefined) =>
  Effect.map(PgServer.PgServer, ({ database, host, password, port, user }) => ({
    host,
    port,
    ...address,
    database,
    user,
    password
  }))

export const ours = (options: Partial<PgPoolConfig.PgPoolOptions> = {}, address?: Address) =>
  Effect.flatMap(account(address), ({ password, user, ...rest }) =>
    PgPool.make({
      ...rest,
      username: user,
      password: Redacted.make(password),
      maxConnections: size,
      minConnections: size,
      initialize: "fill",
      ...options
    })).pipe(Effect.provide(Reactivity.layer))

/** makes the socket of a connection; `pg` itself does when there is none */
export type Stream = PgPoolConfig.PgPoolOptions["stream"]

export const official = (address?: Address, stream?: Stream) =>
  Effect.flatMap(account(address), ({ password, user, ...rest }) =>
    PgClient.make({
      ...rest,
      username: user,
      password: Redacted.make(password),
      maxConnections: size,
      minConnections: size,
      idleTimeout: "1 hour",
      stream
    })).pipe(Effect.provide(Reactivity.layer))

export const raw = (address?: Address, stream?: Stream) =>
  Effect.flatMap(account(address), (options) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const pool = new pg.Pool({ ...options, max: size, idleTimeoutMillis: 0, stream } as pg.PoolConfig)
        pool.on("error", () => {})
        return pool
      }),
      (pool) => Effect.promise(() => pool.end())
    ))

/** what `Effect` itself costs around a statement of the raw pool: no client over that pool can cost less */
export const floor = (pool: pg.Pool) => (config: pg.QueryConfig): Effect.Effect<ReadonlyArray<any>, Error> =>
  Effect.async((resume) => {
    pool.query(
      config,
      (error: Error | undefined, result: pg.QueryResult) =>
        resume(error ? Effect.fail(error) : Effect.succeed(result.rows))
    )
  })

/** single clients that send without waiting for the answers: as fast as `pg` can be */
export const pipelined = (address?: Address) =>
  Effect.flatMap(account(address), (options) =>
    Effect.acquireRelease(
      Effect.promise(() =>
        Promise.all(Array.from({ length: size }, async () => {
          const client = new pg.Client({ ...options, pipeline: true } as pg.ClientConfig)
          await client.connect()
          return client
        }))
      ),
      (clients) => Effect.promise(() => Promise.all(clients.map((client) => client.end())))
    ))

/** postgres.js, which pipelines by itself */
export const postgresJs = (options: { readonly prepare: boolean }, address?: Address) =>
  Effect.flatMap(account(address), ({ password, ...rest }) =>
    Effect.acquireRelease(
      Effect.sync(() => postgres({ ...rest, pass: password, max: size, onnotice: () => {}, ...options })),
      (sql) => Effect.promise(() => sql.end())
    ))
