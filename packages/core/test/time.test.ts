import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { since } from "../src/internal/time.js"

describe("the pool's time", () => {
  it.effect("is that of the clock in place", () =>
    Effect.gen(function*() {
      const now = since(yield* Effect.clock)
      yield* TestClock.adjust("1500 millis")
      assert.strictEqual(now(), 1500)
    }))

  it.live("goes with Effect's own clock, and never back", () =>
    Effect.gen(function*() {
      const clock = yield* Effect.clock
      const begun = clock.unsafeCurrentTimeNanos()
      const now = since(clock)
      let last = 0
      for (let i = 0; i < 1000; i++) {
        const before = now()
        const elapsed = Number(clock.unsafeCurrentTimeNanos() - begun) / 1e6
        assert.isAtLeast(before, last)
        // the two are read one after the other, and began one after the other
        assert.isAtMost(before - elapsed, 1)
        assert.isAtMost(elapsed - now(), 50)
        last = before
      }
    }))
})
