/**
 * The tables of TPC-B at scale 1, as `pgbench` makes them, in a schema of their own that is dropped at the end. The
 * `filler` of the history holds the id of the transaction that wrote the row, which is how the books are checked.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"

export const branches = 1
export const tellers = 10
export const accounts = 100_000

const create = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`drop schema if exists dbpool_tpcb cascade`
  yield* sql`create schema dbpool_tpcb`
  yield* sql`create table dbpool_tpcb.pgbench_branches
    (bid int not null primary key, bbalance int, filler char(88)) with (fillfactor = 20)`
  yield* sql`create table dbpool_tpcb.pgbench_tellers
    (tid int not null primary key, bid int, tbalance int, filler char(84)) with (fillfactor = 20)`
  yield* sql`create table dbpool_tpcb.pgbench_accounts
    (aid int not null primary key, bid int, abalance int, filler char(84))`
  yield* sql`create table dbpool_tpcb.pgbench_history
    (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))`
  yield* sql`insert into dbpool_tpcb.pgbench_branches (bid, bbalance)
    select bid, 0 from generate_series(1, ${branches}::int) bid`
  yield* sql`insert into dbpool_tpcb.pgbench_tellers (tid, bid, tbalance)
    select tid, 1, 0 from generate_series(1, ${tellers}::int) tid`
  yield* sql`insert into dbpool_tpcb.pgbench_accounts (aid, bid, abalance, filler)
    select aid, 1, 0, '' from generate_series(1, ${accounts}::int) aid`
  yield* sql`vacuum analyze dbpool_tpcb.pgbench_accounts`
})

/** Keeps a second run off the same database, by a lock that the server drops with the connection that holds it. */
export const alone = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const connection = yield* sql.reserve
  const [[free]] = yield* connection.executeValues(
    "select pg_try_advisory_lock(hashtext('dbpool_tpcb'))",
    []
  ) as Effect.Effect<[[boolean]], SqlError>
  if (!free) return yield* Effect.fail(new Error("Another run of the main job is using this database."))
})

/** the tables, for as long as the scope is open */
export const scoped = Effect.acquireRelease(
  create,
  () => Effect.flatMap(SqlClient.SqlClient, (sql) => Effect.ignore(sql`drop schema if exists dbpool_tpcb cascade`))
)
