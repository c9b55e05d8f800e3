/** A MariaDB or MySQL server as the contract suite wants to see it. */
import type * as ContractDialect from "@dbpool/testing/ContractDialect"
import type * as MariaServer from "@dbpool/testing/MariaServer"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as mysql from "mysql2/promise"

/** somebody who looks on with a plain driver, and comes back after the server was away */
export const observe = (url: string) => Effect.acquireRelease(Effect.sync(() => observer(url)), ({ close }) => close)

const observer = (url: string) => {
  let client: Promise<mysql.Connection> | undefined
  const connect = async () => {
    const made = await mysql.createConnection({ uri: url, supportBigNumbers: true })
    made.on("error", () => client = undefined)
    return made
  }
  const query = (sql: string, params: ReadonlyArray<unknown> = []): Effect.Effect<ReadonlyArray<any>> =>
    Effect.promise(async () => {
      const connected = await (client ??= connect())
      const [rows] = await connected.query(sql, [...params] as Array<any>)
      return Array.isArray(rows) ? rows : []
    })
  return { query, close: Effect.promise(async () => void await (await client)?.end().catch(() => {})) }
}

/**
 * The connections of a pool are known by their account, which bears the pool's name: the server's list of connections
 * has nothing else to tell them by.
 */
export const make = <E>(
  server: Effect.Effect<MariaServer.MariaServer, E, Scope.Scope>
): Effect.Effect<
  ContractDialect.Server & { readonly url: string; readonly account: (name: string) => Effect.Effect<void> },
  E,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const { host, port, started, url } = yield* server
    const { query } = yield* observe(url)
    return {
      url,
      account: (name) =>
        Effect.zipRight(
          query(`create user if not exists '${name}' identified by '${name}'`),
          query(`grant all on *.* to '${name}'`)
        ),
      address: { host, port },
      query,
      sessions: (pool) =>
        Effect.map(
          // the connection that cancels is not one of the pool's, and has no database
          query(
            "select id as id, info as info from information_schema.processlist where user = ? and db is not null",
            [pool]
          ),
          (rows) => rows.map(({ id, info }) => ({ id, statement: info ?? undefined }))
        ),
      kill: (id) => Effect.ignore(Effect.sandbox(query(`kill ${id}`))),
      restart: Option.getOrUndefined(Option.map(started, ({ kill, start }) => ({ kill, start: Effect.orDie(start) })))
    }
  })
