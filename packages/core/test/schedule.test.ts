import * as PoolSchedule from "@dbpool/core/PoolSchedule"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { Retry } from "../src/internal/retry.js"

/** the first pauses of the default schedule, as the pool asks for them */
const pauses = (count: number) =>
  Effect.gen(function*() {
    const retry = new Retry(PoolSchedule.connect, yield* Clock.clockWith(Effect.succeed))
    return yield* Effect.all(Array.from({ length: count }, () => retry.next("down")))
  })

describe("PoolSchedule.connect", () => {
  it.effect("doubles from 100 ms to 5 s, without end", () =>
    Effect.gen(function*() {
      const steps = yield* pauses(1100).pipe(Effect.withRandom(Random.fixed([0.5])))
      assert.deepStrictEqual(steps.slice(0, 8), [100, 200, 400, 800, 1600, 3200, 5000, 5000])
      assert.strictEqual(steps.at(-1), 5000)
    }))

  it.effect("is off by a quarter at most, at random", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Effect.withRandom(pauses(3), Random.fixed([0])), [75, 150, 300])
      assert.deepStrictEqual(yield* Effect.withRandom(pauses(3), Random.fixed([1])), [125, 250, 500])
    }))
})

describe("PoolSchedule.conflict", () => {
  it.effect("tries five times more, after 20 ms and then twice as long each time", () =>
    Effect.gen(function*() {
      const delays = yield* Schedule.run(PoolSchedule.conflict, 0, Array.from({ length: 9 })).pipe(
        Effect.withRandom(Random.fixed([0.5]))
      )
      assert.deepStrictEqual(Chunk.toReadonlyArray(Chunk.map(delays, Duration.toMillis)), [20, 40, 80, 160, 320, 640])
    }))
})

describe("a schedule that is asked", () => {
  it.effect("starts anew after its end, and when it is told to", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.clockWith(Effect.succeed)
      const schedule = Schedule.exponential("1 second").pipe(Schedule.intersect(Schedule.recurs(2)))
      const retry = new Retry(schedule, clock)
      const next = retry.next("down")
      assert.deepStrictEqual(yield* Effect.all([next, next, next, next]), [1000, 2000, undefined, 1000])
      retry.restart()
      assert.strictEqual(yield* next, 1000)
    }))

  it.effect("is told the cause", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.clockWith(Effect.succeed)
      const seen: Array<unknown> = []
      const schedule = Schedule.tapInput(Schedule.spaced("1 second"), (cause: unknown) =>
        Effect.sync(() => seen.push(cause)))
      yield* new Retry(schedule, clock).next("connection refused")
      assert.deepStrictEqual(seen, ["connection refused"])
    }))

  it.effect("by the hour of the day is asked for the time that is left", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.clockWith(Effect.succeed)
      const pause = yield* new Retry(Schedule.windowed("10 seconds"), clock).next("down")
      assert.isAtMost(pause!, Duration.toMillis("10 seconds"))
    }))
})
