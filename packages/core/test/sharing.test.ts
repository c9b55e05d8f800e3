import type { PoolEvent } from "@dbpool/core/PoolEvent"
import * as SharingPool from "@dbpool/core/SharingPool"
import type * as InterruptSweep from "@dbpool/testing/InterruptSweep"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { Part, SharingPoolOf } from "./sharingSupport.js"
import { fails, ids, makePool, makeWarm, share, shares } from "./sharingSupport.js"
import { settle as steadily } from "./steady.js"
import { logged, settle, start } from "./support.js"
import { sweep } from "./sweep.js"

describe("which connection a newcomer shares", () => {
  it.scoped("a free one first, then the one that the fewest share", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeWarm(2)
      const parts = yield* shares(pool, 5)
      assert.deepStrictEqual(ids(parts), [2, 1, 1, 2, 1].map((_, i) => ids(parts)[i % 2]!))
      assert.strictEqual(new Set(ids(parts)).size, 2)
      yield* parts[0]!.end
      yield* parts[2]!.end
      // of 5 parts 2 are left on the one, and 0 on the other
      assert.strictEqual((yield* pool.stats).idle, 0)
      yield* parts[4]!.end
      assert.strictEqual((yield* pool.stats).idle, 1)
      assert.strictEqual((yield* share(pool)).id, parts[0]!.id)
    }))

  it.scoped("a new one, as long as there is room for more", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 3 })
      assert.deepStrictEqual(ids(yield* shares(pool, 4)).sort((a, b) => a - b), [1, 1, 2, 3])
    }))

  it.scoped("while one is being opened as many wait as can have it, and the others share at once", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeWarm(1, { maxConnections: 2 })
      yield* server.always("connect", { takes: "1 second" })
      yield* share(pool)
      const late = [yield* start(share(pool)), yield* start(share(pool)), yield* start(share(pool))]
      // whoever comes later waits, and those before him are served first
      assert.strictEqual((yield* Fiber.join(late[0]!)).id, 1)
      assert.strictEqual((yield* Fiber.join(late[1]!)).id, 1)
      assert.strictEqual((yield* pool.stats).waiting, 1)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(late[2]!)).id, 2)
    }))

  it.scoped("shared ones, while the server takes no more", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeWarm(1, { maxConnections: 3 })
      yield* server.limit(1)
      const first = yield* start(shares(pool, 2))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(ids(yield* Fiber.join(first)), [1, 1])
      assert.deepStrictEqual(ids(yield* shares(pool, 2)), [1, 1])
    }))

  it.scoped("none that says it takes no more", () =>
    Effect.gen(function*() {
      let refused = 0
      const { pool } = yield* makeWarm(2, { accepts: ({ id }) => id !== refused })
      const [one, other] = yield* shares(pool, 2)
      refused = one!.id
      assert.deepStrictEqual(ids(yield* shares(pool, 3)), [other!.id, other!.id, other!.id])
    }))

  it.scoped("in a session its own, alone", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeWarm(2)
      const ask = pool.share((connection, alone) => Effect.succeed([connection.id, alone] as const))
      assert.isFalse((yield* ask)[1])
      yield* pool.session(Effect.gen(function*() {
        const mine = yield* pool.use(({ id }) => Effect.succeed(id))
        assert.deepStrictEqual(yield* Effect.replicateEffect(ask, 2), [[mine, true], [mine, true]])
      }))
    }))
})

describe("when all are full", () => {
  it.scoped("callers wait, first come, first served, and a newcomer never overtakes", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeWarm(1, { maxLeases: 2 })
      const parts = yield* shares(pool, 2)
      const served: Array<number> = []
      const late = (n: number) =>
        start(pool.share(() => Effect.zipRight(Effect.sync(() => served.push(n)), Effect.never)))
      yield* late(1)
      yield* late(2)
      assert.strictEqual((yield* pool.stats).waiting, 2)
      yield* parts[0]!.end
      yield* settle
      assert.deepStrictEqual(served, [1])
      yield* late(3)
      yield* parts[1]!.end
      yield* settle
      assert.deepStrictEqual(served, [1, 2])
    }))

  it.scoped("those who would not wait are told; where there is room, they are not", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeWarm(1, { maxLeases: 2, whenExhausted: "fail" })
      const [first] = yield* shares(pool, 2)
      yield* fails(pool.share(() => Effect.void), "TooManyConnections")
      yield* fails(pool.use(() => Effect.void), "TooManyConnections")
      yield* first!.end
      yield* pool.share(() => Effect.void)
    }))

  it.scoped("they wait until their deadline and no longer", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeWarm(1, { maxLeases: 1 })
      yield* share(pool)
      const late = yield* start(fails(pool.share(() => Effect.void, { timeout: "1 second" }), "AcquireTimeout"))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(late)).holders.length, 1)
    }))
})

describe("loss", () => {
  it.scoped("a connection that dies while it is shared frees its place at once, and newcomers get others", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeWarm(1)
      const parts = yield* shares(pool, 3)
      yield* server.kill(server.connections[0]!)
      assert.strictEqual((yield* pool.stats).leased, 0)
      assert.strictEqual((yield* share(pool)).id, 2)
      for (const { end } of parts) yield* end
      yield* settle
      const { closed, retired } = yield* pool.stats
      assert.deepStrictEqual({ closed, lost: retired.lost }, { closed: 1, lost: 1 })
    }))

  it.scoped("one left busy or dirty by the last of them is restored before it is lent again", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeWarm(1)
      const [first, second] = yield* shares(pool, 2)
      yield* server.connections[0]!.leave("busy")
      yield* first!.end
      assert.deepStrictEqual(server.calls.cancel, 0)
      yield* second!.end
      yield* settle
      assert.deepStrictEqual(server.calls.cancel, 1)
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))
})

describe("what is told", () => {
  it.scoped("a shared connection is leased once; each who shares it is a lease, a holder and a pair of events", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeWarm(1)
      const before = yield* pool.stats
      const events: Array<PoolEvent> = []
      yield* start(Stream.runForEach(pool.events, (event) => Effect.sync(() => events.push(event))))
      const parts = yield* shares(pool, 3)
      const { acquired, leased, reused } = yield* pool.stats
      assert.deepStrictEqual(
        { leased, acquired: acquired - before.acquired, reused: reused - before.reused },
        { leased: 1, acquired: 3, reused: 3 }
      )
      assert.deepStrictEqual((yield* pool.holders).map(({ connectionId }) => connectionId), [1, 1, 1])
      for (const { end } of parts) yield* end
      yield* settle
      const tags = events.map(({ _tag }) => _tag)
      assert.deepStrictEqual(tags, ["Acquired", "Acquired", "Acquired", "Released", "Released", "Released"])
      assert.deepStrictEqual(yield* pool.holders, [])
    }))

  it.scoped("each is held since it came, and reported as a leak by its own time", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const { pool } = yield* makeWarm(1, { leakDetectionThreshold: "10 seconds" })
        yield* Effect.withSpan(Effect.void, "warm")
        const first = yield* share(pool)
        yield* TestClock.adjust("6 seconds")
        yield* share(pool)
        yield* TestClock.adjust("3 seconds")
        assert.deepStrictEqual((yield* pool.holders).map(({ heldMillis }) => heldMillis), [9000, 3000])
        yield* first.end
        yield* TestClock.adjust("6 seconds")
        assert.strictEqual((yield* pool.stats).overdue, 0)
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* pool.stats).overdue, 1)
        yield* settle
        assert.strictEqual(lines.length, 1)
      })
    ))
})

describe("a wrong option", () => {
  it.scoped("is named", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      for (const maxLeases of [0, 1.5, -1, Number.NaN, Infinity, "5"]) {
        const error = yield* fails(makePool(server, { maxLeases: maxLeases as number }), "InvalidPoolConfig")
        assert.strictEqual(error.option, "sharing.maxLeases")
        assert.include(error.requirement, "an integer of at least 1")
      }
      for (const sharing of [undefined, null, 5]) {
        const options = { ...server.options, sharing: sharing as never }
        assert.strictEqual((yield* fails(SharingPool.make(options), "InvalidPoolConfig")).option, "sharing")
      }
    }))
})

describe("an interrupt at every single operation of", () => {
  const subject = (parts: number, maxLeases: number) =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1, maxLeases })
      yield* pool.use(() => Effect.void)
      return { server, pool, parts: yield* shares(pool, parts) }
    })

  const intact = ({ parts, pool }: { readonly pool: SharingPoolOf; readonly parts: ReadonlyArray<Part> }) =>
    Effect.gen(function*() {
      for (const { end } of parts) yield* end
      const { idle, leased, waiting } = yield* pool.stats
      assert.deepStrictEqual({ idle, leased, waiting }, { idle: 1, leased: 0, waiting: 0 })
      assert.deepStrictEqual(yield* pool.holders, [])
    })

  const effect = ({ pool }: { readonly pool: SharingPoolOf }, { interrupt }: InterruptSweep.Cut) =>
    interrupt(pool.share(() => Effect.zipRight(Effect.yieldNow(), Effect.void)))

  it("one who shares an idle connection", () => {
    const runs = sweep({ subject: subject(0, 2), effect, after: intact })
    assert.isAbove(runs.length, 3)
  })

  it("one who shares what others have", () => {
    const runs = sweep({ subject: subject(1, 2), effect, after: intact })
    assert.isAbove(runs.length, 3)
  })

  it("one who waits for a part of a connection that the others leave busy", () => {
    const runs = sweep({
      subject: subject(2, 2),
      effect,
      meanwhile: ({ parts, server }) =>
        Effect.zipRight(server.connections[0]!.leave("busy"), Effect.forEach(parts, ({ end }) => end)),
      after: (world) =>
        Effect.gen(function*() {
          yield* steadily
          yield* intact(world)
          assert.strictEqual(world.server.connections[0]!.condition, "clean")
        })
    })
    assert.isAbove(runs.length, 3)
  })

  it("one who waits for a part", () => {
    const runs = sweep({
      subject: subject(2, 2),
      effect,
      meanwhile: ({ parts }) => parts[0]!.end,
      after: intact
    })
    assert.isAbove(runs.length, 3)
  })
})
