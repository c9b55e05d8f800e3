/**
 * `pnpm parity`: every behaviour and every bug of the Python pools beside ours, with the tests that prove it and whether
 * they pass, as a Markdown table. `--check` only looks whether the table explains everything: that is part of `npm test`,
 * which runs the tests themselves anyway.
 */
import * as Fs from "node:fs"
import { createRequire } from "node:module"
import * as Os from "node:os"
import * as Path from "node:path"
import dbutils from "./parity/dbutils.mjs"
import eventlet from "./parity/eventlet.mjs"
import others from "./parity/others.mjs"
import psycopg2 from "./parity/psycopg2.mjs"
import psycopgPool from "./parity/psycopgPool.mjs"
import { install, requireNode, root, run } from "./workspace.mjs"

const systems = [dbutils, eventlet, psycopg2, psycopgPool, others]
const rows = systems.flatMap((system) => system.rows)

const parse = (test) => {
  const [, member, name, title] = /^([\w-]+)\/([\w/-]+): (.+)$/s.exec(test) ?? []
  return { file: member === undefined ? undefined : `packages/${member}/test/${name}.test.ts`, title }
}

/** the titles of a test file, as patterns: those that are made up at run time have holes */
const titlesOf = (file) => {
  const source = Fs.readFileSync(Path.join(root, file), "utf8")
  return [...source.matchAll(/\bit(?:\.\w+)*\(\s*(["`])((?:\\.|(?!\1).)*)\1/gs)].map(([, quote, text]) => {
    const parts = quote === "`" ? text.split(/\$\{(?:[^{}]|\{[^}]*\})*\}/) : [text]
    const escaped = parts.map((part) => part.replace(/\\(.)/g, "$1").replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    return new RegExp(`^${escaped.join(".*")}$`, "s")
  })
}

const exists = (file) => file !== undefined && Fs.existsSync(Path.join(root, file))

const titles = new Map()
const titlesIn = (file) => titles.get(file) ?? titles.set(file, titlesOf(file)).get(file)

const complaints = []
const named = new Map()

for (const { kind, reason, tests, theirs } of rows) {
  if (kind === "left out" ? !reason : tests.length === 0) complaints.push(`${theirs}: no test and no reason`)
  for (const test of tests) {
    const { file, title } = parse(test)
    if (!exists(file)) complaints.push(`${theirs}: there is no ${file ?? test}`)
    else if (!titlesIn(file).some((pattern) => pattern.test(title))) {
      complaints.push(`${theirs}: ${file} has no test "${title}"`)
    } else named.set(file, [...(named.get(file) ?? []), title])
  }
}
for (const [index, { theirs }] of rows.entries()) {
  if (rows.findIndex((row) => row.theirs === theirs) !== index) complaints.push(`${theirs}: is there twice`)
}
for (const member of Fs.readdirSync(Path.join(root, "packages"))) {
  const directory = Path.join("packages", member, "test", "parity")
  if (!Fs.existsSync(Path.join(root, directory))) continue
  for (const name of Fs.readdirSync(Path.join(root, directory))) {
    const file = Path.join(directory, name)
    for (const pattern of titlesIn(file)) {
      if (!named.get(file)?.some((title) => pattern.test(title))) {
        complaints.push(`${file}: no row names the test ${pattern.source}`)
      }
    }
  }
}

const explained = () => {
  for (const complaint of complaints) process.stdout.write(`${complaint}\n`)
  const count = (kind) => rows.filter((row) => row.kind === kind).length
  process.stdout.write(
    `${count("behaviour")} behaviours, ${count("bug")} bugs, ${count("left out")} left out with a reason; ` +
      `${complaints.length} unexplained\n`
  )
}

/** what became of each test, by file and title */
const results = async () => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "dbpool-parity-"))
  try {
    const resultFile = Path.join(directory, "result.json")
    const vitest = Path.join(Path.dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs")
    const files = [...named.keys()].map((file) => Path.join(root, file))
    await run(process.execPath, [vitest, "run", "--reporter=json", `--outputFile=${resultFile}`, ...files], {
      cwd: root,
      quiet: true
    })
    const { testResults } = JSON.parse(Fs.readFileSync(resultFile, "utf8"))
    const states = new Map()
    for (const { assertionResults, name } of testResults) {
      for (const { status, title } of assertionResults) {
        const key = `${Path.relative(root, name)}: ${title}`
        // a title that is there more than once has passed when all of them have
        if (states.get(key) === undefined || status !== "passed") states.set(key, status)
      }
    }
    return states
  } finally {
    Fs.rmSync(directory, { recursive: true, force: true })
  }
}

const cell = (text) => text.replaceAll("|", "\\|")

const table = (states) => {
  let failed = 0
  for (const { rows, system } of systems) {
    process.stdout.write(`\n## ${system}\n\n| theirs | ours | test | passing |\n|---|---|---|---|\n`)
    for (const { kind, ours, reason, tests, theirs } of rows) {
      const shown = kind === "bug" ? `bug: ${theirs}` : theirs
      if (kind === "left out") {
        process.stdout.write(`| ${cell(shown)} | left out: ${cell(reason)} | | |\n`)
        continue
      }
      const outcomes = tests.map((test) => {
        const { file, title } = parse(test)
        return states.get(`${file}: ${title}`) ?? "not run"
      })
      if (outcomes.some((outcome) => outcome !== "passed")) failed++
      process.stdout.write(
        `| ${cell(shown)} | ${cell(ours)} | ${cell(tests.join("<br>"))} | ${
          outcomes.map((outcome) => outcome === "passed" ? "yes" : `**${outcome}**`).join("<br>")
        } |\n`
      )
    }
  }
  process.stdout.write(`\n${failed === 0 ? "All tests pass." : `${failed} rows have tests that do not pass.`}\n`)
  return failed
}

requireNode()
if (process.argv.includes("--check")) {
  explained()
  process.exit(complaints.length === 0 ? 0 : 1)
}
if (!await install()) process.exit(1)
const failed = table(await results())
explained()
process.exit(failed + complaints.length === 0 ? 0 : 1)
