import * as PoolReset from "@dbpool/core/PoolReset"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import * as TestClock from "effect/TestClock"
import type { TestPool } from "./support.js"
import { makePool, settle } from "./support.js"

const leave = (pool: TestPool, condition: SimulatedServer.Connection["condition"]) =>
  Effect.zipRight(
    pool.use((connection) => connection.leave(condition)),
    settle
  )

/** a policy that writes down what it is asked to do */
const noting =
  (notes: Array<string>, note: string, result: unknown = undefined) => (connection: SimulatedServer.Connection) =>
    Effect.suspend(() => {
      notes.push(`${note} ${connection.id}`)
      return Effect.as(connection.leave("clean"), result)
    })

describe("PoolReset", () => {
  it.scoped("whenDirty leaves alone what comes back clean", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const pool = yield* makePool(yield* SimulatedServer.make, {
        reset: PoolReset.whenDirty(noting(notes, "rollback"))
      })
      yield* leave(pool, "clean")
      assert.deepStrictEqual(notes, [])
      yield* leave(pool, "dirty")
      assert.deepStrictEqual(notes, ["rollback 1"])
    }))

  it.scoped("always runs on all, and nobody gets a connection before it has ended", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, {
        maxConnections: 1,
        reset: PoolReset.always(() => Effect.sleep("100 millis"))
      })
      yield* leave(pool, "clean")
      assert.strictEqual((yield* pool.stats).resetting, 1)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))

  it.scoped("none closes what comes back dirty", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { reset: PoolReset.none })
      yield* leave(pool, "clean")
      yield* leave(pool, "dirty")
      const { idle, retired } = yield* pool.stats
      assert.deepStrictEqual({ idle, unrestored: retired.unrestored }, { idle: 0, unrestored: 1 })
    }))

  it.scoped("andThen runs one after the other, each where it would run alone", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const pool = yield* makePool(yield* SimulatedServer.make, {
        reset: pipe(
          PoolReset.whenDirty(noting(notes, "rollback")),
          PoolReset.andThen(PoolReset.always(noting(notes, "forget")))
        )
      })
      yield* leave(pool, "clean")
      assert.deepStrictEqual(notes.splice(0), ["forget 1"])
      yield* leave(pool, "dirty")
      assert.deepStrictEqual(notes.splice(0), ["rollback 1", "forget 1"])
      // what was cancelled is clean afterwards, and is reset like everything that comes back clean
      yield* leave(pool, "busy")
      assert.deepStrictEqual(notes, ["rollback 1", "forget 1"])
    }))

  for (const result of ["fails", "answers false"]) {
    it.scoped(`andThen stops at the first that ${result}, and the connection is closed`, () =>
      Effect.gen(function*() {
        const notes: Array<string> = []
        const first = result === "fails"
          ? PoolReset.always(() => Effect.fail("it would not"))
          : PoolReset.always(noting(notes, "first", false))
        const pool = yield* makePool(yield* SimulatedServer.make, {
          reset: PoolReset.andThen(first, PoolReset.always(noting(notes, "second")))
        })
        yield* leave(pool, "clean")
        assert.deepStrictEqual(notes, result === "fails" ? [] : ["first 1"])
        assert.strictEqual((yield* pool.stats).retired.unrestored, 1)
      }))
  }
})

describe("worn", () => {
  it.scoped("has a connection replaced as soon as nobody needs it", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { worn: (connection) => connection.id === 1 })
      yield* leave(pool, "clean")
      yield* settle
      assert.strictEqual(server.connections[0]!.closed, 1)
      assert.strictEqual((yield* pool.stats).retired.worn, 1)
      yield* leave(pool, "clean")
      assert.strictEqual((yield* pool.stats).retired.worn, 1)
    }))

  it.scoped("that throws has it replaced, too", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, {
        worn: () => {
          throw new Error("a bug")
        }
      })
      yield* leave(pool, "clean")
      assert.strictEqual((yield* pool.stats).retired.worn, 1)
    }))
})
