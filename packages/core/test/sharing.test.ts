import type * as Pool from "@dbpool/core/Pool"
import type { PoolEvent } from "@dbpool/core/PoolEvent"
import * as SharingPool from "@dbpool/core/SharingPool"
import type * as InterruptSweep from "@dbpool/testing/InterruptSweep"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { settle as steadily } from "./steady.js"
import { failsWith, hold, logged, optionsOf, refusal, settle, start, warm } from "./support.js"
import { sweep } from "./sweep.js"

type Connection = SimulatedServer.Connection
type SharingPoolOf = SharingPool.SharingPool<Connection>

interface Options extends Partial<Pool.Options<Connection, SimulatedServer.ServerError, Scope.Scope>> {
  readonly maxLeases?: number
  readonly accepts?: (connection: Connection) => boolean
}

/** opens nothing before somebody wants it; when the test ends, everything that was opened is closed once */
const makePool = (server: SimulatedServer.SimulatedServer, { accepts, maxLeases = 10, ...options }: Options = {}) =>
  Effect.gen(function*() {
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const { closed } of server.connections) assert.strictEqual(closed, 1)
      })
    )
    return yield* SharingPool.make({
      ...optionsOf(server),
      idleTimeout: Duration.infinity,
      validate: undefined,
      ...options,
      sharing: { maxLeases, accepts }
    })
  })

/** one of those who share, until `end` */
interface Part {
  readonly id: number
  readonly end: Effect.Effect<void>
  readonly fiber: Fiber.RuntimeFiber<void, unknown>
}

const share = (pool: SharingPoolOf) =>
  Effect.gen(function*() {
    const got = yield* Deferred.make<number, unknown>()
    const over = yield* Deferred.make<void>()
    const fiber = yield* Effect.forkScoped(
      pool.share((connection) =>
        Effect.zipRight(Deferred.succeed(got, connection.id), Effect.interruptible(Deferred.await(over)))
      ).pipe(Effect.onError((cause) => Deferred.failCause(got, cause)))
    )
    const end = Effect.zipRight(Deferred.succeed(over, undefined), Effect.ignore(Fiber.join(fiber)))
    return { id: yield* Deferred.await(got), end, fiber } satisfies Part as Part
  })

const fails = <A, E, R, T extends Extract<E, { readonly _tag: string }>["_tag"]>(
  self: Effect.Effect<A, E, R>,
  tag: T
) => Effect.map(Effect.exit(self), (exit) => failsWith(exit, tag))

/** so many, one after the other */
const shares = (pool: SharingPoolOf, count: number) => Effect.replicateEffect(share(pool), count)

const ids = (parts: ReadonlyArray<Part>) => parts.map(({ id }) => id)

/** a pool of so many idle connections */
const makeWarm = (connections: number, options?: Options) =>
  Effect.gen(function*() {
    const server = yield* SimulatedServer.make
    const pool = yield* makePool(server, { maxConnections: connections, ...options })
    yield* warm(pool, connections)
    return { server, pool }
  })

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

/** every 20 ms one more comes and stays for 100 ms, without end: at no moment is nobody there */
const flood = (pool: SharingPoolOf) =>
  Effect.forkScoped(Effect.forever(
    Effect.zipRight(
      Effect.forkScoped(Effect.ignore(pool.share((connection) => Effect.delay(connection.query, "100 millis")))),
      Effect.sleep("20 millis")
    )
  ))

/** lets time pass in small steps, in which all that is due runs */
const pass = (millis: number) => Effect.replicateEffect(TestClock.adjust("20 millis"), millis / 20)

const patient: Options = { maxLeases: 1000, condition: () => "clean" }

const makeFlooded = (connections: number, options?: Options) =>
  Effect.gen(function*() {
    const made = yield* makeWarm(connections, { ...patient, ...options })
    yield* flood(made.pool)
    yield* pass(200)
    assert.strictEqual((yield* made.pool.stats).leased, connections)
    return made
  })

describe("under shared load that never ends", () => {
  it.scoped("somebody who wants a connection alone gets one as soon as those who share it are done", () =>
    Effect.gen(function*() {
      for (const connections of [1, 3]) {
        const { pool } = yield* makeFlooded(connections)
        const alone = yield* start(Effect.scoped(hold(pool)))
        yield* pass(120)
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(alone)))
      }
    }))

  it.scoped("those who want connections alone are served in turn, and those who share go on", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeFlooded(2)
      const { acquired } = yield* pool.stats
      const alone = yield* start(
        Effect.forEach(Array.from({ length: 5 }), () => pool.use(() => Effect.sleep("50 millis")), {
          concurrency: "unbounded"
        })
      )
      yield* pass(1200)
      yield* Fiber.join(alone)
      yield* pass(200)
      assert.isAbove((yield* pool.stats).acquired, acquired + 40)
    }))

  it.scoped("those who share are served among many who want connections alone", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeWarm(1, { maxLeases: 5 })
      yield* Effect.forkScoped(Effect.forever(Effect.zipRight(
        Effect.forkScoped(Effect.ignore(pool.use(() => Effect.sleep("10 millis")))),
        Effect.sleep("10 millis")
      )))
      yield* pass(100)
      const shared = yield* start(pool.share(() => Effect.void))
      yield* pass(200)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(shared)))
    }))

  it.scoped("those who share go on as soon as whoever waits before them for one alone is told of an outage", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 2, failFastAfter: "2 seconds" })
      const first = yield* share(pool)
      yield* server.always("connect", { fails: refusal("connection refused") })
      const alone = yield* start(Effect.exit(hold(pool)))
      yield* TestClock.adjust("1 second")
      const second = yield* start(share(pool))
      yield* TestClock.adjust("999 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(second)))
      yield* TestClock.adjust("1 millis")
      failsWith(yield* Fiber.join(alone), "ConnectFailed")
      assert.isTrue(Option.isSome(yield* Fiber.poll(second)))
      const part = yield* Fiber.join(second)
      assert.strictEqual(part.id, first.id)
      yield* Effect.zipRight(part.end, first.end)
    }))

  it.scoped("connections past their soft expiry are replaced, one at a time", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeFlooded(3, { maxLifetime: "4 seconds", lifetimeJitter: 0.5 }).pipe(
        // three seconds old they expire softly, all of them at once
        Effect.withRandom(Random.fixed([0.5]))
      )
      let fewest = 3
      for (let i = 0; i < 150; i++) {
        yield* pass(20)
        fewest = Math.min(fewest, (yield* pool.stats).leased)
      }
      assert.strictEqual((yield* pool.stats).retired.maxLifetime, 3)
      assert.isAtLeast(fewest, 2)
      assert.strictEqual(server.maxOpen, 3)
    }))

  it.scoped("maxUses counts every one of them, and a connection that has had so many is replaced", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeFlooded(2, { maxUses: 20 })
      yield* pass(2000)
      const { retired } = yield* pool.stats
      assert.isAtLeast(retired.maxUses, 4)
    }))

  it.scoped("what its driver calls worn is replaced", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeFlooded(2, { worn: ({ id }) => id <= 2 })
      yield* pass(1000)
      assert.strictEqual((yield* pool.stats).retired.worn, 2)
    }))

  it.scoped("a drain replaces all, and a hard one lends none of them again", () =>
    Effect.gen(function*() {
      for (const hard of [false, true]) {
        const { pool, server } = yield* makeFlooded(3)
        yield* pool.drain({ hard })
        yield* pass(1500)
        assert.deepStrictEqual(server.connections.slice(0, 3).map(({ open }) => open), [false, false, false])
        assert.strictEqual((yield* pool.stats).retired.drained, 3)
      }
    }))

  it.scoped("while no other connection can be opened, expired ones are kept", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeFlooded(2)
      yield* server.always("connect", { fails: refusal("down") })
      yield* pool.drain()
      yield* pass(3000)
      assert.isAtLeast((yield* pool.stats).leased, 1)
      const { acquired } = yield* pool.stats
      yield* pass(500)
      assert.isAbove((yield* pool.stats).acquired, acquired + 20)
    }))

  it.scoped("a smaller pool closes those that are too many", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeFlooded(4)
      yield* pool.resize({ maxConnections: 2 })
      yield* pass(500)
      assert.strictEqual(server.open, 2)
      assert.strictEqual((yield* pool.stats).retired.resized, 2)
    }))

  it.scoped("a suspended pool comes to rest, and goes on when it is resumed", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeFlooded(2)
      yield* pool.suspend
      yield* pass(200)
      const { idle, leased } = yield* pool.stats
      assert.deepStrictEqual({ idle, leased }, { idle: 2, leased: 0 })
      yield* pool.resume
      yield* pass(100)
      assert.strictEqual((yield* pool.stats).leased, 2)
    }))

  it.effect("a pool that closes lets those who share end, and takes no newcomers", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const closing = yield* Effect.fork(Effect.scoped(Effect.gen(function*() {
        const pool = yield* makePool(server, { maxConnections: 2, condition: () => "clean" })
        yield* Effect.forkDaemon(pool.share((connection) => Effect.delay(connection.query, "1 second")))
        yield* Effect.forkDaemon(pool.share((connection) => Effect.delay(connection.query, "2 seconds")))
        yield* settle
        return pool
      })))
      yield* settle
      assert.strictEqual(server.open, 2)
      yield* TestClock.adjust("2 seconds")
      const pool = yield* Fiber.join(closing)
      yield* fails(pool.share(() => Effect.void), "PoolClosed")
      assert.strictEqual(server.open, 0)
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

  it.scoped("under an outage, shared leases that go well keep callers from being told that nothing works", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* makeWarm(1, { ...patient, maxConnections: 2, failFastAfter: "1 second" })
      yield* server.always("connect", { fails: refusal("down") })
      yield* flood(pool)
      yield* pass(3000)
      assert.isAbove((yield* pool.stats).connectFailures, 0)
      const alone = yield* start(pool.use(() => Effect.void))
      yield* pass(200)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(alone)))
    }))
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
