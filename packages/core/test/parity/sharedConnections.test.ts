/**
 * What DBUtils' PooledDB does with maxshared, and SimplePooledDB where the driver may be shared by threads.
 */
import * as SharingPool from "@dbpool/core/SharingPool"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import { failsWith, hold, optionsOf, settle, start } from "../support.js"

const make = (maxConnections: number, maxLeases: number) =>
  Effect.flatMap(
    SimulatedServer.make,
    (server) => SharingPool.make({ ...optionsOf(server), validate: undefined, maxConnections, sharing: { maxLeases } })
  )

/** one of those who share a connection, until `end` */
const share = (pool: SharingPool.SharingPool<SimulatedServer.Connection>) =>
  Effect.gen(function*() {
    const [got, over] = [yield* Deferred.make<number>(), yield* Deferred.make<void>()]
    const fiber = yield* start(
      pool.share(({ id }) => Effect.zipRight(Deferred.succeed(got, id), Deferred.await(over)))
    )
    return {
      id: yield* Deferred.await(got),
      end: Effect.zipRight(Deferred.succeed(over, undefined), Fiber.await(fiber))
    }
  })

type Shares = ReadonlyArray<Effect.Effect.Success<ReturnType<typeof share>>>

const times = (n: number) => Array.from({ length: n })

/** how many share each connection */
const counts = (shares: Shares) => {
  const found = new Map<number, number>()
  for (const { id } of shares) found.set(id, (found.get(id) ?? 0) + 1)
  return [...found.values()].sort()
}

describe("shared connections", () => {
  it.scoped("are shared by ten requests where there may be one", () =>
    Effect.gen(function*() {
      const pool = yield* make(1, 10)
      assert.deepStrictEqual(counts(yield* Effect.forEach(times(10), () => share(pool))), [10])
      assert.deepInclude(yield* pool.stats, { open: 1, leased: 1, acquired: 10 })
    }))

  it.scoped("are none where nobody asked for it: each lease has a connection of its own", () =>
    Effect.gen(function*() {
      const pool = yield* make(3, 10)
      const [one, other] = [yield* hold(pool), yield* hold(pool)]
      assert.notStrictEqual(one.connection.id, other.connection.id)
      // nor does one who would share get what somebody has alone
      assert.notInclude([one.connection.id, other.connection.id], (yield* share(pool)).id)
    }))

  it.scoped("go to the connection that the fewest share: 35 shares of 5 are 7 each", () =>
    Effect.gen(function*() {
      const pool = yield* make(5, 100)
      assert.deepStrictEqual(counts(yield* Effect.forEach(times(35), () => share(pool))), [7, 7, 7, 7, 7])
    }))

  it.scoped("stay balanced after releases and new requests at random", () =>
    Effect.gen(function*() {
      const pool = yield* make(5, 100)
      const dice = Random.make("many shared")
      let shares: Shares = yield* Effect.forEach(times(35), () => share(pool))
      for (let round = 0; round < 5; round++) {
        const kept = yield* Effect.filter(shares, (one) =>
          Effect.flatMap(dice.nextBoolean, (goes) => goes ? Effect.as(one.end, false) : Effect.succeed(true)))
        shares = [
          ...kept,
          ...(yield* Effect.forEach(times(35), () =>
            share(pool)))
        ]
        const found = counts(shares)
        assert.lengthOf(found, 5)
        // new ones go where the fewest are, until all have as many
        assert.isAtMost(found[4]! - found[0]!, Math.max(1, counts(kept).at(-1)! - Math.floor(shares.length / 5)))
      }
    }))

  it.scoped("are idle again when the last share has ended, and then may be had alone", () =>
    Effect.gen(function*() {
      const pool = yield* make(1, 10)
      const [one, two] = [yield* share(pool), yield* share(pool)]
      yield* one.end
      assert.deepInclude(yield* pool.stats, { idle: 0, leased: 1 })
      yield* two.end
      yield* two.end
      assert.deepInclude(yield* pool.stats, { idle: 1, leased: 0 })
      assert.strictEqual((yield* hold(pool)).connection.id, one.id)
    }))

  it.scoped("are never one that somebody has alone, as for a transaction; after it they may be", () =>
    Effect.gen(function*() {
      const pool = yield* make(2, 10)
      const transaction = yield* hold(pool)
      const shares = yield* Effect.forEach(times(4), () => share(pool))
      assert.notInclude(shares.map(({ id }) => id), transaction.connection.id)
      yield* transaction.end
      assert.strictEqual((yield* share(pool)).id, transaction.connection.id)
    }))

  it.scoped("fail for who would not wait when all connections are in transactions", () =>
    Effect.gen(function*() {
      const pool = yield* make(2, 10)
      const held = [yield* hold(pool), yield* hold(pool)]
      const refused = pool.share(() => Effect.void, { whenExhausted: "fail" })
      failsWith(yield* Effect.exit(refused), "TooManyConnections")
      yield* held[0]!.end
      yield* refused
    }))

  it.scoped("serve a hundred users of two connections with fifty each", () =>
    Effect.gen(function*() {
      const pool = yield* make(2, 50)
      assert.deepStrictEqual(counts(yield* Effect.forEach(times(100), () => share(pool))), [50, 50])
      yield* settle
    }))
})
