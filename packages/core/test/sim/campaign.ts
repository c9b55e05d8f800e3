/**
 * Runs a range of seeds; the part of `pnpm sim` that is bundled, once as it is and once for each mutant.
 */
import { parentPort, workerData } from "node:worker_threads"
import type { Coverage } from "./rules.js"
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
  readonly coverage: Coverage
  readonly digest: string
  readonly failures: ReadonlyArray<
    { readonly seed: number; readonly failure: string; readonly lines: ReadonlyArray<string> }
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
  let hash = 0
  for (let seed = from; seed <= to; seed += stride) {
    const result = simulate(seed, worldSteps)
    seeds++
    steps += result.steps
    fewest = Math.min(fewest, result.steps)
    hash = (hash + Number.parseInt(result.digest, 16)) >>> 0
    for (const [transition, times] of result.coverage) {
      coverage.set(transition, (coverage.get(transition) ?? 0) + times)
    }
    if (result.failure === undefined) continue
    if (failures.length < 10) failures.push({ seed, failure: result.failure, lines: result.lines })
    if (first) break
  }
  return { seeds, steps, fewest, coverage, digest: hash.toString(16).padStart(8, "0"), failures }
}

parentPort?.postMessage(campaign(workerData as Order))
