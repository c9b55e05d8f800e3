/**
 * How cost grows: each row compares the cost of one operation among many with that among few. Constant cost has the
 * ratio 1; ten times as many may cost twice as much each before it counts as a miss, since memory is slower than caches.
 */
import * as PoolMap from "@dbpool/core/PoolMap"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { ofEffect } from "../Contestant.js"
import type { Contestant } from "../Contestant.js"
import * as Heat from "../Heat.js"
import * as pools from "../pools/resource.js"
import * as Row from "../Row.js"
import * as Suite from "../Suite.js"
import * as Waiting from "../Waiting.js"

const suite = "growth"

const label = (count: number, what: string) => `${count.toLocaleString("en")} ${what}`

/** each of them beside the one before */
const steps = (name: string, results: Heat.Results, counts: ReadonlyArray<number>, what: string) =>
  counts.slice(1).flatMap((count, i) =>
    Row.ofHeat(suite, `${name}: ${label(count, what)}`, "ns", results, label(count, what), {
      [label(counts[i]!, what)]: 2
    })
  )

const connections = Suite.part("use, idle connection", (name, size) =>
  Effect.gen(function*() {
    const counts = [10, 100, 1000]
    const contestants: Array<Contestant> = []
    for (const count of counts) {
      const pool = yield* pools.ours({ maxConnections: count, order: "fifo" })
      contestants.push(ofEffect(label(count, "connections"), () => pool.use(() => Effect.void)))
    }
    return steps(name, yield* Heat.run(size, contestants), counts, "connections")
  }))

/** every operation passes a connection on, through a queue of that length */
const handOff = Suite.part("hand-off", (name, size) =>
  Effect.gen(function*() {
    const counts = size.name === "full" ? [100, 1000, 10_000] : [100, 1000]
    const contestants: Array<Contestant> = []
    for (const count of counts) {
      const pool = yield* pools.ours()
      contestants.push(ofEffect(label(count, "waiters"), () => pool.use(() => Effect.yieldNow()), count))
    }
    return steps(name, yield* Heat.run(size, contestants, 2 * counts.at(-1)!), counts, "waiters")
  }))

/** beside as many fibers that wait for nothing, because to fork and to collect so many is dearer than to wait */
const interrupts = Suite.part("come, wait, be interrupted", (name, size) =>
  Effect.gen(function*() {
    const wait = yield* Waiting.occupied
    const counts = [1, 10, 100].map((n) => n * (size.name === "full" ? 1000 : size.name === "quick" ? 50 : 10))
    const contestants = (what: string, wait: Effect.Effect<unknown, unknown>) =>
      counts.map((count): Contestant => ({
        name: label(count, what),
        // in as many crowds as it takes, so that all of them do the same work
        run: (operations) =>
          Effect.flatMap(Waiting.fork(wait, count), Fiber.interruptAll).pipe(
            Effect.repeatN(Math.max(1, Math.round(operations / count)) - 1)
          )
      }))
    const results = yield* Heat.run(
      { ...size, rounds: size.repeats, turn: 0, warmUp: 0 },
      [...contestants("waiters", wait), ...contestants("fibers without a pool", Waiting.forNothing)],
      counts.at(-1)!
    )
    return counts.flatMap((count) =>
      Row.ofHeat(suite, `${name}: ${label(count, "waiters")}`, "ns", results, label(count, "waiters"), {
        [label(count, "fibers without a pool")]: 2
      })
    )
  }))

/** a pool for each of so many keys, used in turn: a thousand pools and more fit in no cache, so those have no target */
const keys = Suite.part("use, by key", (name, size) =>
  Effect.gen(function*() {
    const counts = [10, 100, 1000, 10_000].slice(0, size.name === "full" ? 4 : 3)
    const contestants: Array<Contestant> = []
    for (const count of counts) {
      const map = yield* PoolMap.make({
        default: { maxConnections: 1 },
        make: ({ maxConnections }, _key: number) =>
          pools.ours({ maxConnections, initialize: "lazy", minConnections: 0 })
      })
      let next = 0
      const use = () => map.use(next++ % count, (pool) => pool.use(() => Effect.void))
      // every pool is made, and has its connection
      yield* Effect.replicateEffect(Effect.suspend(use), count, { discard: true })
      contestants.push(ofEffect(label(count, "keys"), use))
    }
    const rows = steps(name, yield* Heat.run(size, contestants), counts, "keys")
    return rows.map((row, i) => counts[i + 1]! > 100 ? { ...row, target: null, met: null } : row)
  }))

export const growth = Suite.make(suite, [connections, handOff, interrupts, keys])
