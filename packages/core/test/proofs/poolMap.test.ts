import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { makeMap } from "../mapSupport.js"
import { steadily } from "../steady.js"
import { refusal, use } from "../support.js"

/** users of several keys come and go, connects and closes fail or take their time, connections die */
const history = (seed: number) =>
  Effect.gen(function*() {
    const dice = Random.make(seed)
    const upTo = (n: number) => dice.nextIntBetween(0, n)
    const server = yield* SimulatedServer.make
    const most = 1 + (yield* upTo(4))
    const keys = ["a", "b", "c", "d", "e"].slice(0, 2 + (yield* upTo(4)))
    // minima that leave room for one connection more
    let kept = 0
    const minima = new Map<string, number>()
    for (const key of keys) {
      const minConnections = kept < most - 1 ? yield* upTo(2) : 0
      kept += minConnections
      minima.set(key, minConnections)
    }
    const map = yield* makeMap(server, {
      maxConnections: most,
      idleTimeout: "20 seconds",
      pools: (key) => ({
        minConnections: minima.get(key),
        idleTimeout: "10 seconds",
        acquireTimeout: "30 seconds",
        nestedAcquire: "allow",
        connectRetry: Schedule.spaced("100 millis")
      })
    })
    const late: Array<string> = []
    const user = (key: string, hold: number, whenExhausted: "wait" | "fail", leave: boolean) =>
      Effect.gen(function*() {
        const begun = yield* Clock.currentTimeMillis
        const exit = yield* Effect.exit(map.use(key, (pool) =>
          pool.use((connection) => Effect.delay(leave ? connection.leave("broken") : Effect.void, hold), {
            timeout: "5 seconds",
            whenExhausted
          })))
        const took = (yield* Clock.currentTimeMillis) - begun - (Exit.isSuccess(exit) ? hold : 0)
        if (took > 5000) {
          late.push(`${key} after ${took} ms`)
        }
      })
    const users: Array<Fiber.Fiber<void>> = []
    for (let step = 0; step < 60; step++) {
      const key = keys[yield* upTo(keys.length)]!
      users.push(
        yield* Effect.fork(
          user(key, (yield* upTo(5)) * 40, (yield* upTo(6)) === 0 ? "fail" : "wait", (yield* upTo(8)) === 0)
        )
      )
      const event = yield* upTo(12)
      if (event === 0) yield* server.next("connect", { fails: refusal("no") })
      else if (event === 1) yield* server.next("connect", { takes: "300 millis" }, 2)
      else if (event === 2) yield* server.next("close", { takes: "never" })
      else if (event === 3) yield* Fiber.interrupt(users[yield* upTo(users.length)]!)
      else if (event === 4) yield* map.evict(key)
      else if (event === 5) {
        const open = server.connections.filter((connection) => connection.open)
        if (open.length > 0) yield* server.kill(open[yield* upTo(open.length)]!)
      } else if (event === 6) yield* Effect.sleep("15 seconds")
      yield* Effect.sleep((yield* upTo(3)) * 20)
    }
    yield* Fiber.awaitAll(users)
    yield* server.calm
    assert.deepStrictEqual(late, [])
    assert.isAtMost(server.maxOpen, most)
    // whatever has happened, each key can still have a connection, and all at once can, too
    yield* Effect.sleep("10 seconds")
    yield* Effect.forEach(keys, (key) => map.use(key, use), { concurrency: "unbounded" })
    for (const [, stats] of yield* map.stats) assert.strictEqual(stats.leased + stats.waiting, 0)
  })

describe("a maximum over all pools", () => {
  it("is kept through random histories: nobody waits beyond his deadline, and nobody for ever", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      // nobody else can run while a world is stepped: between two of them the test runner reports
      await new Promise((done) => setImmediate(done))
      try {
        steadily(history(seed))
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error })
      }
    }
  })
})
