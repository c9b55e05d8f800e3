/**
 * What came out of a run, as a table and as JSON, and whether it is good enough.
 */
import type * as PoolStats from "@dbpool/core/PoolStats"
import type { Books } from "./books.js"
import type { Ledger, Percentiles } from "./ledger.js"
import { percentiles } from "./ledger.js"

export interface Report {
  readonly transactions: number
  readonly committed: number
  readonly outcomeUnknown: number
  readonly balanced: boolean
  readonly historyRows: number
  readonly opened: number
  readonly reused: number
  readonly lost: number
  /** connections of the pool that the server still had 2 s after its scope closed */
  readonly leaked: number
  /** kills that hit a backend in the middle of a transaction */
  readonly hits: number
  readonly errors: Readonly<Record<string, number>>
  readonly txPerSecond: number
  readonly acquireMs: Percentiles
  readonly txMs: Percentiles
}

export const make = (
  transactions: number,
  seconds: number,
  ledger: Ledger,
  books: Books,
  stats: PoolStats.PoolStats,
  leaked: number
): Report => ({
  transactions,
  committed: ledger.ids.committed.size,
  outcomeUnknown: ledger.ids.unknown.size,
  balanced: books.complaints.length === 0,
  historyRows: books.historyRows,
  opened: stats.opened,
  reused: stats.reused,
  lost: stats.retired.lost,
  leaked,
  hits: ledger.hits,
  errors: ledger.errors,
  txPerSecond: Math.round(ledger.ids.committed.size / seconds),
  acquireMs: percentiles(ledger.acquireMs),
  txMs: percentiles(ledger.txMs)
})

/** why the run failed; empty when it did not. A short run is over before the disturbances have done their part. */
export const failures = (report: Report, books: Books): ReadonlyArray<string> => {
  const long = report.transactions >= 5000
  return [
    ...books.complaints.map((complaint) => `The books do not balance: ${complaint}.`),
    report.leaked > 0 &&
    `${report.leaked} connections of the pool were still on the server 2 s after its scope closed.`,
    long && report.hits < 3 && `Only ${report.hits} kills hit a backend in the middle of a transaction.`,
    long && (report.errors["TooManyConnections"] ?? 0) === 0 && "No caller was turned away with TooManyConnections."
  ].filter((text) => text !== false)
}

export const table = (report: Report): string => {
  const errors = Object.entries(report.errors).map(([tag, n]) => `${tag} ${n}`).join(", ")
  const spread = ({ p50, p95, p99 }: Percentiles) => `p50 ${p50}   p95 ${p95}   p99 ${p99}`
  return [
    ["transactions", `${report.committed} committed, ${report.outcomeUnknown} with unknown outcome`],
    ["transactions/s", report.txPerSecond],
    ["wait to begin, ms", spread(report.acquireMs)],
    ["transaction, ms", spread(report.txMs)],
    [
      "connections",
      `${report.opened} opened, ${report.reused} times reused, ${report.lost} lost, ${report.leaked} leaked`
    ],
    ["kills in mid-transaction", report.hits],
    ["errors, all handled", errors === "" ? "none" : errors],
    ["books", `${report.balanced ? "balanced" : "NOT BALANCED"}, ${report.historyRows} rows of history`]
  ].map(([label, value]) => `${String(label).padEnd(26)}${value}`).join("\n")
}
