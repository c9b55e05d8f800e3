import * as SqlPoolConfig from "@dbpool/sql/SqlPoolConfig"
import * as PgServer from "@dbpool/testing/PgServer"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as FileSystem from "@effect/platform/FileSystem"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { fileURLToPath } from "node:url"
import { run } from "./run.js"

const readme = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => fs.readFileString(fileURLToPath(new URL("../../../README.md", import.meta.url)))
)

layer(Layer.mergeAll(PgServer.layerTest(), NodeContext.layer), { excludeTestServices: true })("the README", (it) => {
  it.scoped("has a first program that works when pasted", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const program = (yield* readme).split("```ts\n")[1]!.split("```")[0]!
      const directory = yield* fs.makeTempDirectoryScoped({
        directory: fileURLToPath(new URL("..", import.meta.url)),
        prefix: ".snippets-"
      })
      yield* fs.writeFileString(`${directory}/first.ts`, program)
      const { url } = yield* PgServer.PgServer
      const output = yield* run(`${directory}/first.ts`, [], { DATABASE_URL: url })
      assert.strictEqual(output.stdout, "{ row: { answer: 42 }, open: 1 }\n", output.stderr)
    }))

  it.effect("lists every option of the pool, and no other", () =>
    Effect.gen(function*() {
      const section = (yield* readme).split("## Options")[1]!.split("## Errors")[0]!
      const listed = [...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, option]) => option!)
      const config = yield* SqlPoolConfig.resolve({})
      assert.sameMembers(listed, [...Object.keys(config), "setup", "reset"])
    }))
})
