import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Report from "../src/Report.js"
import * as Row from "../src/Row.js"
import { sizes } from "../src/Size.js"
import * as Statistics from "../src/Statistics.js"
import { suites } from "../src/suites/all.js"

describe("the benchmarks", () => {
  for (const suite of suites) {
    it.live(`${suite.name}: every part runs, and its rows say what they must`, () =>
      Effect.gen(function*() {
        const rows = Chunk.toReadonlyArray(yield* Stream.runCollect(suite.rows(sizes.tiny, () => true)))
        const report = Report.make(sizes.tiny, rows)
        const told = yield* Schema.decodeUnknown(Report.Report)(JSON.parse(JSON.stringify(report)))
        assert.deepStrictEqual(told, report)
        assert.isAbove(rows.length, 0)
        for (const row of rows) {
          assert.strictEqual(row.suite, suite.name)
          assert.isTrue([row.ours, row.theirs, row.ratio, ...row.interval].every(Number.isFinite), Row.line(row))
          assert.isTrue(row.interval[0] <= row.ratio && row.ratio <= row.interval[1], Row.line(row))
          assert.strictEqual(row.met, row.target === null ? null : row.interval[0] <= row.target)
        }
      }))
  }

  it("a target is missed only when the whole interval lies above it", () => {
    const subject = { suite: "s", name: "n", peer: "p", unit: "ns" }
    const ones = Array.from({ length: 21 }, () => 1)
    const spread = ones.map((_, i) => 1 + i / 10)
    assert.strictEqual(Row.make({ ...subject, target: 1.5 }, spread, ones).met, true)
    assert.strictEqual(Row.make({ ...subject, target: 1.4 }, spread, ones).met, false)
    assert.strictEqual(Row.make(subject, spread, ones).met, null)
    assert.deepStrictEqual(Row.make(subject, spread, ones).interval, [1.5, 2.5])
  })

  it("the ratio is that of each round, so that what slows a whole round down does not count", () => {
    const row = Row.make({ suite: "s", name: "n", peer: "p", unit: "ns" }, [1, 100, 3], [2, 200, 6])
    assert.strictEqual(row.ratio, 0.5)
    assert.deepStrictEqual(row.interval, [0.5, 0.5])
  })

  it("the interval of the median leaves out as many as fair coins allow", () => {
    const values = (n: number) => Array.from({ length: n }, (_, i) => i + 1)
    assert.strictEqual(Statistics.median(values(4)), 2.5)
    // by the table of the sign test: 5 of 20 and 9 of 30 at each end, none of 5
    assert.deepStrictEqual(Statistics.interval(values(5)), [1, 5])
    assert.deepStrictEqual(Statistics.interval(values(20)), [6, 15])
    assert.deepStrictEqual(Statistics.interval(values(30)), [10, 21])
  })
})
