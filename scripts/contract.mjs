/**
 * `pnpm contract ARGS`: the contract suite as a table, on a server of its own. `--peer` tries the official client.
 */
import { createRequire } from "node:module"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import { install, requireNode, root, run } from "./workspace.mjs"

requireNode()
if (!await install()) {
  process.exit(1)
}
const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href
const main = Path.join(root, "packages", "sql-pg", "test", "contract", "main.ts")
const { code } = await run(process.execPath, ["--import", tsx, main, ...process.argv.slice(2)], {})
process.exit(code)
