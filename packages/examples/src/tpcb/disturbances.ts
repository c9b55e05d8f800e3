/**
 * What goes wrong while the work is done: backends are killed, and bursts of callers come that would rather be turned
 * away than wait.
 */
import * as AcquireOptions from "@dbpool/core/AcquireOptions"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { Dialect } from "./dialect.js"
import type { Ledger } from "./ledger.js"
import { accounts } from "./tables.js"

/** Kills one backend of the workers that is in the middle of a transaction, if there is one. */
const kill = (control: SqlPool.SqlPool, dialect: Dialect) =>
  control.use((connection) =>
    Effect.flatMap(
      connection.query<{ readonly id: number }>(dialect.victim),
      (victims) => Effect.forEach(victims, ({ id }) => connection.query(dialect.kill(id)))
    )
  )

/** A kill every second, and sooner when the work would be done before three of them have hit a transaction. */
export const kills = (
  control: SqlPool.SqlPool,
  dialect: Dialect,
  ledger: Ledger,
  transactions: number
): Effect.Effect<never> => {
  const one = Effect.ignore(kill(control, dialect))
  const early = Effect.suspend(() =>
    ledger.hits < 3 && ledger.done >= transactions * 0.2 * (ledger.hits + 1) ? one : Effect.void
  )
  return Effect.zipRight(
    Effect.all([
      Effect.schedule(one, Schedule.spaced("1 second")),
      Effect.schedule(early, Schedule.spaced("50 millis"))
    ], { concurrency: 2 }),
    Effect.never
  )
}

/** Fifty callers at once ask for an account's balance, and none of them would wait. */
export const bursts = (ledger: Ledger): Effect.Effect<never, never, SqlClient.SqlClient> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const inquiry = Effect.flatMap(
      Random.nextIntBetween(1, accounts + 1),
      (aid) => sql`select abalance from dbpool_tpcb.pgbench_accounts where aid = ${aid}`
    ).pipe(
      SqlPool.refineErrors,
      Effect.tapErrorTag("TooManyConnections", (error) => Effect.sync(() => ledger.error(error._tag))),
      // the pool is busy, and says so at once; the inquiry only reads, so it can simply be tried again a little later
      Effect.retry({
        while: (error) => error._tag !== "SqlError" && error._tag !== "PoolClosed" && error.isRetryable,
        schedule: Schedule.jittered(Schedule.spaced("20 millis")),
        times: 3
      }),
      Effect.catchTags({
        TooManyConnections: () => Effect.void,
        ConnectionLost: (error) => Effect.sync(() => ledger.error(error._tag))
      }),
      Effect.ignore
    )
    const burst = Effect.replicateEffect(inquiry, 50, { concurrency: "unbounded", discard: true })
    return yield* Effect.zipRight(Effect.repeat(burst, Schedule.spaced("300 millis")), Effect.never)
  }).pipe(AcquireOptions.within({ whenExhausted: "fail" }))
