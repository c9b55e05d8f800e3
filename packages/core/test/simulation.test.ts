import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

/** `pnpm sim`, as a user runs it; fails with what it printed */
const sim = (...args: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.promise(() =>
    promisify(execFile)(process.execPath, [fileURLToPath(new URL("sim/main.mjs", import.meta.url)), ...args]).then(
      ({ stdout }) => stdout,
      (error: { readonly stdout: string }) => `failed: ${error.stdout}`
    )
  )

describe("the simulation", () => {
  it.live("keeps all ten rules for 3,000 seeds, and takes every transition of the states", () =>
    Effect.gen(function*() {
      const printed = yield* sim("--seeds", "3000")
      assert.match(printed, /\n3000 seeds, .* 0 failed/, printed)
      const transitions = printed.split("\n").filter((line) => / -> /.test(line) && !line.startsWith("seldom"))
      assert.lengthOf(transitions, 18, printed)
    }))

  it.live("replays a seed step by step", () =>
    Effect.gen(function*() {
      const trace = (printed: string) => /trace (\w+)/.exec(printed)?.[1]
      const first = yield* sim("--seed", "7")
      assert.isString(trace(first))
      assert.strictEqual(trace(yield* sim("--seed", "7")), trace(first))
      assert.notStrictEqual(trace(yield* sim("--seed", "8")), trace(first))
    }))

  it.live("finds every deliberate bug", () =>
    Effect.gen(function*() {
      const printed = yield* sim("--mutants")
      assert.match(printed, /(\d+) of \1 mutants found/, printed)
    }))
})
