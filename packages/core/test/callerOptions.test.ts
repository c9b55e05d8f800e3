import type { AcquireOptions } from "@dbpool/core/AcquireOptions"
import { within } from "@dbpool/core/AcquireOptions"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { failsWith, hold, makePool, settle, start, use } from "./support.js"

/** what a JavaScript caller, or a value read from somewhere, may hand over */
const wrong: ReadonlyArray<readonly [option: string, value: unknown, shown: string]> = [
  ["timeout", -5, "-5"],
  ["timeout", NaN, "NaN"],
  ["timeout", -1n, "-1"],
  ["timeout", "-1 second", `"-1 second"`],
  ["timeout", "soon", `"soon"`],
  ["timeout", {}, "{}"],
  ["whenExhausted", "block", `"block"`]
]

describe("a caller's own option", () => {
  for (const [option, value, shown] of wrong) {
    const options = { [option]: value } as AcquireOptions

    it.scoped(`${option} ${shown} is refused by name`, () =>
      Effect.gen(function*() {
        const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
        yield* hold(pool)
        for (const call of [use(pool, options), within(use(pool), options)]) {
          const error = failsWith(yield* Effect.exit(call), "InvalidPoolConfig")
          assert.strictEqual(error.option, option)
          assert.include(error.message, `not ${shown}`)
        }
        assert.strictEqual((yield* pool.stats).refused.InvalidPoolConfig, 2)
      }))

    it.scoped(`${option} ${shown} is refused by name when it waits for its turn in a session`, () =>
      Effect.gen(function*() {
        const pool = yield* makePool(yield* SimulatedServer.make)
        yield* pool.session(Effect.gen(function*() {
          yield* start(pool.use(() => Effect.never))
          assert.strictEqual(failsWith(yield* Effect.exit(use(pool, options)), "InvalidPoolConfig").option, option)
        }))
        yield* settle
      }))
  }

  it.scoped("is not looked at by one who need not wait", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make)
      yield* use(pool)
      assert.strictEqual(yield* use(pool, { timeout: NaN }), 1)
    }))
})
