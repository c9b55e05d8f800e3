/**
 * HikariCP's spike test: connecting takes 150 ms, a query 2 ms; 50 of them come at once, to a pool of 5 connections that
 * may have 50. Opening more helps nobody: the five have served everybody before the first of the new ones is open.
 */
import * as Effect from "effect/Effect"
import * as EffectPool from "effect/Pool"
import * as pools from "../pools/resource.js"
import * as Row from "../Row.js"
import * as Statistics from "../Statistics.js"
import * as Suite from "../Suite.js"

const suite = "burst"
const requests = 50
const bounds = { min: 5, max: requests }

const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

interface Outcome {
  readonly opened: number
  readonly millis: number
}

/** opens slowly, and counts; the ones that are there from the beginning count too */
class Server {
  opened = 0
  readonly connect = async () => {
    this.opened++
    await sleep(150)
    return new pools.Resource()
  }
}

const timed = (server: Server, spike: Effect.Effect<unknown, unknown>): Effect.Effect<Outcome, unknown> =>
  Effect.gen(function*() {
    const begun = performance.now()
    yield* spike
    const millis = performance.now() - begun
    // what was asked for in the spike may still be on its way
    yield* Effect.promise(() => sleep(200))
    return { millis, opened: server.opened }
  })

const all = (request: Effect.Effect<unknown, unknown>) =>
  Effect.forEach(Array.from({ length: requests }), () => request, { concurrency: "unbounded", discard: true })

const open = (server: Server) => Effect.acquireRelease(Effect.promise(server.connect), () => Effect.void)

const ours = Effect.gen(function*() {
  const server = new Server()
  const pool = yield* pools.ours({ connect: open(server), maxConnections: bounds.max, minConnections: bounds.min })
  return yield* timed(server, all(pool.use(() => Effect.sleep("2 millis"))))
})

const effectPool = Effect.gen(function*() {
  const server = new Server()
  const pool = yield* EffectPool.makeWithTTL({ acquire: open(server), ...bounds, timeToLive: "1 minute" })
  yield* Effect.promise(() => sleep(200))
  return yield* timed(server, all(Effect.scoped(Effect.zipRight(EffectPool.get(pool), Effect.sleep("2 millis")))))
})

const peer = (make: typeof pools.generic) =>
  Effect.gen(function*() {
    const server = new Server()
    const { acquire, release } = yield* make(bounds, server.connect)
    // not all of them open their minimum by themselves
    yield* Effect.promise(async () => {
      const five = await Promise.all(Array.from({ length: bounds.min }, acquire))
      five.forEach(release)
      await sleep(200)
    })
    const request = async () => {
      const resource = await acquire()
      await sleep(2)
      release(resource)
    }
    return yield* timed(server, Effect.promise(() => Promise.all(Array.from({ length: requests }, request))))
  })

const spike = Suite.part("50 requests at once", (name, size) =>
  Effect.gen(function*() {
    const field: Record<string, Effect.Effect<Outcome, unknown, any>> = {
      "dbpool": ours,
      "effect/Pool": effectPool,
      "generic-pool": peer(pools.generic),
      "tarn": peer(pools.tarn),
      "lightning-pool": peer(pools.lightning),
      "pg-pool": peer(pools.pgPool)
    }
    const outcomes = new Map<string, Array<Outcome>>(Object.keys(field).map((pool) => [pool, []]))
    for (let round = 0; round < size.repeats; round++) {
      for (const [pool, run] of Object.entries(field)) {
        outcomes.get(pool)!.push(yield* Effect.scoped(run))
      }
    }
    const values = (pool: string, what: keyof Outcome) => outcomes.get(pool)!.map((outcome) => outcome[what])
    const peers = Object.keys(field).filter((pool) => pool !== "dbpool")
    const fastest = peers.reduce((one, other) =>
      Statistics.median(values(one, "millis")) <= Statistics.median(values(other, "millis")) ? one : other
    )
    const opened = { suite, name: `${name}: connections opened`, unit: "" }
    return [
      Row.limit(opened, values("dbpool", "opened"), 8),
      ...peers.map((peer) => Row.make({ ...opened, peer }, values("dbpool", "opened"), values(peer, "opened"))),
      ...peers.map((peer) =>
        Row.make(
          { suite, name: `${name}: all served`, peer, unit: "ms", target: peer === fastest ? 1.3 : undefined },
          values("dbpool", "millis"),
          values(peer, "millis")
        )
      )
    ]
  }))

export const burst = Suite.make(suite, [spike])
