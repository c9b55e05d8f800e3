import * as MariaServer from "@dbpool/testing/MariaServer"
import * as PgServer from "@dbpool/testing/PgServer"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as FileSystem from "@effect/platform/FileSystem"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { run } from "./run.js"

const directory = fileURLToPath(new URL("../../../docs/migrating", import.meta.url))

const guides = readdirSync(directory).map((file) => ({ file, text: readFileSync(`${directory}/${file}`, "utf8") }))

/** the programs of a guide, each with what it prints */
const programs = guides.flatMap(({ file, text }) =>
  [...text.matchAll(/```ts run\n(.*?)```\s+```text\n(.*?)```/gs)].map(([, program, printed], index) => ({
    name: `${file} ${index + 1}`,
    program: program!,
    printed: printed!
  }))
)

layer(Layer.mergeAll(PgServer.layerTest(), MariaServer.layerTest(), NodeContext.layer), { excludeTestServices: true })(
  "the guides to migrating",
  (it) => {
    it.effect("have programs, and say of each what it prints", () =>
      Effect.sync(() => {
        for (const { file, text } of guides) {
          const inside = programs.filter(({ name }) => name.startsWith(`${file} `))
          assert.isNotEmpty(inside, file)
          assert.lengthOf(inside, text.split("```ts run").length - 1, file)
        }
        assert.lengthOf(guides, 7)
      }))

    for (const { name, printed, program } of programs) {
      it.scoped(`${name} runs, and prints what it says`, () =>
        Effect.gen(function*() {
          const fs = yield* FileSystem.FileSystem
          const home = yield* fs.makeTempDirectoryScoped({
            directory: fileURLToPath(new URL("..", import.meta.url)),
            prefix: ".snippets-"
          })
          yield* fs.writeFileString(`${home}/program.ts`, program)
          const { url: pg } = yield* PgServer.PgServer
          const { url: mysql } = yield* MariaServer.MariaServer
          const output = yield* run(`${home}/program.ts`, [], { DATABASE_URL: pg, MYSQL_URL: mysql })
          assert.strictEqual(output.stdout, printed, output.stderr)
        }))
    }
  }
)
