/** A reader of the pages must find every option, and none that there is not. */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import { fileURLToPath } from "node:url"

const read = (path: string) => Fs.readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), "utf8")

const quoted = (text: string) => [...text.matchAll(/`(\w+)`/g)].map(([, name]) => name!)

const dialects = [
  {
    page: "docs/mysql.md",
    source: "packages/sql-mysql2/src/MysqlPoolConfig.ts",
    paragraph: "For MySQL and MariaDB also",
    presets: []
  },
  {
    page: "docs/lindorm.md",
    source: "packages/sql-lindorm/src/LindormPoolConfig.ts",
    paragraph: "For LindormTable and other Avatica servers also",
    // options of every pool that have other defaults there
    presets: ["idleTimeout", "keepaliveInterval"]
  }
]

for (const { page, paragraph, presets, source } of dialects) {
  const [, name] = /(\w+)\.ts$/.exec(source)!
  const declared = read(source).split(`export interface ${name!.replace("Config", "Options")}<`)[1]!.split("\n}")[0]!
  const options = [...declared.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, option]) => option!)

  describe(page, () => {
    it("lists every option, and no other", () => {
      assert.isAbove(options.length, 10)
      const table = read(page).split("\n## Options")[1]!.split("\n## ")[0]!
      const listed = [...table.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, names]) => quoted(names!))
      assert.sameMembers(listed, [...options, ...presets])
    })

    it("has them in the README, too", () => {
      assert.sameMembers(quoted(read("README.md").split(paragraph)[1]!.split("\n\n")[0]!), options)
    })
  })
}
