/** A PostgreSQL server as the contract suite wants to see it. */
import type * as ContractDialect from "@dbpool/testing/ContractDialect"
import type * as PgServer from "@dbpool/testing/PgServer"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import pg from "pg"

/** somebody who looks on with a plain driver, and comes back after the server was away */
export const observe = (url: string) => Effect.acquireRelease(Effect.sync(() => observer(url)), ({ close }) => close)

const observer = (url: string) => {
  let client: Promise<pg.Client> | undefined
  const connect = async () => {
    const made = new pg.Client({ connectionString: url, application_name: "contract-observer" })
    made.on("error", () => client = undefined)
    await made.connect()
    return made
  }
  const query = (sql: string, params: ReadonlyArray<unknown> = []): Effect.Effect<ReadonlyArray<any>> =>
    Effect.promise(async () => {
      const connected = await (client ??= connect())
      const { rows } = await connected.query(sql, [...params])
      return rows
    })
  return { query, close: Effect.promise(async () => void await (await client)?.end()) }
}

export const make = (
  server: Effect.Effect<PgServer.PgServer, PgServer.PgServerError, Scope.Scope>
): Effect.Effect<ContractDialect.Server & { readonly url: string }, PgServer.PgServerError, Scope.Scope> =>
  Effect.gen(function*() {
    const { host, port, started, url } = yield* server
    const { query } = yield* observe(url)
    return {
      url,
      address: { host, port },
      query,
      sessions: (pool) =>
        Effect.map(
          query("select pid, state, query from pg_stat_activity where application_name = $1", [pool]),
          (rows) =>
            rows.map(({ pid, query, state }) => ({ id: pid, statement: state === "active" ? query : undefined }))
        ),
      kill: (id) => query("select pg_terminate_backend($1)", [id]),
      restart: Option.getOrUndefined(Option.map(started, ({ kill, start }) => ({ kill, start: Effect.orDie(start) })))
    }
  })
