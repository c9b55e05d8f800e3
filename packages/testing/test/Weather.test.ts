import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import * as Weather from "@dbpool/testing/Weather"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"

describe("a forecast", () => {
  it.effect("is the same for the same seed, and another for another", () =>
    Effect.gen(function*() {
      const one = yield* Weather.forecast({ seed: 1 })
      assert.deepStrictEqual(yield* Weather.forecast({ seed: 1 }), one)
      assert.notDeepEqual(yield* Weather.forecast({ seed: 2 }), one)
      assert.strictEqual(one.length, 20)
    }))

  it.effect("without a seed comes from Effect's Random", () =>
    Effect.gen(function*() {
      const drawn = Effect.suspend(() => Effect.withRandom(Weather.forecast({ spells: 3 }), Random.make("mine")))
      assert.deepStrictEqual(yield* drawn, yield* drawn)
    }))

  it.effect("has every weather, and only those that are wanted", () =>
    Effect.gen(function*() {
      const all = new Set((yield* Weather.forecast({ seed: 1, spells: 200 })).map(({ weather }) => weather))
      assert.strictEqual(all.size, 7)
      const some = yield* Weather.forecast({ seed: 1, weathers: ["slow", "down"], longest: "20 millis" })
      assert.isTrue(some.every(({ weather }) => weather === "slow" || weather === "down"))
      assert.isTrue(some.every(({ lasts }) => lasts >= 10 && lasts <= 20))
    }))

  it.effect("can be read", () =>
    Effect.gen(function*() {
      const text = Weather.describe([
        {
          weather: "down",
          lasts: 1500,
          answers: { connect: { takes: 3, fails: new SimulatedServer.ServerError({ message: "connection refused" }) } },
          limit: 2,
          mishap: { operation: "reset", answer: { takes: "never", stubborn: true } },
          kills: 0.5,
          heard: false
        },
        { weather: "fine", lasts: 10, answers: {}, limit: Infinity, mishap: undefined, kills: 0, heard: true }
      ])
      assert.strictEqual(
        text,
        "0 ms: down; at most 2 connections, connect takes 3 ms and fails: connection refused, " +
          "50 % of the connections die unheard, the next reset never ends, stubbornly\n1500 ms: fine"
      )
    }))

  it.effect("that cannot be drawn says which option is wrong", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<Weather.Options> = [
        { spells: -1 },
        { spells: Infinity },
        { longest: 9 },
        { longest: Infinity },
        { weathers: [] }
      ]
      const named = yield* Effect.forEach(wrong, (options) => Effect.flip(Weather.forecast(options)))
      assert.deepStrictEqual(named.map(({ option }) => option), ["spells", "spells", "longest", "longest", "weathers"])
      assert.strictEqual(named[0]!.message, "spells must be an integer of at least 0")
    }))
})

describe("a server that follows a forecast", () => {
  const connect = (server: SimulatedServer.SimulatedServer) => Effect.exit(server.options.connect)

  it.scoped("goes through it, and is calm at the end", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const connection = yield* server.options.connect
      const spell = { lasts: 1000, limit: Infinity, mishap: undefined, heard: true, kills: 0 }
      const fails = new SimulatedServer.ServerError({ message: "down" })
      const following = yield* Effect.fork(Weather.follow(server, [
        { ...spell, weather: "down", answers: { connect: { fails } }, kills: 1 },
        { ...spell, weather: "full", answers: {}, limit: 0, mishap: { operation: "validate", answer: { fails } } }
      ]))
      yield* TestClock.adjust(0)
      assert.isFalse(connection.open)
      assert.strictEqual(yield* Effect.flip(server.options.connect), fails)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(server.options.connect)).fault, "refused")
      assert.strictEqual(yield* Effect.flip(server.options.validate(connection)), fails)
      assert.isFalse(yield* server.options.validate(connection))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(following)
      assert.strictEqual((yield* connect(server))._tag, "Success")
    }))

  it.scoped("is calm again when it is interrupted", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const forecast = yield* Weather.forecast({ weathers: ["locked"] })
      const following = yield* Effect.fork(Weather.follow(server, forecast))
      yield* TestClock.adjust("100 millis")
      yield* Fiber.interrupt(following)
      assert.strictEqual((yield* connect(server))._tag, "Success")
    }))
})
