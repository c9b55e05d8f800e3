import * as SqlPool from "@dbpool/sql/SqlPool"
import * as Reactivity from "@effect/experimental/Reactivity"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { FakeServer } from "./server.js"

class Orders extends SqlPool.Tag("app/Orders")<Orders>() {}

/** two databases, the second under a tag of its own, as a dialect's `layerOf` provides it */
const run = <A, E>(program: Effect.Effect<A, E, SqlPool.SqlPool | Orders>, users: FakeServer, orders: FakeServer) =>
  program.pipe(
    Effect.provide(Layer.merge(
      Layer.scoped(SqlPool.SqlPool, SqlPool.make(users.driver, { initialize: "lazy", maxConnections: 2 })),
      Layer.scoped(Orders, SqlPool.make(orders.driver, { initialize: "lazy", maxConnections: 2 }))
    )),
    Effect.provide(Reactivity.layer)
  )

describe("a second database", () => {
  it.effect("has a tag, a pool and a client of its own", () =>
    Effect.gen(function*() {
      const [users, orders] = [new FakeServer("users"), new FakeServer("orders")]
      yield* run(
        Effect.gen(function*() {
          const a = (yield* SqlPool.SqlPool).client
          const b = yield* Orders
          yield* a`insert a`
          yield* b.client`insert b`
          yield* b.use((connection) => connection.query("insert c"))
        }),
        users,
        orders
      )
      assert.deepStrictEqual([users.data, orders.data], [["a"], ["b", "c"]])
      assert.deepStrictEqual([users.connections.length, orders.connections.length], [1, 1])
    }))

  it.effect("keeps its statements to itself inside the other's transaction, also in A inside B inside A", () =>
    Effect.gen(function*() {
      const [users, orders] = [new FakeServer("users"), new FakeServer("orders")]
      yield* run(
        Effect.gen(function*() {
          const a = (yield* SqlPool.SqlPool).client
          const b = (yield* Orders).client
          const inner = Effect.gen(function*() {
            yield* a`insert a3`
            yield* b`insert b3`
          })
          yield* a.withTransaction(Effect.gen(function*() {
            yield* a`insert a1`
            yield* b`insert b1`
            yield* Effect.exit(b.withTransaction(Effect.gen(function*() {
              yield* b`insert b2`
              yield* a.withTransaction(inner)
              // children are in both transactions too
              yield* Fiber.join(yield* Effect.fork(Effect.zipRight(a`insert a4`, b`insert b4`)))
              yield* Effect.fail("only b is rolled back")
            })))
            yield* a`insert a5`
          }))
        }),
        users,
        orders
      )
      assert.deepStrictEqual(users.data, ["a1", "a3", "a4", "a5"])
      assert.deepStrictEqual(orders.data, ["b1"])
      assert.deepStrictEqual(users.sentOn(1), [
        "BEGIN",
        "insert a1",
        "SAVEPOINT dbpool_1",
        "insert a3",
        "RELEASE SAVEPOINT dbpool_1",
        "insert a4",
        "insert a5",
        "COMMIT"
      ])
      assert.deepStrictEqual(orders.log, [
        "orders1: insert b1",
        "orders1: BEGIN",
        "orders1: insert b2",
        "orders1: insert b3",
        "orders1: insert b4",
        "orders1: ROLLBACK"
      ])
    }))
})
