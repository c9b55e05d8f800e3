/**
 * Runs a range of seeds; the part of `pnpm sim` that is bundled, once as it is and once for each mutant.
 */
import { parentPort, workerData } from "node:worker_threads"
import type { Coverage } from "./coverage.js"
import { count, transitions } from "./coverage.js"
import { simulate } from "./simulation.js"

export interface Order {
  readonly from: number
  readonly to: number
  readonly stride: number
  /** of each world, at least */
  readonly worldSteps: number
  /** stop at the first failure */
  readonly first: boolean
}

export interface Report {
  readonly seeds: number
  readonly steps: number
  readonly fewest: number
  readonly most: number
  readonly coverage: Coverage
  /** what of it the engine allows as a transition; each has to be taken */
  readonly transitions: ReadonlyArray<string>
  readonly digest: string
  readonly failed: number
  /** the first of them */
  readonly failures: ReadonlyArray<
    { readonly seed: number; readonly failure: string; readonly digest: string; readonly lines: ReadonlyArray<string> }
  >
}

// every error of the pool would have one taken, and nobody would read it
Error.stackTraceLimit = 0

export const campaign = ({ first, from, stride, to, worldSteps }: Order): Report => {
  const coverage: Coverage = new Map()
  const failures: Array<Report["failures"][number]> = []
  let seeds = 0
  let steps = 0
  let fewest = Infinity
  let most = 0
  let failed = 0
  let hash = 0
  for (let seed = from; seed <= to; seed += stride) {
    const result = simulate(seed, worldSteps)
    seeds++
    steps += result.steps
    most = Math.max(most, result.steps)
    hash = (hash + Number.parseInt(result.digest, 16)) >>> 0
    for (const [what, times] of result.coverage) count(coverage, what, times)
    if (result.failure === undefined) {
      fewest = Math.min(fewest, result.steps)
      continue
    }
    failed++
    if (failures.length < 10) {
      failures.push({ seed, failure: result.failure, digest: result.digest, lines: result.lines })
    }
    if (first) break
  }
  return {
    seeds,
    steps,
    fewest: Math.min(fewest, most),
    most,
    coverage,
    transitions: transitions(),
    digest: hash.toString(16).padStart(8, "0"),
    failed,
    failures
  }
}

parentPort?.postMessage(campaign(workerData as Order))
