import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import { fileURLToPath } from "node:url"

const read = (path: string) => Fs.readFileSync(fileURLToPath(new URL(path, import.meta.url)), "utf8")

const options = [
  ...read("../src/PgPoolConfig.ts").split("export interface PgPoolOptions")[1]!.split("\n}")[0]!
    .matchAll(/^ {2}readonly (\w+)\?:/gm)
].map(([, option]) => option!)

describe("docs/postgres.md", () => {
  it("lists every option, and no other", () => {
    const table = read("../../../docs/postgres.md").split("## Options")[1]!.split("\n## ")[0]!
    const listed = [...table.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, names]) =>
      [...names!.matchAll(/`(\w+)`/g)].map(([, option]) => option!)
    )
    assert.isAbove(options.length, 20)
    assert.sameMembers(listed, options)
  })
})

describe("the README", () => {
  it("names every option for PostgreSQL", () => {
    const paragraph = read("../../../README.md").split("For PostgreSQL also")[1]!.split("\n\n")[0]!
    assert.sameMembers([...paragraph.matchAll(/`(\w+)`/g)].map(([, option]) => option!), options)
  })
})
