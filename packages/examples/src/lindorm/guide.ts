/**
 * The program of LindormTable's guide to DBUtils, with this pool.
 */
import * as LindormPool from "@dbpool/sql-lindorm/LindormPool"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"

export interface Account {
  readonly url: string
  readonly user: string
  readonly password: Redacted.Redacted
  readonly database: string
}

export const account: Config.Config<Account> = Config.all({
  url: Config.string("URL"),
  user: Config.string("USER").pipe(Config.withDefault("root")),
  password: Config.redacted("PASSWORD"),
  database: Config.string("DATABASE").pipe(Config.withDefault("test"))
}).pipe(Config.nested("LINDORM"))

/** maxcached=10, maxconnections=50; blocking=True, ping=1 and autocommit=True are what a pool does anyway */
export const layer = (account: Account) => LindormPool.layer({ ...account, maxIdle: 10, maxConnections: 50 })

const select = (statement: string) => Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement).values)

/** Upserts a row written out and one by parameters, then prints all rows, one row, and one row by its key. */
export const program = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`upsert into tb(id,name,address) values ('i001','n001','a001')`

  const [id, name, address] = ["i002", "n002", "a002"]
  yield* sql`upsert into tb(id,name,address) values (${id},${name},${address})`

  const rows = yield* select("select * from tb")
  yield* Console.log(rows)

  const [first] = yield* select("select * from tb limit 1")
  yield* Console.log(first)

  const [one] = yield* select("select * from tb where id = 'i001' limit 1")
  yield* Console.log(one)
}).pipe(SqlPool.refineErrors)
