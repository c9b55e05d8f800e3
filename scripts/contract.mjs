/**
 * `pnpm contract DIALECT`: the contract suite as a table, on a server of its own. The dialects are `pg`, `mysql2` and
 * `lindorm`; what follows a hyphen (`pg-15`, `mysql2-8`, `pg-peer`) is for the package's `test/contract/main.ts`.
 */
import { createRequire } from "node:module"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import { install, requireNode, root, run } from "./workspace.mjs"

requireNode()
const words = process.argv.slice(2)
const [name, ...options] = words[0]?.startsWith("--") === false ? words : ["pg", ...words]
const [dialect] = name.split("-")
if (!["pg", "mysql2", "lindorm"].includes(dialect)) {
  process.stderr.write(`There is no dialect "${dialect}", but pg, mysql2 and lindorm\n`)
  process.exit(1)
}
if (!await install()) {
  process.exit(1)
}
const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href
const main = Path.join(root, "packages", `sql-${dialect}`, "test", "contract", "main.ts")
const { code } = await run(process.execPath, ["--import", tsx, main, name, ...options], {})
process.exit(code)
