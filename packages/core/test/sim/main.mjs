/**
 * `pnpm sim [--seeds N] [--seed S] [--steps M]`: N seeds from S on; a seed alone is shown step by step if it fails.
 * `pnpm sim --mutants`: does the simulation find bugs?
 */
import { build } from "esbuild"
import { rmSync } from "node:fs"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { parseArgs } from "node:util"
import { Worker } from "node:worker_threads"

const here = path.dirname(fileURLToPath(import.meta.url))

/** a campaign of that many seeds has to take every transition that often */
const campaign = 100_000
const often = 1000

const directory = await fs.mkdtemp(path.join(os.tmpdir(), "dbpool-sim-"))
process.on("exit", () => rmSync(directory, { recursive: true, force: true }))
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130))
process.exitCode = await main()

async function main() {
  const { mutants, problem, seed, seeds, steps } = read()
  if (problem !== undefined) {
    console.error(problem)
    return 1
  }
  return mutants ? hunt(seeds ?? 3000, steps) : search(seed ?? 1, seeds ?? (seed === undefined ? 3000 : 1), steps)
}

/** what the command line says, or what is wrong with it */
function read() {
  try {
    const { values } = parseArgs({
      options: {
        seeds: { type: "string" },
        seed: { type: "string" },
        steps: { type: "string", default: "200" },
        mutants: { type: "boolean", default: false }
      }
    })
    const number = (option) => {
      const value = values[option]
      if (value === undefined) return undefined
      if (/^[1-9]\d{0,8}$/.test(value)) return Number(value)
      throw new Error(`--${option} must be a whole number above zero, not ${JSON.stringify(value)}.`)
    }
    const order = { mutants: values.mutants, seed: number("seed"), seeds: number("seeds"), steps: number("steps") }
    if (order.mutants && order.seed !== undefined) throw new Error("--mutants always begins with the first seed.")
    return order
  } catch (error) {
    // of what Node says, the first sentence; it does without the full stop
    return { problem: `${error.message.split(/\n|\. /)[0].replace(/\.$/, "")}.` }
  }
}

/** bundles one of the modules here, with the engine as it is or with one deliberate bug */
async function bundle(entry, outfile, mutant) {
  let applied = mutant === undefined
  await build({
    entryPoints: [path.join(here, entry)],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
    plugins: mutant === undefined ? [] : [{
      name: "mutant",
      setup: ({ onLoad }) =>
        onLoad({ filter: new RegExp(`src/internal/${mutant.file.replace(".", "\\.")}$`) }, async ({ path }) => {
          const text = await fs.readFile(path, "utf8")
          applied = text.includes(mutant.find)
          return { contents: text.replace(mutant.find, mutant.replace), loader: "ts" }
        })
    }]
  })
  if (!applied) throw new Error(`The mutant "${mutant.name}" does not fit ${mutant.file} any more.`)
}

function run(file, order) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(pathToFileURL(file), { workerData: order })
    worker.on("message", (report) => {
      resolve(report)
      // a world that was left half way may hold timers of the real one: Effect.never has one
      void worker.terminate()
    })
    worker.on("error", reject)
  })
}

function merge(reports) {
  return reports.reduce((one, other) => ({
    seeds: one.seeds + other.seeds,
    steps: one.steps + other.steps,
    fewest: Math.min(one.fewest, other.fewest),
    digest: ((Number.parseInt(one.digest, 16) + Number.parseInt(other.digest, 16)) >>> 0).toString(16).padStart(8, "0"),
    coverage: [...other.coverage].reduce(
      (sum, [key, n]) => sum.set(key, (sum.get(key) ?? 0) + n),
      new Map(one.coverage)
    ),
    failures: [...one.failures, ...other.failures].sort((a, b) => a.seed - b.seed)
  }))
}

async function search(seed, seeds, steps) {
  const file = path.join(directory, "campaign.mjs")
  await bundle("campaign.ts", file)
  const workers = Math.min(os.availableParallelism(), 8, seeds)
  const begun = performance.now()
  const report = merge(
    await Promise.all(
      Array.from(
        { length: workers },
        (_, i) => run(file, { from: seed + i, to: seed + seeds - 1, stride: workers, worldSteps: steps, first: false })
      )
    )
  )
  const { coverage, digest, failures, fewest } = report
  const single = seeds === 1
  if (single) { for (const { lines } of failures) console.log(lines.join("\n")) }
  else for (const [key, times] of [...coverage].sort()) console.log(`${key.padEnd(26)}${times}`)
  for (const { failure, seed } of failures) console.log(`seed ${seed} failed: ${failure.split("\n")[0]}`)
  const rare = single ? [] : [...coverage].filter(([, times]) => times < often).map(([key]) => key)
  if (rare.length > 0) console.log(`seldom seen: ${rare.join(", ")}`)
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  console.log(
    `${report.seeds} seeds, ${report.steps} steps (at least ${fewest} a seed), trace ${digest}, ` +
      `${failures.length} failed, ${seconds} s`
  )
  return failures.length > 0 || (seeds >= campaign && rare.length > 0) ? 1 : 0
}

async function hunt(seeds, steps) {
  const list = path.join(directory, "mutants.mjs")
  await bundle("mutants.ts", list)
  const { mutants } = await import(pathToFileURL(list).href)
  let escaped = 0
  const queue = [...mutants.entries()]
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [index, mutant] = next
      const file = path.join(directory, `mutant-${index}.mjs`)
      await bundle("campaign.ts", file, mutant)
      const order = { from: 1, to: seeds, stride: 1, worldSteps: steps, first: true }
      const { failures } = await run(file, order)
      if (failures.length === 0) escaped++
      const verdict = failures.length === 0
        ? `NOT FOUND in ${seeds} seeds`
        : `found by seed ${failures[0].seed}: ${failures[0].failure.split("\n")[0].replace(/^Error: /, "")}`
      console.log(`rule ${String(mutant.rule).padEnd(3)}${mutant.name.padEnd(57)}${verdict}`)
    }
  }
  await Promise.all(Array.from({ length: Math.min(os.availableParallelism(), 8) }, work))
  console.log(`${mutants.length - escaped} of ${mutants.length} mutants found`)
  return escaped > 0 ? 1 : 0
}
