import * as AcquireOptions from "@dbpool/core/AcquireOptions"
import * as Pool from "@dbpool/core/Pool"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Steady from "./steady.js"
import type { TestPool } from "./support.js"
import { close, failsWith, hold, makePool, optionsOf, settle, start, timed, use, warm } from "./support.js"

/** a pool of two connections, both idle */
const two = Effect.flatMap(SimulatedServer.make, (server) => makePool(server, { maxConnections: 2 })).pipe(
  Effect.tap((pool) => warm(pool, 2))
)

/** a use that lasts until it is told to end, and what is inside at any time */
const watched = (pool: TestPool) => {
  const inside: Array<string> = []
  const seen: Array<string> = []
  const visit = (name: string, until: Effect.Effect<void> = Effect.yieldNow()) =>
    pool.use((connection) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          inside.push(name)
          seen.push(`${connection.id}:${inside.join("+")}`)
        }),
        () => until,
        () => Effect.sync(() => void inside.splice(inside.indexOf(name), 1))
      )
    )
  return { visit, seen }
}

describe("session", () => {
  it.scoped("gives use, acquire, tryAcquire and stream inside one connection, children included", () =>
    Effect.gen(function*() {
      const pool = yield* two
      const ids = yield* pool.session(Effect.gen(function*() {
        const child = yield* Effect.fork(use(pool))
        return [
          yield* use(pool),
          yield* Effect.scoped(Effect.map(pool.acquire, ({ connection }) => connection.id)),
          yield* Effect.scoped(Effect.map(pool.tryAcquire, ({ connection }) => connection.id)),
          ...(yield* Stream.runCollect(pool.stream(({ id }) => Stream.make(id)))),
          yield* Fiber.join(child),
          yield* Effect.timeout(use(pool), "1 second"),
          ...(yield* Effect.all([use(pool), use(pool)], { concurrency: 2 })),
          yield* Effect.flatMap(Effect.forkDaemon(use(pool)), Fiber.join),
          (yield* pool.stats).leased
        ]
      }))
      assert.deepStrictEqual(new Set(ids.slice(0, -1)).size, 1)
      assert.strictEqual(ids.at(-1), 1)
      assert.strictEqual((yield* pool.stats).idle, 2)
    }))

  it.scoped("waits for its connection as any caller, and passes on errors and results", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const held = yield* hold(pool)
      const refused = pool.session(Effect.void).pipe(AcquireOptions.within({ whenExhausted: "fail" }))
      failsWith(yield* Effect.exit(refused), "TooManyConnections")
      const late = yield* start(timed(pool.session(Effect.void).pipe(AcquireOptions.within({ timeout: "1 second" }))))
      yield* TestClock.adjust("1 second")
      failsWith((yield* Fiber.join(late)).exit, "AcquireTimeout")
      const patient = yield* start(pool.session(Effect.fail("mine")))
      yield* held.end
      assert.deepStrictEqual(yield* Fiber.await(patient), Exit.fail("mine"))
      assert.strictEqual(yield* pool.session(Effect.succeed(7)), 7)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(pool.session(Effect.die("a bug")))))
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))

  it.scoped("within a session of the same pool is that session; of another pool it is not", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1, nestedAcquire: "fail" })
      const other = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1, nestedAcquire: "fail" })
      const inner = pool.session(Effect.zipRight(use(pool), pool.session(use(pool))))
      assert.strictEqual(yield* pool.session(inner), 1)
      assert.strictEqual(yield* pool.session(other.session(inner)), 1)
      assert.strictEqual(yield* pool.session(pool.use(() => pool.session(use(pool)))), 1)
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))

  it.scoped("is a region: before, after and beside it callers get their own connections", () =>
    Effect.gen(function*() {
      const pool = yield* two
      const done = yield* Deferred.make<void>()
      const session = yield* start(pool.session(Effect.zipRight(Deferred.await(done), use(pool))))
      const outside = yield* use(pool)
      yield* Deferred.succeed(done, undefined)
      assert.notStrictEqual(yield* Fiber.join(session), outside)
      assert.strictEqual((yield* pool.stats).idle, 2)
    }))

  it.scoped("can be opened while a lease is held, and then is another connection", () =>
    Effect.gen(function*() {
      const pool = yield* two
      const [outer, inner] = yield* pool.use(({ id }) => pool.session(Effect.map(use(pool), (other) => [id, other])))
      assert.notStrictEqual(outer, inner)
    }))
})

describe("in a session", () => {
  it.scoped("uses side by side take turns, first come, first served", () =>
    Effect.gen(function*() {
      const pool = yield* two
      const { seen, visit } = watched(pool)
      yield* pool.session(
        Effect.all(["a", "b", "c", "d"].map((name) => visit(name)), { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(seen.map((line) => line.slice(2)), ["a", "b", "c", "d"])
    }))

  it.scoped("a use inside a use runs within its turn, and those inside take turns too", () =>
    Effect.gen(function*() {
      const pool = yield* two
      const { seen, visit } = watched(pool)
      const inner = Effect.all([visit("b"), visit("c")], { concurrency: 2, discard: true })
      yield* pool.session(Effect.all([visit("a", Effect.orDie(inner)), visit("d")], { concurrency: 2 }))
      assert.deepStrictEqual(seen.map((line) => line.slice(2)), ["a", "a+b", "a+c", "d"])
    }))

  it.scoped("a turn lasts until everything inside it has ended", () =>
    Effect.gen(function*() {
      const pool = yield* two
      const { seen, visit } = watched(pool)
      const gate = yield* Deferred.make<void>()
      yield* pool.session(Effect.gen(function*() {
        const child = yield* pool.use(() =>
          Effect.zipLeft(Effect.forkDaemon(visit("child", Deferred.await(gate))), settle)
        )
        const next = yield* start(visit("next"))
        assert.deepStrictEqual(seen.map((line) => line.slice(2)), ["child"])
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.joinAll([child, next])
        assert.deepStrictEqual(seen.map((line) => line.slice(2)), ["child", "next"])
      }))
    }))

  it.scoped("an acquire takes the turn until its scope closes, and its own fiber goes on within it", () =>
    Effect.gen(function*() {
      const pool = yield* two
      yield* pool.session(Effect.gen(function*() {
        const scope = yield* Scope.make()
        const lease = yield* Scope.extend(pool.acquire, scope)
        const sibling = yield* Effect.forkDaemon(use(pool))
        assert.strictEqual(yield* use(pool), lease.connection.id)
        assert.strictEqual(yield* Effect.scoped(Effect.map(pool.acquire, (_) => _.connection.id)), lease.connection.id)
        assert.strictEqual(yield* Fiber.join(sibling), lease.connection.id)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* use(pool), lease.connection.id)
      }))
      assert.strictEqual((yield* pool.stats).idle, 2)
    }))

  /** inside a session, with a turn that a fiber started before it has taken for ten seconds */
  const besides = <A, E>(pool: TestPool, self: Effect.Effect<A, E>) =>
    pool.session(Effect.gen(function*() {
      const busy = yield* Effect.fork(pool.use(() => Effect.sleep("10 seconds")))
      yield* settle
      const exit = yield* timed(self)
      yield* Fiber.interrupt(busy)
      return exit
    }))

  it.scoped("the wait for a turn ends by the caller's deadline, and a caller that won't wait is told", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1, acquireTimeout: "3 seconds" })
      const caller = yield* start(besides(
        pool,
        Effect.all([
          timed(use(pool)),
          timed(use(pool, { timeout: "1 second" })),
          timed(use(pool, { timeout: "1 minute" })),
          timed(Effect.scoped(pool.tryAcquire)),
          timed(AcquireOptions.within(use(pool), { timeout: "2 seconds" })),
          timed(AcquireOptions.within(use(pool), { whenExhausted: "fail" }))
        ], { concurrency: "unbounded" })
      ))
      yield* TestClock.adjust("20 seconds")
      const { exit } = yield* Fiber.join(caller)
      const [three, one, patient, now, two, refused] = yield* exit
      for (const [{ at, exit }, when] of [[one, 1000], [two, 2000], [three, 3000]] as const) {
        assert.strictEqual(failsWith(exit, "AcquireTimeout").phase, "queueing")
        assert.strictEqual(at, when)
      }
      for (const { at, exit } of [now, refused]) {
        failsWith(exit, "TooManyConnections")
        assert.strictEqual(at, 0)
      }
      assert.deepStrictEqual(patient, { exit: Exit.succeed(1), at: 10_000 })
    }))

  it.scoped("the pool's whenExhausted is about the pool, not about turns", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1, whenExhausted: "fail" })
      assert.deepStrictEqual(
        yield* pool.session(Effect.all([use(pool), use(pool), use(pool)], { concurrency: "unbounded" })),
        [1, 1, 1]
      )
    }))

  it.scoped("a caller that is interrupted in the queue leaves it", () =>
    Effect.gen(function*() {
      const pool = yield* two
      const { seen, visit } = watched(pool)
      const gate = yield* Deferred.make<void>()
      yield* pool.session(Effect.gen(function*() {
        const a = yield* start(visit("a", Deferred.await(gate)))
        const b = yield* start(visit("b"))
        const c = yield* start(visit("c"))
        yield* Fiber.interrupt(b)
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.joinAll([a, c])
      }))
      assert.deepStrictEqual(seen.map((line) => line.slice(2)), ["a", "c"])
    }))
})

describe("when a session's connection is gone", () => {
  it.scoped("by invalidate, later calls fail, and so do those that wait; a new session works", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      yield* pool.session(Effect.gen(function*() {
        const scope = yield* Scope.make()
        const waits = yield* Effect.fork(Effect.zipRight(Effect.sleep("1 second"), Effect.exit(use(pool))))
        const lease = yield* Scope.extend(pool.acquire, scope)
        yield* TestClock.adjust("1 second")
        yield* lease.invalidate
        failsWith(yield* Effect.exit(use(pool)), "SessionLost")
        yield* Scope.close(scope, Exit.void)
        failsWith(yield* Fiber.join(waits), "SessionLost")
        failsWith(yield* Effect.exit(use(pool)), "SessionLost")
        failsWith(yield* Effect.exit(Effect.scoped(pool.acquire)), "SessionLost")
        failsWith(yield* Effect.exit(Stream.runDrain(pool.stream(() => Stream.make(1)))), "SessionLost")
      }))
      assert.strictEqual(yield* pool.session(use(pool)), 2)
    }))

  it.scoped("by death, later calls fail and its slot is free for others", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      yield* warm(pool, 1)
      yield* pool.session(Effect.gen(function*() {
        yield* pool.use((connection) => server.kill(connection))
        failsWith(yield* Effect.exit(use(pool)), "SessionLost")
        assert.strictEqual((yield* pool.stats).open, 0)
      }))
      assert.strictEqual(yield* use(pool), 2)
    }))

  for (const how of ["death", "invalidate"] as const) {
    it.scoped(`by ${how}, those who wait or come while somebody still holds it are told at once`, () =>
      Effect.gen(function*() {
        const server = yield* SimulatedServer.make
        const pool = yield* makePool(server, { maxConnections: 1 })
        yield* pool.session(Effect.gen(function*() {
          const lease = yield* pool.acquire
          const inside = start(timed(use(pool)))
          const turns = yield* Effect.zip(start(pool.use(() => Effect.never)), inside)
          yield* how === "death" ? server.kill(lease.connection) : lease.invalidate
          yield* settle
          for (const late of [turns[1], yield* inside]) {
            assert.isTrue(Option.isSome(yield* Fiber.poll(late)))
            const { at, exit } = yield* Fiber.join(late)
            failsWith(exit, "SessionLost")
            assert.strictEqual(at, 0)
          }
        })).pipe(Effect.scoped)
      }))
  }

  it.scoped("with the pool, later calls fail as they do everywhere", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const scope = yield* Scope.make()
      const pool = yield* Scope.extend(makePool(server, { shutdownTimeout: "1 second" }), scope)
      const exit = yield* pool.session(Effect.zipRight(close(scope), Effect.exit(use(pool))))
      failsWith(exit, "PoolClosed")
    }))

  it.scoped("with the pool, those who wait for a turn are told as soon as the connection is taken away", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const scope = yield* Scope.make()
      const pool = yield* Scope.extend(Pool.make({ ...optionsOf(server), shutdownTimeout: "1 second" }), scope)
      const session = yield* start(pool.session(pool.use(() =>
        Effect.gen(function*() {
          yield* Effect.fork(pool.use(() => Effect.never))
          yield* settle
          return yield* timed(use(pool, { timeout: "1 minute" }))
        })
      )))
      yield* start(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 second")
      const { at, exit } = yield* Fiber.join(session)
      failsWith(exit, "PoolClosed")
      assert.strictEqual(at, 1000)
    }))
})

describe("after a session", () => {
  it.scoped("a child that lives on gets its connections from the pool", () =>
    Effect.gen(function*() {
      const pool = yield* two
      const gate = yield* Deferred.make<void>()
      const child = yield* pool.session(
        Effect.forkDaemon(Effect.zipRight(Deferred.await(gate), Effect.map(pool.stats, (stats) => stats.leased)))
      )
      const held = yield* hold(pool)
      const late = yield* pool.session(Effect.forkDaemon(Effect.zipRight(Deferred.await(gate), use(pool))))
      yield* held.end
      const all = [yield* hold(pool), yield* hold(pool)]
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(child), 2)
      yield* settle
      assert.strictEqual((yield* pool.stats).waiting, 1)
      yield* all[0]!.end
      assert.strictEqual(yield* Fiber.join(late), all[0]!.connection.id)
    }))

  it.scoped("a use that a child still runs keeps the connection until it ends", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const gate = yield* Deferred.make<void>()
      const inside = Effect.zipRight(Deferred.await(gate), use(pool))
      const child = yield* pool.session(Effect.zipLeft(Effect.forkDaemon(pool.use(() => inside)), settle))
      assert.strictEqual((yield* pool.stats).leased, 1)
      const next = yield* start(use(pool))
      assert.strictEqual((yield* pool.stats).waiting, 1)
      yield* Deferred.succeed(gate, undefined)
      // what is inside the child's turn still runs in it
      assert.strictEqual(yield* Fiber.join(child), 1)
      assert.strictEqual(yield* Fiber.join(next), 1)
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))

  it.scoped("a use that a child still runs keeps it, although the lease around it was given back", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      const gate = yield* Deferred.make<void>()
      const inside = Effect.zipRight(Deferred.await(gate), use(pool))
      const child = yield* pool.session(Effect.scoped(Effect.zipRight(
        pool.acquire,
        Effect.zipLeft(Effect.forkDaemon(pool.use(() => inside)), settle)
      )))
      yield* settle
      assert.strictEqual(server.open, 1)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(child), 1)
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))

  it.scoped("a child whose turn it would just have been gets a connection of the pool", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      // the end of the use grants the turn, and in the same step the session ends
      const child = yield* pool.session(
        Effect.zipLeft(Effect.forkDaemon(Effect.zipRight(hold(pool), Effect.never)), pool.use(() => settle))
      )
      yield* settle
      assert.deepStrictEqual((yield* pool.holders).map(({ fiberId }) => fiberId), [child.id()])
      yield* Fiber.interrupt(child)
    }))

  it.scoped("those who waited for a turn wait for the pool instead, by the same deadline", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
      const children = yield* pool.session(Effect.gen(function*() {
        const busy = yield* Effect.forkDaemon(pool.use(() => Effect.sleep("1 minute")))
        yield* settle
        const late = yield* Effect.forkDaemon(timed(use(pool, { timeout: "5 seconds" })))
        const patient = yield* Effect.forkDaemon(timed(use(pool, { timeout: "2 minutes" })))
        yield* settle
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* pool.stats).waiting, 0)
        return { busy, late, patient }
      }))
      yield* settle
      assert.strictEqual((yield* pool.stats).waiting, 2)
      yield* TestClock.adjust("1 minute")
      const { at, exit } = yield* Fiber.join(children.late)
      failsWith(exit, "AcquireTimeout")
      assert.strictEqual(at, 5000)
      assert.deepStrictEqual(yield* Fiber.join(children.patient), { exit: Exit.succeed(1), at: 60_000 })
      yield* Fiber.join(children.busy)
    }))

  it.scoped("a lease that was acquired inside has ended, and nobody gets its connection", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      const scope = yield* Scope.make()
      const lease = yield* pool.session(Scope.extend(pool.acquire, scope))
      yield* settle
      assert.strictEqual(server.connections[0]!.closed, 1)
      assert.strictEqual(yield* use(pool), 2)
      // neither of these touches what others have now
      yield* lease.invalidate
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* use(pool), 2)
      assert.strictEqual((yield* pool.stats).closed, 1)
    }))

  it.scoped("a lease inside a turn, acquired by a child with a timeout, has ended too", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1 })
      const scope = yield* Scope.make()
      yield* pool.session(pool.use(() => Effect.timeout(Scope.extend(pool.acquire, scope), "1 second")))
      yield* settle
      assert.strictEqual(server.connections[0]!.closed, 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* use(pool), 2)
    }))

  it.scoped("a stream that was made inside and runs outside takes a connection of its own", () =>
    Effect.gen(function*() {
      const pool = yield* two
      const stream = yield* pool.session(Effect.succeed(pool.stream(({ id }) => Stream.make(id))))
      assert.lengthOf(Array.from(yield* Stream.runCollect(stream)), 1)
      assert.strictEqual((yield* pool.stats).idle, 2)
    }))
})

describe("a session is not inherited", () => {
  it.scoped("by a fiber that waits for one inside", () =>
    Effect.gen(function*() {
      const pool = yield* two
      const gate = yield* Deferred.make<void>()
      const ready = yield* Deferred.make<Fiber.Fiber<number, unknown>>()
      const session = yield* start(pool.session(
        Effect.gen(function*() {
          yield* Deferred.succeed(ready, yield* Effect.forkDaemon(use(pool)))
          yield* Deferred.await(gate)
          return yield* use(pool)
        })
      ))
      const mine = yield* Effect.fork(Effect.zipRight(Effect.flatMap(Deferred.await(ready), Fiber.join), use(pool)))
      const outside = yield* Fiber.join(mine)
      yield* Deferred.succeed(gate, undefined)
      assert.notStrictEqual(yield* Fiber.join(session), outside)
    }))

  it.scoped("through a layer that a fiber inside has built for others too", () =>
    Effect.gen(function*() {
      const pool = yield* two
      const gate = yield* Deferred.make<void>()
      const layer = Layer.effectDiscard(use(pool))
      const memo = yield* Layer.makeMemoMap
      const scope = yield* Effect.scope
      const builder = yield* start(Effect.gen(function*() {
        yield* Layer.buildWithMemoMap(layer, memo, scope)
        return yield* pool.session(Effect.zipRight(Deferred.await(gate), use(pool)))
      }))
      // it gets the builder's references from the layer
      const other = yield* Effect.fork(Effect.gen(function*() {
        yield* Layer.buildWithMemoMap(layer, memo, scope)
        return [yield* Effect.flatMap(Effect.fork(use(pool)), Fiber.join), yield* use(pool)]
      }))
      const [child, own] = yield* Fiber.join(other)
      yield* Deferred.succeed(gate, undefined)
      const inside = yield* Fiber.join(builder)
      assert.notStrictEqual(child, inside)
      assert.notStrictEqual(own, inside)
    }))
})

describe("sessions at random", () => {
  /** up to so many turns of the scheduler, in which others run */
  const pause = Effect.flatMap(Random.nextIntBetween(0, 4), (times) => Effect.repeatN(Effect.yieldNow(), times))

  interface Busy {
    readonly now: Set<number>
    uses: number
    clashes: number
  }

  const oneOf = <A, E>(...all: ReadonlyArray<Effect.Effect<A, E>>) =>
    Effect.flatMap(Random.nextIntBetween(0, all.length), (index) => all[index]!)

  /** uses the connection for a while, during which nobody else may */
  const leaf = (busy: Busy) => ({ id }: { readonly id: number }) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        if (busy.now.has(id)) busy.clashes++
        busy.now.add(id)
        busy.uses++
      }),
      () => pause,
      () => Effect.sync(() => busy.now.delete(id))
    )

  const inside = (pool: TestPool, busy: Busy, depth: number): Effect.Effect<void> => {
    const use = Effect.ignore(pool.use(leaf(busy)))
    const next = Effect.suspend(() => depth === 0 ? use : inside(pool, busy, depth - 1))
    const children = Effect.flatMap(
      Effect.zip(Effect.forkDaemon(next), Effect.forkDaemon(next)),
      ([one, other]) =>
        oneOf(
          Effect.asVoid(Effect.zipRight(Fiber.await(one), Fiber.await(other))),
          Effect.asVoid(Fiber.interrupt(one)),
          Effect.void
        )
    )
    return oneOf<unknown, never>(
      use,
      Effect.zipRight(next, next),
      children,
      Effect.ignore(pool.use(() => next)),
      Effect.ignore(Effect.scoped(Effect.zipRight(pool.acquire, next))),
      Effect.ignore(pool.session(next)),
      Effect.ignore(pool.session(pool.acquire).pipe(Effect.zipRight(next), Effect.scoped))
    ).pipe(Effect.zipRight(pause))
  }

  it("never let two use a connection at once, and lose nothing", () =>
    Steady.steadily(Effect.gen(function*() {
      const busy: Busy = { now: new Set(), uses: 0, clashes: 0 }
      for (let seed = 0; seed < 60; seed++) {
        const server = yield* SimulatedServer.make
        const pool = yield* Steady.makePool(server, { maxConnections: 2, nestedAcquire: "fail" })
        yield* Effect.gen(function*() {
          const users: Array<Fiber.Fiber<unknown, unknown>> = []
          for (let user = 0; user < 4; user++) {
            users.push(yield* Effect.forkDaemon(Effect.ignore(pool.session(inside(pool, busy, 3)))))
            yield* pause
          }
          yield* Fiber.interrupt(users[yield* Random.nextIntBetween(0, 4)]!)
          for (const user of users) yield* Fiber.await(user)
        }).pipe(Effect.withRandom(Random.make(seed)))
        // children that live on end by themselves, or by the deadline
        yield* Steady.settle
        yield* Effect.sleep("1 minute")
        yield* Steady.settle
        const { leased, waiting } = yield* pool.stats
        assert.deepStrictEqual({
          leased,
          waiting,
          busy: busy.now.size,
          clashes: busy.clashes,
          holders: yield* pool.holders
        }, {
          leased: 0,
          waiting: 0,
          busy: 0,
          clashes: 0,
          holders: []
        }, `seed ${seed}`)
        assert.lengthOf(
          new Set(
            yield* Effect.all([pool.use(({ id }) => Effect.as(Steady.settle, id)), use(pool)], { concurrency: 2 })
          ),
          2
        )
      }
      assert.isAbove(busy.uses, 300)
    })))
})
