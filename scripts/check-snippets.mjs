/**
 * Type-checks the code that the documentation shows: every fenced `ts` block of the README, of the guides and of the
 * doc comments in the sources. Each becomes a module of its own in the examples package, which sees all the others.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import ts from "typescript"
import { root } from "./workspace.mjs"

const home = Path.join(root, "packages", "examples")
const directory = Path.join(home, ".snippets")

const filesBelow = (path, extension) =>
  Fs.existsSync(path)
    ? Fs.readdirSync(path, { recursive: true })
      .map((name) => Path.join(path, name))
      .filter((file) => file.endsWith(extension) && !file.includes(`${Path.sep}node_modules${Path.sep}`))
      .sort()
    : []

const packages = Fs.readdirSync(Path.join(root, "packages")).map((name) => Path.join(root, "packages", name))

const markdown = [
  Path.join(root, "README.md"),
  ...filesBelow(Path.join(root, "docs"), ".md"),
  ...packages.map((path) => Path.join(path, "README.md"))
].filter((file) => Fs.existsSync(file))

const sources = packages.flatMap((path) => filesBelow(Path.join(path, "src"), ".ts"))

/** The lines of a Markdown file, or those of a source's doc comments with everything else blank. */
const documentation = (file) => {
  const lines = Fs.readFileSync(file, "utf8").split(/\r?\n/)
  if (file.endsWith(".md")) {
    return lines
  }
  let inside = false
  return lines.map((line) => {
    const begins = /^\s*\/\*\*/.test(line)
    const here = inside || begins
    inside = here && !line.includes("*/")
    return here && !begins ? line.replace(/^\s*\*(?!\/) ?/, "").replace(/\s*\*\/$/, "") : ""
  })
}

const snippetsOf = (file) => {
  const snippets = []
  let open
  documentation(file).forEach((line, index) => {
    const fence = /^(\s*)(`{3,})\s*(.*)$/.exec(line)
    if (open === undefined) {
      if (fence !== null) {
        const [language, ...attributes] = fence[3].split(/\s+/)
        open = { file, fence: fence[2], indent: fence[1].length, language, attributes, line: index + 2, code: [] }
      }
    } else if (fence !== null && fence[3] === "" && fence[2].length >= open.fence.length) {
      snippets.push(open)
      open = undefined
    } else {
      open.code.push(line.slice(Math.min(open.indent, line.length - line.trimStart().length)))
    }
  })
  if (open !== undefined) {
    throw new Error(`${Path.relative(root, file)}:${open.line - 1}: this code block is never closed`)
  }
  return snippets.filter(({ language }) => language === "ts")
}

const compilerOptions = () => {
  const path = Path.join(root, "tsconfig.base.json")
  const { config } = ts.readConfigFile(path, ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, home, path)
  return {
    ...options,
    composite: false,
    incremental: false,
    declaration: false,
    declarationMap: false,
    sourceMap: false,
    noUnusedLocals: false,
    noUnusedParameters: false,
    noEmit: true,
    types: ["node"]
  }
}

const all = [...markdown, ...sources].flatMap(snippetsOf)
const checked = all.filter(({ attributes }) => !attributes.includes("no-check"))

Fs.rmSync(directory, { recursive: true, force: true })
Fs.mkdirSync(directory, { recursive: true })

/** The header is one line, so that line n of the snippet is line n + 1 of its module. */
const modules = new Map(checked.map((snippet) => {
  const source = Path.relative(root, snippet.file)
  const path = Path.join(directory, `${source.replace(/[^\w.-]+/g, "-")}-${snippet.line}.ts`)
  Fs.writeFileSync(path, [`// ${source}:${snippet.line}`, ...snippet.code, ""].join("\n"))
  return [path, snippet]
}))

const program = ts.createProgram({ rootNames: [...modules.keys()], options: compilerOptions() })
let failures = 0

for (const diagnostic of program.getOptionsDiagnostics()) {
  failures++
  process.stdout.write(`${ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n  ")}\n`)
}
for (const [path, snippet] of modules) {
  const module = program.getSourceFile(path)
  for (const diagnostic of [...program.getSyntacticDiagnostics(module), ...program.getSemanticDiagnostics(module)]) {
    failures++
    const { line } = module.getLineAndCharacterOfPosition(diagnostic.start)
    process.stdout.write(
      `${Path.relative(root, snippet.file)}:${snippet.line + line - 1} TS${diagnostic.code}: ${
        ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n  ")
      }\n`
    )
  }
}

const left = all.length - checked.length
process.stdout.write(
  `${checked.length} snippets checked, ${failures} errors${left === 0 ? "" : `, ${left} marked no-check`}\n`
)
process.exit(failures === 0 ? 0 : 1)
