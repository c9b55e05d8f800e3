/**
 * `npm start -- ARGS`: the example program, from a fresh clone.
 */
import { createRequire } from "node:module"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import { install, requireNode, root, run } from "./workspace.mjs"

requireNode()
if (!await install()) {
  process.exit(1)
}
const examples = Path.join(root, "packages", "examples")
const tsx = pathToFileURL(createRequire(Path.join(examples, "package.json")).resolve("tsx")).href
const main = Path.join(examples, "src", "main.ts")
const { code } = await run(process.execPath, ["--import", tsx, main, ...process.argv.slice(2)], {})
process.exit(code)
