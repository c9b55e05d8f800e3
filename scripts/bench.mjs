/**
 * `pnpm bench ARGS`: this pool beside its peers. Bundled, because what runs TypeScript as it is slows our own code down:
 * only `@dbpool`'s is TypeScript here. Peers and Effect come from where they are installed, as in a user's program.
 */
import { createRequire } from "node:module"
import * as Path from "node:path"
import { install, requireNode, root, run } from "./workspace.mjs"

requireNode()
if (!await install()) {
  process.exit(2)
}
const { build } = createRequire(import.meta.url)("esbuild")
const benchmarks = Path.join(root, "packages", "benchmarks")
const outfile = Path.join(benchmarks, "build", "bench.mjs")
await build({
  entryPoints: [Path.join(benchmarks, "src", "main.ts")],
  outfile,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: "linked",
  logLevel: "error",
  plugins: [{
    name: "packages",
    setup: ({ onResolve }) =>
      onResolve(
        { filter: /^[^./]/ },
        ({ kind, path }) => kind === "entry-point" || path.startsWith("@dbpool/") ? undefined : { path, external: true }
      )
  }]
})
const { code } = await run(process.execPath, [outfile, ...process.argv.slice(2)], {})
process.exit(code)
