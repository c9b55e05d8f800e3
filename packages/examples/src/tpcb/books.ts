/**
 * Whether the database agrees with itself, and with what the program believes to have happened.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import type { Ledger } from "./ledger.js"

export interface Books {
  readonly historyRows: number
  /** what does not fit together, in words; empty when the books balance */
  readonly complaints: ReadonlyArray<string>
}

export const audit = (ledger: Ledger) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const [sums] = yield* sql<Record<"accounts" | "tellers" | "branches" | "history", string>>`select
      (select sum(abalance) from dbpool_tpcb.pgbench_accounts) as accounts,
      (select sum(tbalance) from dbpool_tpcb.pgbench_tellers) as tellers,
      (select sum(bbalance) from dbpool_tpcb.pgbench_branches) as branches,
      (select coalesce(sum(delta), 0) from dbpool_tpcb.pgbench_history) as history`
    const rows = yield* sql<{ readonly id: string; readonly n: number | string }>`
      select trim(filler) as id, count(*) as n from dbpool_tpcb.pgbench_history group by 1`
    const times = new Map(rows.map(({ id, n }) => [id, Number(n)]))
    const count = (ids: Iterable<string>, wrong: (n: number) => boolean) => {
      let found = 0
      for (const id of ids) if (wrong(times.get(id) ?? 0)) found++
      return found
    }
    const { committed, rolledBack, unknown } = ledger.ids
    const foreign = [...times.keys()].filter((id) => !committed.has(id) && !rolledBack.has(id) && !unknown.has(id))
    const complaints = [
      new Set(Object.values(sums!)).size > 1 && `the sums differ: ${JSON.stringify(sums)}`,
      complaint(count(committed, (n) => n !== 1), "reported as committed are not there exactly once"),
      complaint(count(rolledBack, (n) => n !== 0), "reported as rolled back are there"),
      complaint(count(unknown, (n) => n > 1), "whose COMMIT was lost are there more than once"),
      complaint(foreign.length, "are there and were never reported")
    ].filter((text) => text !== false)
    return { historyRows: [...times.values()].reduce((sum, n) => sum + n, 0), complaints } satisfies Books
  })

const complaint = (n: number, what: string): string | false => n > 0 && `${n} transactions ${what}`
