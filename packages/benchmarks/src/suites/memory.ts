/**
 * What a connection that nobody uses costs, and a caller that waits for one.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Heap from "../Heap.js"
import * as pools from "../pools/resource.js"
import * as Row from "../Row.js"
import type { Size } from "../Size.js"
import * as Suite from "../Suite.js"
import * as Waiting from "../Waiting.js"

const suite = "memory"

const repeated = <A>(size: Size, measure: Effect.Effect<A, unknown, Scope.Scope>) =>
  Effect.all(Array.from({ length: size.name === "full" ? size.repeats : 1 }, () => Effect.scoped(measure)))

/** bytes for each of `count`, by how much the heap grows */
const growth = (count: number, make: Effect.Effect<unknown, unknown, Scope.Scope>) =>
  Effect.gen(function*() {
    const before = yield* Heap.bytes
    const scope = yield* Scope.make()
    const kept = yield* Scope.extend(make, scope)
    const after = yield* Heap.bytes
    yield* Scope.close(scope, Exit.void)
    // what was made is in use up to here
    return kept === undefined ? Number.NaN : (after - before) / count
  })

/** borrows all at once, so that all are open, and gives them back */
const filled = (pool: pools.PromisePool, count: number) =>
  Effect.promise(async () => {
    const borrowed = await Promise.all(Array.from({ length: count }, () => pool.acquire()))
    for (const resource of borrowed) pool.release(resource)
    return pool
  })

const idle = Suite.part("an idle connection", (name, size) =>
  Effect.gen(function*() {
    const count = size.name === "tiny" ? 100 : size.name === "quick" ? 500 : 2000
    const bounds = { min: 0, max: count }
    const made: Record<string, Effect.Effect<unknown, unknown, Scope.Scope>> = {
      "dbpool": pools.ours({ maxConnections: count }),
      "effect/Pool": pools.effectPool(count),
      "generic-pool": Effect.flatMap(pools.generic(bounds), (pool) => filled(pool, count)),
      "tarn": Effect.flatMap(pools.tarn(bounds), (pool) => filled(pool, count)),
      "lightning-pool": Effect.flatMap(pools.lightning(bounds), (pool) => filled(pool, count))
    }
    const bytes = yield* Effect.all(
      Object.fromEntries(Object.entries(made).map(([pool, make]) => [pool, repeated(size, growth(count, make))]))
    )
    return Object.keys(made).filter((peer) => peer !== "dbpool").map((peer) =>
      Row.make({ suite, name, peer, unit: "bytes" }, bytes["dbpool"]!, bytes[peer]!)
    )
  }))

/** on top of a fiber that waits for nothing */
const waiter = Suite.part("a waiter", (name, size) =>
  Effect.gen(function*() {
    const count = size.name === "tiny" ? 1000 : size.name === "quick" ? 5000 : 100_000
    const bytes = (wait: Effect.Effect<unknown, unknown>) =>
      growth(count, Effect.acquireRelease(Waiting.fork(wait, count), Fiber.interruptAll))
    const rounds = yield* repeated(
      size,
      Effect.gen(function*() {
        const pool = yield* Waiting.occupied
        const effectPool = yield* Waiting.occupiedEffectPool
        const nothing = yield* bytes(Waiting.forNothing)
        const ours = yield* bytes(pool)
        const theirs = yield* bytes(effectPool)
        return { ours: ours - nothing, theirs: theirs - nothing }
      })
    )
    const ours = rounds.map((round) => round.ours)
    return [
      Row.limit({ suite, name: `${name} of ${count.toLocaleString("en")}`, unit: "bytes" }, ours, 1024),
      Row.make(
        { suite, name: `${name} of ${count.toLocaleString("en")}`, peer: "effect/Pool", unit: "bytes" },
        ours,
        rounds.map((round) => round.theirs)
      )
    ]
  }))

const timers = Suite.part("timers for 1,000 waiters", (name) =>
  Effect.gen(function*() {
    const pool = yield* Waiting.occupied
    const before = Heap.timers()
    const fibers = yield* Waiting.fork(pool, 1000)
    const ours = Heap.timers() - before
    yield* Fiber.interruptAll(fibers)
    const tarn = yield* pools.tarn({ min: 1, max: 1 })
    const theirs = yield* Effect.promise(async () => {
      const held = await tarn.acquire()
      const timersBefore = Heap.timers()
      const waiting = Array.from({ length: 1000 }, () => tarn.acquire().then(tarn.release))
      const timers = Heap.timers() - timersBefore
      tarn.release(held)
      await Promise.all(waiting)
      return timers
    })
    return [
      Row.limit({ suite, name, unit: "" }, [ours], 1),
      Row.make({ suite, name, peer: "tarn", unit: "" }, [ours], [theirs])
    ]
  }))

export const memory = Suite.make(suite, [idle, waiter, timers])
