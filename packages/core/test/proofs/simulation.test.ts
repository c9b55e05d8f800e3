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
    promisify(execFile)(process.execPath, [fileURLToPath(new URL("../sim/main.mjs", import.meta.url)), ...args]).then(
      (printed) => ({ code: 0, ...printed }),
      (failed: Run) => failed
    )
  )

const trace = ({ stdout }: Run): string | undefined => /, trace (\w+)/.exec(stdout)?.[1]

/** what was printed, but for how long it took */
const printed = ({ stdout }: Run): string => stdout.replace(/[\d.]+ s$/m, "")

// thousands of worlds take most of a minute, and longer where others work, too
describe("the simulation", { timeout: 600_000 }, () => {
  it.live("keeps the rules for 3,000 seeds of 200 steps or more, and takes every transition of the states", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* sim("--seeds", "3000")
      assert.strictEqual(code, 0, stdout)
      const [, fewest] = /\n3000 seeds, \d+ steps \((\d+) to \d+ a seed\), .* 0 failed/.exec(stdout) ?? []
      assert.isAtLeast(Number(fewest), 200, stdout)
      const transitions = [...stdout.matchAll(/^\w+ -> \w+ +(\d+)$/gm)].map(([, times]) => Number(times))
      assert.lengthOf(transitions, 19, stdout)
      assert.isAbove(Math.min(...transitions), 0, stdout)
    }))

  it.live("makes the same history of a seed every time, and another of every seed", () =>
    Effect.gen(function*() {
      const first = yield* sim("--seed", "7")
      assert.isString(trace(first))
      assert.strictEqual(trace(yield* sim("--seed", "7")), trace(first))
      assert.notStrictEqual(trace(yield* sim("--seed", "8")), trace(first))
      assert.notStrictEqual(trace(yield* sim("--seed", "7", "--steps", "2000")), trace(first))
    }))

  it.live("shows a failure's history, and says how to see it again", () =>
    Effect.gen(function*() {
      const campaign = yield* sim("--mutant", "hand-off to a waiter", "--seeds", "300")
      assert.strictEqual(campaign.code, 1)
      const [, seed, failure, hash] = /^seed (\d+) failed: (.*) \(trace (\w+)\)$/m.exec(campaign.stdout) ?? []
      assert.match(failure ?? "", /^rule 7: /)
      const [, options] = /^to see it again: pnpm sim (.*)$/m.exec(campaign.stdout) ?? []
      const alone = ["--seed", seed!, "--mutant", "hand-off to a waiter that has just been interrupted"]
      assert.strictEqual(options, `--seed ${seed} --mutant "${alone[3]}"`)
      const again = yield* sim(...alone)
      assert.strictEqual(again.code, 1)
      assert.include(again.stdout, `seed ${seed} failed: ${failure} (trace ${hash})`)
      // what it was about is told before
      assert.include(again.stdout.slice(0, again.stdout.indexOf(" failed: ")), / socket \d+ /.exec(failure!)![0].trim())
      assert.strictEqual(printed(yield* sim(...alone)), printed(again))
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
      [
        ["--mutant", "no such bug"],
        "--mutant must be part of the name of one mutant, and 0 contain \"no such bug\"."
      ],
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
