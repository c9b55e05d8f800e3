/**
 * Checks that every export of a public module says what it is: a text, `@since`, `@category`, and in the packages of
 * `exemplary` an `@example`, which `check-snippets.mjs` type-checks. An index only re-exports and needs `@since` alone.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import ts from "typescript"
import { root } from "./workspace.mjs"

const exemplary = new Set(["core"])

/** the doc comments that count: that of the statement, and of each name in `export { ... } from` */
const exportsOf = (module) =>
  module.statements.flatMap((statement) => {
    if (ts.isExportDeclaration(statement)) {
      return statement.exportClause !== undefined && ts.isNamedExports(statement.exportClause)
        ? statement.exportClause.elements.map((node) => ({ node, name: node.name.text }))
        : [{ node: statement, name: "*" }]
    }
    const exported = ts.canHaveModifiers(statement) &&
      ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
    if (!exported) return []
    const names = ts.isVariableStatement(statement) ? statement.declarationList.declarations : [statement]
    return names.map(({ name }) => ({ node: statement, name: name.getText(module) }))
  })

const missing = (module, node, examples) => {
  const comment = ts.getLeadingCommentRanges(module.text, node.getFullStart())?.at(-1)
  const text = comment === undefined ? "" : module.text.slice(comment.pos, comment.end)
  if (!text.startsWith("/**")) return ["a doc comment"]
  const described = text.split("\n").some((line) => /^\s*(\/\*)?\*\s+[^@\s]/.test(line))
  return [
    described ? "" : "a description",
    text.includes("@since ") ? "" : "@since",
    text.includes("@category ") ? "" : "@category",
    examples && !text.includes("@example") ? "@example" : ""
  ].filter((what) => what !== "")
}

let checked = 0
const complaints = []

for (const name of Fs.readdirSync(Path.join(root, "packages"))) {
  const directory = Path.join(root, "packages", name)
  if (JSON.parse(Fs.readFileSync(Path.join(directory, "package.json"), "utf8")).private) continue
  for (const file of Fs.readdirSync(Path.join(directory, "src")).filter((file) => /^[A-Z].*\.ts$/.test(file))) {
    const path = Path.join(directory, "src", file)
    const module = ts.createSourceFile(path, Fs.readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true)
    for (const { name: exported, node } of exportsOf(module)) {
      checked++
      const what = missing(module, node, exemplary.has(name))
      if (what.length === 0) continue
      const { line } = module.getLineAndCharacterOfPosition(node.getStart())
      complaints.push(`${Path.relative(root, path)}:${line + 1} ${exported} lacks ${what.join(", ")}`)
    }
  }
}

for (const complaint of complaints) process.stdout.write(`${complaint}\n`)
process.stdout.write(`${checked} exports checked, ${complaints.length} lack something\n`)
process.exit(complaints.length === 0 ? 0 : 1)
