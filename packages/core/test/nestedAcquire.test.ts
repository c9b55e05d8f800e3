import type { AcquireError } from "@dbpool/core/PoolError"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { TestPool } from "./support.js"
import { failsWith, hold, logged, makePool, settle, start, use } from "./support.js"

const one = (nestedAcquire: "allow" | "warn" | "fail") =>
  Effect.flatMap(SimulatedServer.make, (server) => makePool(server, { maxConnections: 1, nestedAcquire }))

type Failure = AcquireError | Cause.TimeoutException

/** the ways a holder's program may come to ask for a second connection */
const nestings: Record<string, (pool: TestPool) => Effect.Effect<unknown, Failure>> = {
  "use in use": (pool) => pool.use(() => use(pool)),
  "acquire in use": (pool) => pool.use(() => Effect.scoped(pool.acquire)),
  "stream in use": (pool) => pool.use(() => Stream.runDrain(pool.stream(() => Stream.make(1)))),
  "session in use": (pool) => pool.use(() => pool.session(Effect.void)),
  "use after acquire": (pool) => Effect.scoped(Effect.zipRight(pool.acquire, use(pool))),
  "use in stream": (pool) => Stream.runDrain(pool.stream(() => Stream.fromEffect(use(pool)))),
  "timeout": (pool) => pool.use(() => Effect.timeout(use(pool), "1 minute")),
  "race": (pool) => pool.use(() => Effect.raceFirst(use(pool), Effect.never)),
  "all": (pool) => pool.use(() => Effect.all([use(pool), Effect.void], { concurrency: 2 })),
  "a stream's fiber": (pool) =>
    pool.use(() => Stream.make(1, 2).pipe(Stream.mapEffect(() => use(pool), { concurrency: 2 }), Stream.runDrain)),
  "forkScoped": (pool) => pool.use(() => Effect.scoped(Effect.flatMap(Effect.forkScoped(use(pool)), Fiber.join))),
  "forkDaemon": (pool) => pool.use(() => Effect.flatMap(Effect.forkDaemon(use(pool)), Fiber.join)),
  "a grandchild": (pool) =>
    pool.use(() => Effect.flatMap(Effect.fork(Effect.flatMap(Effect.fork(use(pool)), Fiber.join)), Fiber.join)),
  "after an acquire with a timeout": (pool) =>
    Effect.scoped(Effect.zipRight(Effect.timeout(pool.acquire, "1 minute"), use(pool))),
  "after acquires side by side": (pool) =>
    Effect.scoped(Effect.zipRight(Effect.all([pool.acquire, Effect.void], { concurrency: 2 }), use(pool))),
  "a child, after an acquire with a timeout": (pool) =>
    Effect.scoped(
      Effect.zipRight(
        Effect.timeout(pool.acquire, "1 minute"),
        Effect.flatMap(Effect.fork(use(pool)), Fiber.join)
      )
    )
}

describe("nestedAcquire: fail", () => {
  for (const [how, program] of Object.entries(nestings)) {
    it.scoped(`refuses at once a caller that would wait for itself: ${how}`, () =>
      Effect.gen(function*() {
        const pool = yield* one("fail")
        failsWith(yield* Effect.exit(program(pool)), "NestedAcquire")
        assert.strictEqual((yield* pool.stats).idle, 1)
        assert.strictEqual(yield* use(pool), 1)
      }))
  }

  it.scoped("names the lease that is held", () =>
    Effect.gen(function*() {
      const pool = yield* one("fail")
      const exit = yield* pool.use(() => Effect.zipRight(TestClock.adjust("2 seconds"), use(pool))).pipe(
        Effect.withSpan("checkout"),
        Effect.exit
      )
      const { holder, message } = failsWith(exit, "NestedAcquire")
      assert.deepInclude(holder, { span: "checkout", heldMillis: 2000, connectionId: 1 })
      assert.include(message, "in span \"checkout\" for 2 s")
    }))

  it.scoped("lets a nested caller have what it need not wait for", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { takes: "1 second" })
      const pool = yield* makePool(server, { maxConnections: 2, nestedAcquire: "fail" })
      const connecting = yield* start(pool.use(() => use(pool)))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(connecting), 2)
      const idle = yield* start(pool.use(() => use(pool)))
      assert.strictEqual(yield* Fiber.join(idle), 2)
    }))

  it.scoped("tells a caller that would not wait anyway what it always did", () =>
    Effect.gen(function*() {
      const pool = yield* one("fail")
      failsWith(yield* Effect.exit(pool.use(() => Effect.scoped(pool.tryAcquire))), "TooManyConnections")
    }))

  it.scoped("does not mind leases of siblings, of other pools, or of children", () =>
    Effect.gen(function*() {
      const pool = yield* one("fail")
      const other = yield* one("fail")
      const done = yield* Deferred.make<void>()
      const sibling = yield* start(pool.use(() => Deferred.await(done)))
      const caller = yield* start(other.use(() => use(pool)))
      const plain = yield* start(use(pool))
      assert.strictEqual((yield* pool.stats).waiting, 2)
      yield* Deferred.succeed(done, undefined)
      yield* Effect.all([Fiber.join(sibling), Fiber.join(caller), Fiber.join(plain)])
    }))

  it.scoped("forgets a lease that has ended, whoever ended it", () =>
    Effect.gen(function*() {
      const pool = yield* one("fail")
      const gate = yield* Deferred.make<void>()
      // a child forked inside a lease that has ended since
      const child = yield* pool.use(() => Effect.forkDaemon(Effect.zipRight(Deferred.await(gate), use(pool))))
      // a lease of this fiber that another one ends
      const scope = yield* Scope.make()
      yield* Scope.extend(pool.acquire, scope)
      yield* Fiber.join(yield* Effect.fork(Scope.close(scope, Exit.void)))
      const rival = yield* hold(pool).pipe(Effect.fork, Effect.flatMap(Fiber.await), Effect.fork)
      yield* settle
      yield* Fiber.join(rival)
      yield* Deferred.succeed(gate, undefined)
      const mine = yield* start(use(pool))
      assert.strictEqual((yield* pool.stats).waiting, 2)
      yield* Fiber.interruptAll([child, mine])
    }))

  it.scoped("does not mind a lease whose connection was invalidated or has died", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* makePool(server, { maxConnections: 1, nestedAcquire: "fail" })
      const invalidated = yield* Effect.scoped(
        Effect.flatMap(pool.acquire, ({ invalidate }) => Effect.zipRight(invalidate, use(pool)))
      )
      assert.strictEqual(invalidated, 2)
      assert.strictEqual(
        yield* pool.use((connection) => Effect.zipRight(server.kill(connection), use(pool))),
        3
      )
    }))

  it.scoped("does not take the pool's own fibers for descendants of whoever made it", () =>
    Effect.gen(function*() {
      const outer = yield* one("fail")
      yield* outer.use(() =>
        Effect.gen(function*() {
          const server = yield* SimulatedServer.make
          const inner = yield* makePool(server, {
            connect: Effect.zipRight(Effect.orDie(use(outer, { timeout: "1 second" })), server.options.connect),
            nestedAcquire: "fail"
          })
          const caller = yield* start(use(inner))
          // it waits, because nothing tells it from any other caller
          assert.strictEqual((yield* outer.stats).waiting, 1)
          yield* Fiber.interrupt(caller)
          yield* TestClock.adjust("1 second")
        })
      )
    }))
})

describe("nestedAcquire: warn", () => {
  const nested = (pool: TestPool, span?: string) => {
    const program = Effect.exit(pool.use(() => use(pool, { timeout: 0 })))
    return Effect.zipLeft(span === undefined ? program : Effect.withSpan(program, span), settle)
  }

  it.scoped("lets the caller wait, and warns once for each span the connection is held in", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
        failsWith(yield* nested(pool, "checkout"), "AcquireTimeout")
        assert.lengthOf(lines, 1)
        assert.match(lines[0]!, /^WARN: Pool "test" has no free connection.* in span "checkout"/)
        yield* nested(pool, "checkout")
        assert.lengthOf(lines, 1)
        yield* nested(pool, "refund")
        yield* nested(pool)
        yield* nested(pool)
        assert.lengthOf(lines, 3)
      })
    ))

  it.scoped("never warns more than a hundred times, whatever the spans are called", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 1 })
        for (let i = 0; i < 120; i++) yield* nested(pool, `order ${i}`)
        assert.lengthOf(lines, 100)
      })
    ))

  it.scoped("says nothing when allowed, or when nobody has to wait", () =>
    logged((lines) =>
      Effect.gen(function*() {
        yield* nested(yield* one("allow"))
        const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 2 })
        yield* pool.use(() => use(pool))
        yield* settle
        assert.deepStrictEqual(lines, [])
      })
    ))
})
