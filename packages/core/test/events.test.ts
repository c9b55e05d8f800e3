import type { PoolOccurrence } from "@dbpool/core/PoolEvent"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { TestPool } from "./support.js"
import { close, hold, logged, makePool, refusal, settle, start, use } from "./support.js"

/** everything that happens from now on, without what is the same in all of them */
const listen = (pool: TestPool) =>
  Effect.gen(function*() {
    const heard: Array<PoolOccurrence> = []
    yield* start(Stream.runForEach(pool.events, ({ at: _, pool: __, ...event }) =>
      Effect.sync(() =>
        heard.push(event as PoolOccurrence)
      )))
    return Effect.map(settle, () =>
      heard.splice(0))
  })

const tags = (events: ReadonlyArray<{ readonly _tag: string }>) => events.map(({ _tag }) => _tag)

describe("events", () => {
  it.scoped("tell the life of a connection", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "100 millis" })
      const pool = yield* makePool(server, { idleTimeout: "1 minute" })
      const heard = yield* listen(pool)
      const caller = yield* start(pool.use(() => Effect.sleep("2 seconds")))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(caller)
      assert.deepStrictEqual(yield* heard, [
        { _tag: "ConnectionOpened", connectionId: 1, connectMillis: 100 },
        { _tag: "Acquired", connectionId: 1, waitedMillis: 100 },
        { _tag: "Released", connectionId: 1, heldMillis: 2000 }
      ])
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* heard, [
        { _tag: "ConnectionRetired", connectionId: 1, reason: "idleTimeout", ageMillis: 62_000, uses: 1 },
        { _tag: "ConnectionClosed", connectionId: 1, reason: "idleTimeout", abandoned: false }
      ])
    }))

  it.scoped("carry the name of the pool and the time of its clock", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { name: "orders" })
      yield* TestClock.adjust("5 seconds")
      const first = yield* start(Stream.runHead(pool.events))
      yield* use(pool)
      const event = yield* Effect.flatten(Fiber.join(first))
      assert.deepInclude(event, { pool: "orders", at: 5000 })
    }))

  it.scoped("tell what became of a connection that died while lent, and of one that would not close", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { closeTimeout: "1 second" })
      const held = yield* hold(pool)
      const heard = yield* listen(pool)
      yield* server.kill(held.connection)
      assert.deepStrictEqual(yield* heard, [
        { _tag: "ConnectionRetired", connectionId: 1, reason: "lost", ageMillis: 0, uses: 1 },
        {
          _tag: "TroubleBegan",
          trouble: "outage",
          cause: new SimulatedServer.ServerError({ message: "connection 1 was killed" })
        }
      ])
      yield* held.end
      assert.deepStrictEqual(tags(yield* heard), ["Released", "ConnectionClosed"])
      yield* TestClock.adjust("1 second")
      yield* server.always("close", { takes: "never" })
      const other = yield* hold(pool)
      yield* heard
      yield* other.lease.invalidate
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(
        (yield* heard).at(-1),
        { _tag: "ConnectionClosed", connectionId: 2, reason: "invalidated", abandoned: true }
      )
    }))

  it.scoped("tell of an outage when it begins and ends, and of every attempt", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { failFastAfter: 0, connectTimeout: "1 second" })
      const heard = yield* listen(pool)
      const cause = refusal("no route")
      yield* server.always("connect", { fails: cause })
      yield* Effect.exit(use(pool))
      const told = yield* heard
      assert.deepStrictEqual(tags(told), ["ConnectAttemptFailed", "TroubleBegan", "AcquireRefused"])
      assert.deepInclude(told[0] as object, { connectionId: 1, fault: "transient", cause })
      assert.deepInclude(told[1] as object, { trouble: "outage", cause })
      yield* Effect.exit(use(pool))
      yield* server.always("connect", {})
      yield* TestClock.adjust("10 seconds")
      assert.isTrue((yield* heard).some((event) => event._tag === "TroubleEnded" && event.trouble === "outage"))
    }))

  it.scoped("tell that the server takes no more connections", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.limit(1)
      const pool = yield* makePool(server)
      const held = yield* hold(pool)
      const heard = yield* listen(pool)
      const caller = yield* start(use(pool))
      yield* TestClock.adjust("50 millis")
      assert.deepStrictEqual(tags(yield* heard), ["ConnectAttemptFailed", "TroubleBegan"])
      yield* held.end
      yield* Fiber.join(caller)
    }))

  it.scoped("tell each caller's error, and how long it had waited", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1, acquireTimeout: "3 seconds" })
      yield* hold(pool)
      const heard = yield* listen(pool)
      yield* start(Effect.exit(use(pool)))
      yield* Effect.exit(use(pool, { whenExhausted: "fail" }))
      yield* TestClock.adjust("3 seconds")
      const told = (yield* heard).filter((event) => event._tag === "AcquireRefused")
      assert.deepStrictEqual(
        told.map(({ error, waitedMillis }) => [error._tag, waitedMillis]),
        [["TooManyConnections", 0], ["AcquireTimeout", 3000]]
      )
      const { refused } = yield* pool.stats
      assert.deepInclude(refused, { TooManyConnections: 1, AcquireTimeout: 1, ConnectFailed: 0 })
    }))

  it.scoped("tell of leases that go on for too long, and of callers that hold one and wait for another", () =>
    logged(() =>
      Effect.gen(function*() {
        const pool = yield* makePool(yield* SimulatedServer.make, {
          maxConnections: 1,
          leakDetectionThreshold: "1 minute"
        })
        const heard = yield* listen(pool)
        const caller = yield* start(pool.use(() => Effect.exit(use(pool, { timeout: "2 minutes" }))))
        yield* TestClock.adjust("2 minutes")
        yield* Fiber.join(caller)
        assert.includeMembers(tags(yield* heard), ["NestedWait", "LeaseOverdue"])
        assert.strictEqual((yield* pool.stats).overdue, 1)
      })
    ))

  it.scoped("tell what an operator does", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(yield* SimulatedServer.make)
      const heard = yield* listen(pool)
      yield* pool.resize({ maxConnections: 3 })
      yield* pool.drain({ over: "1 minute", hard: true })
      yield* pool.suspend
      yield* pool.resume
      assert.deepStrictEqual(yield* heard, [
        { _tag: "Resized", maxConnections: 3, minConnections: 0 },
        { _tag: "Drained", overMillis: 60_000, hard: true },
        { _tag: "Suspended" },
        { _tag: "Resumed" }
      ])
    }))

  it.scoped("end after the last connection of a pool that closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* SimulatedServer.make
      const pool = yield* Scope.extend(makePool(server), scope)
      yield* use(pool)
      const all = yield* start(Stream.runCollect(pool.events))
      yield* close(scope)
      assert.deepStrictEqual(tags([...yield* Fiber.join(all)]), ["Closing", "ConnectionRetired", "ConnectionClosed"])
      assert.deepStrictEqual([...yield* Stream.runCollect(pool.events)], [])
    }))

  it.scoped("are only made while somebody listens", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server)
      yield* use(pool)
      const listener = yield* start(Stream.runCount(Stream.take(pool.events, 2)))
      yield* use(pool)
      assert.strictEqual(yield* Fiber.join(listener), 2)
      yield* use(pool)
      // nobody has heard of that one
      const late = yield* start(Stream.runHead(pool.events))
      yield* settle
      yield* use(pool)
      assert.strictEqual((yield* Effect.flatten(Fiber.join(late)))._tag, "Acquired")
    }))
})
