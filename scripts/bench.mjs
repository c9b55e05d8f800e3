/**
 * `pnpm bench ARGS`: this pool beside its peers. Bundled, because what runs TypeScript as it is slows our own code down:
 * only `@dbpool`'s is TypeScript here. Peers and Effect come from where they are installed, as in a user's program.
 */
import * as Fs from "node:fs/promises"
import { createRequire } from "node:module"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import { install, requireNode, root, run } from "./workspace.mjs"

requireNode()
if (!await install()) {
  process.exit(2)
}
const { build } = createRequire(import.meta.url)("esbuild")
const asked = {}
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
    setup: ({ onLoad, onResolve, resolve }) => {
      // a module of ours may look for its neighbours
      onLoad({ filter: /packages.*\.ts$/ }, async ({ path }) => ({
        contents: (await Fs.readFile(path, "utf8")).replaceAll(
          "import.meta.url",
          JSON.stringify(pathToFileURL(path).href)
        ),
        loader: "ts"
      }))
      onResolve({ filter: /^[^./]/ }, async ({ kind, path, pluginData, resolveDir }) => {
        const isOurs = kind === "entry-point" || path.startsWith("@dbpool/")
        if (isOurs || path.startsWith("node:") || pluginData === asked) return undefined
        // from where it is imported: the bundle lies elsewhere, and has other neighbours
        const found = await resolve(path, { kind, resolveDir, pluginData: asked })
        return found.external ? found : { path: pathToFileURL(found.path).href, external: true }
      })
    }
  }]
})
const { code } = await run(process.execPath, [outfile, ...process.argv.slice(2)], {})
process.exit(code)
