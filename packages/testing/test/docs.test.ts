import * as PoolRules from "@dbpool/testing/PoolRules"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"

const read = (path: string) => Effect.promise(() => readFile(new URL(path, import.meta.url), "utf8"))

describe("the documentation", () => {
  it.effect("shows an example that is run as a test", () =>
    Effect.gen(function*() {
      const shown = (yield* read("../../../docs/testing.md")).split("```ts\n")[1]!.split("```")[0]!
      assert.strictEqual(shown, yield* read("./example.test.ts"))
    }))

  it.effect("has as many rules as are judged", () =>
    Effect.gen(function*() {
      const section = (yield* read("../../../docs/engine.md")).split("## Rules")[1]!.split("\n## ")[0]!
      const listed = [...section.matchAll(/^(\d+)\. /gm)].map(([, rule]) => rule!)
      assert.deepStrictEqual(listed, Object.keys(PoolRules.rules))
    }))
})
