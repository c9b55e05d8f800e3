import * as FiberPool from "@dbpool/core/FiberPool"
import * as KeyedPool from "@dbpool/core/KeyedPool"
import * as PoolMap from "@dbpool/core/PoolMap"
import * as InterruptSweep from "@dbpool/testing/InterruptSweep"
import type * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { afterEach, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { settle } from "../steady.js"
import type { TestPool } from "../support.js"
import { lossless, makeSubject } from "./losses.js"

/** a statement of a few steps, in which others get their turn */
const statement = (connection: SimulatedServer.Connection) =>
  Effect.zipRight(Effect.yieldNow(), Effect.succeed(connection.id))

const borrowers: Record<string, (pool: TestPool) => Effect.Effect<unknown, unknown>> = {
  "a use of a KeyedPool": (pool) =>
    Effect.scoped(Effect.flatMap(KeyedPool.make(pool), (keyed) => keyed.use("key", statement))),
  "a lease of a KeyedPool, twice": (pool) =>
    Effect.scoped(
      Effect.flatMap(KeyedPool.make(pool), (keyed) =>
        Effect.zipRight(
          keyed.acquire("key"),
          Effect.flatMap(keyed.acquire("key"), (lease) => statement(lease.connection))
        ))
    ),
  "a use of a FiberPool, one in the other": (pool) =>
    Effect.scoped(Effect.flatMap(FiberPool.make(pool), (fibers) => fibers.use(() => fibers.use(statement)))),
  "a pool of a PoolMap, kept and used": (pool) =>
    Effect.scoped(Effect.flatMap(
      PoolMap.make({ settings: () => pool, make: Effect.succeed }),
      (pools) => Effect.zipRight(pools.get("key"), pools.use("key", (one) => one.use(statement)))
    ))
}

/** nobody else can run while a world is stepped: between two of them the test runner reports */
afterEach(() => new Promise((done) => setImmediate(done)))

describe("nothing is lost, at whatever operation an interrupt comes, by", () => {
  for (const [what, borrow] of Object.entries(borrowers)) {
    it(`${what}, at once`, () => {
      lossless({
        subject: makeSubject({ maxConnections: 1, idle: 1, leased: 0 }),
        effect: ({ pool }, cut) => InterruptSweep.interrupters.interrupt(borrow(pool), cut)
      })
    })

    it(`${what}, after waiting`, () => {
      lossless({
        subject: makeSubject({ maxConnections: 1, idle: 0, leased: 1 }),
        effect: ({ pool }, cut) => InterruptSweep.interrupters.interrupt(borrow(pool), cut),
        meanwhile: ({ held }) => Effect.zipRight(settle, held[0]!.end)
      })
    })
  }
})
