/**
 * The work: many fibers that run TPC-B transactions through a few connections, and take each error for what it is.
 */
import * as SqlPool from "@dbpool/sql/SqlPool"
import type * as SqlPoolError from "@dbpool/sql/SqlPoolError"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Ledger } from "./ledger.js"
import { accounts, tellers } from "./tables.js"

/** The five statements of TPC-B. Nothing here knows of a pool: it is ordinary `@effect/sql`. */
const transfer = (id: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const aid = yield* Random.nextIntBetween(1, accounts + 1)
    const tid = yield* Random.nextIntBetween(1, tellers + 1)
    const delta = yield* Random.nextIntBetween(-5000, 5001)
    yield* sql`update dbpool_tpcb.pgbench_accounts set abalance = abalance + ${delta} where aid = ${aid}`
    yield* sql`select abalance from dbpool_tpcb.pgbench_accounts where aid = ${aid}`
    yield* sql`update dbpool_tpcb.pgbench_tellers set tbalance = tbalance + ${delta} where tid = ${tid}`
    yield* sql`update dbpool_tpcb.pgbench_branches set bbalance = bbalance + ${delta} where bid = 1`
    yield* sql`insert into dbpool_tpcb.pgbench_history (tid, bid, aid, delta, mtime, filler)
      values (${tid}, 1, ${aid}, ${delta}, current_timestamp, ${id})`
  })

/** One transaction, repeated until its outcome is known, or known to be unknowable. */
export const transact = (
  ledger: Ledger
): Effect.Effect<void, SqlPoolError.SqlPoolError | SqlError, SqlPool.SqlPool | SqlClient.SqlClient> =>
  Effect.gen(function*() {
    const pool = yield* SqlPool.SqlPool
    const id = ledger.nextId()
    const asked = yield* Clock.currentTimeNanos
    let begun = asked

    const again = Effect.suspend(() => {
      ledger.rolledBack(id)
      return transact(ledger)
    })

    yield* Effect.flatMap(Clock.currentTimeNanos, (now) => {
      begun = now
      return transfer(id)
    }).pipe(
      pool.withTransaction,
      Effect.andThen(Effect.map(Clock.currentTimeNanos, (ended) => ledger.committed(id, begun - asked, ended - begun))),
      Effect.tapError((error) => Effect.sync(() => ledger.error(error._tag))),
      Effect.catchTags({
        // the COMMIT was on its way: doing it again could book the money twice
        CommitUnknown: () => Effect.sync(() => ledger.unknown(id)),
        // lost before the COMMIT was sent, so the server rolled everything back: safe to do again
        ConnectionLost: () => {
          ledger.hits++
          return again
        },
        // nothing was sent at all
        NoSuchConnection: () => again,
        AcquireTimeout: () => again
      })
    )
  })
