/**
 * `pnpm sim [--seeds N] [--seed S] [--steps M]`: N worlds, or one, from seed S on, of at least M steps each.
 * `pnpm sim --mutants`: does the simulation find bugs? `--mutant NAME` plants one of them, and is otherwise the same.
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

const cores = Math.min(os.availableParallelism(), 8)

/** what is wrong with the command line */
class Mistake extends Error {}

const directory = await fs.mkdtemp(path.join(os.tmpdir(), "dbpool-sim-"))
process.on("exit", () => rmSync(directory, { recursive: true, force: true }))
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130))
process.exitCode = await main()

async function main() {
  try {
    const { mutant, mutants, seed, seeds, steps } = read()
    if (mutants) return await hunt(seeds ?? 3000, steps)
    const planted = mutant === undefined ? undefined : await pick(mutant)
    return await search(seed ?? 1, seeds ?? (seed === undefined ? 3000 : 1), steps, planted)
  } catch (error) {
    if (!(error instanceof Mistake)) throw error
    console.error(error.message)
    return 1
  }
}

/** what the command line says */
function read() {
  const { values } = parse({
    seeds: { type: "string" },
    seed: { type: "string" },
    steps: { type: "string", default: "200" },
    mutant: { type: "string" },
    mutants: { type: "boolean", default: false }
  })
  const number = (option) => {
    const value = values[option]
    if (value === undefined) return undefined
    if (/^[1-9]\d{0,8}$/.test(value)) return Number(value)
    throw new Mistake(`--${option} must be a whole number above zero, not ${JSON.stringify(value)}.`)
  }
  if (values.mutants && values.seed !== undefined) throw new Mistake("--mutants always begins with the first seed.")
  if (values.mutants && values.mutant !== undefined) throw new Mistake("--mutants plants all, --mutant only one.")
  return { ...values, seed: number("seed"), seeds: number("seeds"), steps: number("steps") }
}

function parse(options) {
  try {
    return parseArgs({ options })
  } catch (error) {
    // of what Node says, the first sentence; some come without a full stop
    throw new Mistake(`${error.message.split(/\n|\. /)[0].replace(/\.$/, "")}.`)
  }
}

async function pick(name) {
  const mutants = await all()
  const found = mutants.filter((mutant) => mutant.name.includes(name))
  if (found.length === 1) return found[0]
  throw new Mistake(
    `--mutant must be part of the name of one mutant, and ${found.length} contain ${JSON.stringify(name)}.`
  )
}

/** the list of mutants */
async function all() {
  const list = path.join(directory, "mutants.mjs")
  await bundle("mutants.ts", list)
  return (await import(pathToFileURL(list).href)).mutants
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
    failed: one.failed + other.failed,
    fewest: Math.min(one.fewest, other.fewest),
    most: Math.max(one.most, other.most),
    transitions: one.transitions,
    digest: ((Number.parseInt(one.digest, 16) + Number.parseInt(other.digest, 16)) >>> 0).toString(16).padStart(8, "0"),
    coverage: [...other.coverage].reduce(
      (sum, [key, n]) => sum.set(key, (sum.get(key) ?? 0) + n),
      new Map(one.coverage)
    ),
    failures: [...one.failures, ...other.failures].sort((a, b) => a.seed - b.seed)
  }))
}

async function search(seed, seeds, steps, mutant) {
  const file = path.join(directory, "campaign.mjs")
  await bundle("campaign.ts", file, mutant)
  const workers = Math.min(cores, seeds)
  const begun = performance.now()
  const reports = await Promise.all(
    Array.from({ length: workers }, (_, i) => {
      return run(file, { from: seed + i, to: seed + seeds - 1, stride: workers, worldSteps: steps, first: false })
    })
  )
  const { coverage, digest, failures, fewest, most, transitions, ...report } = merge(reports)
  if (seeds > 1) tell(transitions, coverage)
  if (failures.length > 0) explain(failures, seeds > 1 ? 60 : Infinity, steps, mutant)
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  console.log(
    `${report.seeds} seeds, ${report.steps} steps (${fewest} to ${most} a seed), trace ${digest}, ` +
      `${report.failed} failed, ${seconds} s`
  )
  const missed = transitions.some((transition) => (coverage.get(transition) ?? 0) < often)
  return failures.length > 0 || (seeds >= campaign && missed) ? 1 : 0
}

/** what happened, and how often */
function tell(transitions, coverage) {
  const events = [...coverage.keys()].filter((event) => !transitions.includes(event)).sort()
  for (const what of [...[...transitions].sort(), ...events]) {
    console.log(`${what.padEnd(44)}${String(coverage.get(what) ?? 0).padStart(10)}`)
  }
  const rare = [...transitions, ...events].filter((what) => (coverage.get(what) ?? 0) < often)
  if (rare.length > 0) console.log(`seldom seen: ${rare.join(", ")}`)
}

/** the end of the first failure's history, and how to see each again */
function explain(failures, lines, steps, mutant) {
  console.log(failures[0].lines.slice(-Math.min(lines, failures[0].lines.length)).join("\n"))
  for (const { digest, failure, seed } of failures) {
    console.log(`seed ${seed} failed: ${headline(failure)} (trace ${digest})`)
  }
  const options = [
    ...(steps === 200 ? [] : [`--steps ${steps}`]),
    ...(mutant === undefined ? [] : [`--mutant ${JSON.stringify(mutant.name)}`])
  ]
  console.log(`to see it again: ${["pnpm sim --seed", failures[0].seed, ...options].join(" ")}`)
}

function headline(failure) {
  return failure.split("\n")[0].replace(/^Error: /, "")
}

async function hunt(seeds, steps) {
  const mutants = await all()
  const lines = []
  let escaped = 0
  const queue = [...mutants.entries()]
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [index, mutant] = next
      const file = path.join(directory, `mutant-${index}.mjs`)
      await bundle("campaign.ts", file, mutant)
      const { failures } = await run(file, { from: 1, to: seeds, stride: 1, worldSteps: steps, first: true })
      await fs.rm(file)
      if (failures.length === 0) escaped++
      const verdict = failures.length === 0
        ? `NOT FOUND in ${seeds} seeds`
        : `seed ${String(failures[0].seed).padEnd(5)}${headline(failures[0].failure)}`
      lines[index] = `${String(mutant.rule).padEnd(9)}${mutant.name.padEnd(70)}${verdict}`
    }
  }
  await Promise.all(Array.from({ length: cores }, work))
  console.log(lines.join("\n"))
  console.log(`${mutants.length - escaped} of ${mutants.length} mutants found`)
  return escaped > 0 ? 1 : 0
}
