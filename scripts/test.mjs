/**
 * `npm test`: everything that must hold, from a fresh clone. `npm test -- PATTERN` runs only the test files whose path
 * contains the pattern. The last line counts: a test is one, and so is each step that is not a test.
 */
import * as Fs from "node:fs"
import { createRequire } from "node:module"
import * as Os from "node:os"
import * as Path from "node:path"
import { install, requireNode, root, run } from "./workspace.mjs"

const require = createRequire(import.meta.url)
const inCi = !["", "0", "false"].includes(process.env.CI ?? "")
const tally = { passed: 0, failed: 0, skipped: [] }

const finish = () => {
  const { failed, passed, skipped } = tally
  for (const { name, reason } of skipped) {
    process.stdout.write(`skipped: ${name}${reason === undefined ? "" : ` (${reason})`}\n`)
  }
  const skipFails = inCi && skipped.length > 0
  if (skipFails) {
    process.stdout.write("In CI a skipped test is a failure.\n")
  }
  process.stdout.write(
    `${passed} passed, ${failed} failed${skipped.length === 0 ? "" : `, ${skipped.length} skipped`}\n`
  )
  process.exit(failed > 0 || skipFails ? 1 : 0)
}

/** The file that a package's `bin` names, so that no shell and no PATH is needed to run it. */
const binary = (packageName, name) => {
  const manifest = findManifest(packageName)
  const { bin } = JSON.parse(Fs.readFileSync(manifest, "utf8"))
  return Path.join(Path.dirname(manifest), typeof bin === "string" ? bin : bin[name])
}

const findManifest = (packageName) => require.resolve(`${packageName}/package.json`)

const node = async (title, args) => {
  process.stdout.write(`\n> ${title}\n`)
  const { code, signalled } = await run(process.execPath, args, { cwd: root })
  if (signalled !== undefined) {
    process.exit(128 + Os.constants.signals[signalled])
  }
  return code
}

const step = async (title, args) => {
  const code = await node(title, args)
  if (code === 0) {
    tally.passed++
  } else {
    tally.failed++
    process.stdout.write(`${title}: failed with exit code ${code}\n`)
  }
}

/**
 * Vitest matches a pattern within each package; here it may name the package too. What matches no file may still be an
 * option of vitest's.
 */
const filters = (patterns) => {
  const files = Fs.readdirSync(Path.join(root, "packages")).flatMap((name) => {
    const directory = Path.join("packages", name, "test")
    return Fs.existsSync(Path.join(root, directory))
      ? Fs.readdirSync(Path.join(root, directory), { recursive: true }).map((file) => Path.join(directory, file))
      : []
  }).filter((file) => file.endsWith(".test.ts"))
  return patterns.flatMap((pattern) => {
    const matching = files.filter((file) => file.includes(pattern))
    return matching.length === 0 ? [pattern] : matching.map((file) => Path.join(root, file))
  })
}

const tests = async (patterns) => {
  const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "dbpool-test-run-"))
  const resultFile = Path.join(directory, "result.json")
  process.once("exit", () => Fs.rmSync(directory, { recursive: true, force: true }))
  process.env.DBPOOL_TEST_RESULT = resultFile
  const code = await node("vitest", [
    binary("vitest", "vitest"),
    "run",
    // Else a forgotten `.only` would hide tests everywhere but in CI.
    "--allowOnly=false",
    "--reporter=default",
    `--reporter=${Path.join(root, "scripts", "vitest-reporter.mjs")}`,
    ...filters(patterns)
  ])
  const result = Fs.existsSync(resultFile)
    ? JSON.parse(Fs.readFileSync(resultFile, "utf8"))
    : { passed: 0, failed: 0, skipped: [] }
  tally.passed += result.passed
  tally.failed += result.failed
  tally.skipped = result.skipped
  if (code !== 0 && result.failed === 0) {
    tally.failed++
    process.stdout.write(`vitest: failed with exit code ${code}, though no test did\n`)
  }
}

requireNode()
if (!await install()) {
  tally.failed++
  finish()
}
tally.passed++
await step("type check", [binary("typescript", "tsc"), "-b"])
await step("lint", [binary("eslint", "eslint"), "."])
await step("exports", [Path.join(root, "scripts", "check-exports.mjs")])
await step("snippets", [Path.join(root, "scripts", "check-snippets.mjs")])
await step("parity", [Path.join(root, "scripts", "parity.mjs"), "--check"])
await tests(process.argv.slice(2))
finish()
