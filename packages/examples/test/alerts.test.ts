import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import { promtool } from "./promtool.js"

const rules = (name: string) => fileURLToPath(new URL(`../../../docs/observability/${name}`, import.meta.url))

describe("the alert rules of docs/observability.md", () => {
  it.scopedLive("are valid", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* promtool(["check", "rules", rules("alerts.yml")])
      assert.strictEqual(code, 0, stdout + stderr)
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scopedLive("ring when they should, and not when they should not", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* promtool(["test", "rules", rules("alerts.test.yml")])
      assert.strictEqual(code, 0, stdout + stderr)
    }).pipe(Effect.provide(NodeContext.layer)))
})
