/**
 * Writes what `scripts/test.mjs` counts. Vitest's JSON reporter knows neither why a test was skipped nor which errors
 * happened outside of tests.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { root } from "./workspace.mjs"

const name = (test) => `${Path.relative(root, test.module.moduleId)} > ${test.fullName}`

const hasBrokenSuite = (test) => {
  for (let parent = test.parent; parent.type !== "module"; parent = parent.parent) {
    if (parent.errors().length > 0) {
      return true
    }
  }
  return test.module.errors().length > 0
}

export default class TallyReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const tally = { passed: 0, failed: unhandledErrors.length, skipped: [] }
    for (const module of modules) {
      let tests = 0
      for (const test of module.children.allTests()) {
        tests++
        const { note, state } = test.result()
        if (state === "passed") {
          tally.passed++
        } else if (state === "failed" || state === "pending" || hasBrokenSuite(test)) {
          tally.failed++
        } else {
          tally.skipped.push({ name: name(test), reason: note })
        }
      }
      const brokenSuites = [...module.children.allSuites()].filter((suite) => suite.errors().length > 0)
      if (tests === 0 && (module.errors().length > 0 || brokenSuites.length > 0)) {
        tally.failed++
      }
    }
    Fs.writeFileSync(process.env.DBPOOL_TEST_RESULT, JSON.stringify(tally))
  }
}
