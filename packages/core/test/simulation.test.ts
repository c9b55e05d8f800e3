import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

interface Run {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** `pnpm sim`, as a user runs it */
const sim = (...args: ReadonlyArray<string>): Effect.Effect<Run> =>
  Effect.promise(() =>
    promisify(execFile)(process.execPath, [fileURLToPath(new URL("sim/main.mjs", import.meta.url)), ...args]).then(
      (printed) => ({ code: 0, ...printed }),
      (failed: Run) => failed
    )
  )

const trace = ({ stdout }: Run): string | undefined => /trace (\w+)/.exec(stdout)?.[1]

describe("the simulation", () => {
  it.live("keeps all ten rules for 3,000 seeds of 200 steps or more, and takes every transition of the states", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* sim("--seeds", "3000")
      assert.strictEqual(code, 0, stdout)
      const [, fewest] = /\n3000 seeds, \d+ steps \(at least (\d+) a seed\), .* 0 failed/.exec(stdout) ?? []
      assert.isAtLeast(Number(fewest), 200, stdout)
      const transitions = stdout.split("\n").filter((line) => / -> /.test(line) && !line.startsWith("seldom"))
      assert.lengthOf(transitions, 18, stdout)
    }))

  it.live("replays a seed step by step", () =>
    Effect.gen(function*() {
      const first = yield* sim("--seed", "7")
      assert.isString(trace(first))
      assert.strictEqual(trace(yield* sim("--seed", "7")), trace(first))
      assert.notStrictEqual(trace(yield* sim("--seed", "8")), trace(first))
      // the same seed among others, and for longer
      assert.notStrictEqual(trace(yield* sim("--seed", "7", "--steps", "2000")), trace(first))
    }))

  it.live("finds every deliberate bug", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* sim("--mutants")
      assert.strictEqual(code, 0, stdout)
      assert.match(stdout, /(\d+) of \1 mutants found/, stdout)
    }))

  for (
    const [args, sentence] of [
      [["--seeds", "x"], "--seeds must be a whole number above zero, not \"x\"."],
      [["--seed=-1"], "--seed must be a whole number above zero, not \"-1\"."],
      [["--seed", "-1"], "Option '--seed' argument is ambiguous."],
      [["--steps", "1.5"], "--steps must be a whole number above zero, not \"1.5\"."],
      [["--actions", "12"], "Unknown option '--actions'."],
      [["--mutants", "--seed", "3"], "--mutants always begins with the first seed."]
    ] as const
  ) {
    it.live(`refuses ${args.join(" ")} with a sentence`, () =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* sim(...args)
        assert.deepStrictEqual({ code, stderr, stdout }, { code: 1, stderr: `${sentence}\n`, stdout: "" })
      }))
  }
})
