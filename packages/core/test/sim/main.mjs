/**
 * `pnpm sim [--seeds N] [--seed S] [--actions M]`: many seeds, or one, shown. `pnpm sim --mutants`: does it find bugs?
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
const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "3000" },
    seed: { type: "string" },
    actions: { type: "string", default: "12" },
    mutants: { type: "boolean", default: false }
  }
})

/** bundles one of the modules here, with the engine as it is or with one deliberate bug */
const bundle = async (entry, outfile, mutant) => {
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

const run = (file, order) =>
  new Promise((resolve, reject) => {
    const worker = new Worker(pathToFileURL(file), { workerData: order })
    worker.on("message", (report) => {
      resolve(report)
      // a world that was left half way may hold timers of the real one: Effect.never has one
      void worker.terminate()
    })
    worker.on("error", reject)
  })

const merge = (reports) =>
  reports.reduce((one, other) => ({
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

const directory = await fs.mkdtemp(path.join(os.tmpdir(), "dbpool-sim-"))
process.on("exit", () => rmSync(directory, { recursive: true, force: true }))
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130))
process.exitCode = values.mutants ? await hunt() : await search()

async function search() {
  const file = path.join(directory, "campaign.mjs")
  await bundle("campaign.ts", file)
  const actions = Number(values.actions)
  const one = values.seed !== undefined
  const from = one ? Number(values.seed) : 1
  const to = one ? from : Number(values.seeds)
  const workers = one ? 1 : Math.min(os.availableParallelism(), 8)
  const begun = performance.now()
  const report = merge(
    await Promise.all(
      Array.from(
        { length: workers },
        (_, i) => run(file, { from: from + i, to, stride: workers, actions, first: false })
      )
    )
  )
  if (one) { for (const { lines } of report.failures) console.log(lines.join("\n")) }
  else for (const [key, times] of [...report.coverage].sort()) console.log(`${key.padEnd(26)}${times}`)
  for (const { failure, seed } of report.failures) console.log(`seed ${seed} failed: ${failure.split("\n")[0]}`)
  const rare = one ? [] : [...report.coverage].filter(([, times]) => times < 1000).map(([key]) => key)
  if (rare.length > 0) console.log(`seldom seen: ${rare.join(", ")}`)
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  console.log(
    `${report.seeds} seeds, ${report.steps} steps (at least ${report.fewest} a seed), trace ${report.digest}, ` +
      `${report.failures.length} failed, ${seconds} s`
  )
  return report.failures.length > 0 ? 1 : 0
}

async function hunt() {
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
      const { failures, seeds } = await run(file, { from: 1, to: 3000, stride: 1, actions: 12, first: true })
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
