import { assert, describe, it } from "@effect/vitest"
import * as Report from "../src/tpcb/report.js"

describe("a run", () => {
  const percentiles = { p50: 1, p95: 1, p99: 1 }
  const good: Report.Report = {
    transactions: 5000,
    committed: 5000,
    outcomeUnknown: 0,
    balanced: true,
    historyRows: 5000,
    opened: 10,
    reused: 10,
    lost: 3,
    leaked: 0,
    hits: 3,
    errors: { TooManyConnections: 1, ConnectionLost: 3 },
    txPerSecond: 1,
    acquireMs: percentiles,
    txMs: percentiles
  }
  const failures = (report: Partial<Report.Report>, complaints: ReadonlyArray<string> = []) =>
    Report.failures({ ...good, ...report }, { historyRows: 5000, complaints })

  it("fails for unbalanced books, leaks, and disturbances that did not happen", () => {
    assert.deepStrictEqual(failures({}), [])
    assert.deepStrictEqual(failures({}, ["the sums differ"]), ["The books do not balance: the sums differ."])
    assert.match(failures({ leaked: 1 })[0]!, /1 connections of the pool were still on the server/)
    assert.match(failures({ hits: 2 })[0]!, /Only 2 kills/)
    assert.match(failures({ errors: {} })[0]!, /TooManyConnections/)
  })

  it("of fewer than 5,000 transactions may be over before the disturbances have begun", () => {
    assert.deepStrictEqual(failures({ transactions: 4999, hits: 0, errors: {} }), [])
  })
})
