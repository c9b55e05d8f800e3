import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { run } from "./run.js"

describe("the LindormTable guide's program", () => {
  it.scopedLive("prints the guide's rows", () =>
    Effect.gen(function*() {
      const output = yield* run("src/lindorm.ts", [], { LINDORM_URL: "" })
      const rows = [
        "[ [ 'i001', 'n001', 'a001' ], [ 'i002', 'n002', 'a002' ] ]",
        "[ 'i001', 'n001', 'a001' ]",
        "[ 'i001', 'n001', 'a001' ]"
      ]
      assert.deepStrictEqual(output.stdout.trim().split("\n"), rows, output.stderr)
      assert.strictEqual(output.code, 0)
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scopedLive("says what is wrong when there is no such server", () =>
    Effect.gen(function*() {
      const output = yield* run("src/lindorm.ts", [], {
        LINDORM_URL: "http://127.0.0.1:1",
        LINDORM_PASSWORD: "secret"
      })
      assert.strictEqual(output.code, 1)
      assert.include(output.stdout + output.stderr, "ECONNREFUSED 127.0.0.1:1")
      assert.notInclude(output.stdout + output.stderr, "secret")
    }).pipe(Effect.provide(NodeContext.layer)))
})
