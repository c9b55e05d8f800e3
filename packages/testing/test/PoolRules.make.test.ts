/**
 * `PoolRules.make`: a test that breaks a rule fails by itself, one that does not passes, and one that has failed already
 * keeps its own error.
 */
import * as AcquireOptions from "@dbpool/core/AcquireOptions"
import * as PoolRules from "@dbpool/testing/PoolRules"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"

const make = Effect.flatMap(SimulatedServer.make, (server) =>
  Effect.map(
    PoolRules.make({ ...server.options, name: "made", maxConnections: 2 }, { tolerance: "1 millis" }),
    (watched) => ({ ...watched, server })
  ))

const messageOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit) ? "it passed" : Cause.squash(exit.cause) instanceof Error
    ? (Cause.squash(exit.cause) as Error).message
    : String(Cause.squash(exit.cause))

describe("PoolRules.make", () => {
  it.effect("lets a sound pool pass, and the time that its closing takes", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const { pool, server } = yield* make
        yield* Effect.all([pool.use(({ query }) => query), pool.use(({ begin }) => begin)], { concurrency: 2 })
        yield* server.always("close", { takes: "never" })
      }))
    }))

  it.live("works on the real clock", () =>
    Effect.scoped(Effect.gen(function*() {
      const { check, pool, server } = yield* make
      yield* server.always("query", { takes: "2 millis" })
      yield* Effect.all(Array.from({ length: 50 }, () => pool.use(({ query }) => query)), { concurrency: "unbounded" })
      yield* check
      assert.strictEqual(server.calls.query, 50)
    })))

  it.effect("fails a test that has broken a rule, and says which and what had happened", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
        const { pool } = yield* make
        // a user who goes on using what he has given back
        const kept = yield* Effect.scoped(Effect.map(pool.acquire, ({ connection }) => connection))
        yield* pool.use(() => Effect.void)
        yield* Effect.fork(Effect.delay(kept.begin, "1 second"))
        yield* TestClock.adjust("1 second")
        yield* pool.use(() => Effect.void)
      })))
      const message = messageOf(exit)
      assert.include(message, "Pool \"made\" has broken rule 8 (never lent: ")
      assert.include(message, "): connection 1 was lent while dirty")
      assert.include(message, "\n  0 ms: call 1 gets connection 1")
    }))

  it.effect("leaves a test that has failed its own error", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
        const { pool } = yield* make
        const kept = yield* Effect.scoped(Effect.map(pool.acquire, ({ connection }) => connection))
        yield* kept.begin
        yield* pool.use(() => Effect.void)
        return yield* Effect.fail("my own")
      })))
      assert.strictEqual(messageOf(exit), "my own")
    }))

  it.effect("finds a fiber that a hook has left in the closed pool", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const options = {
        ...server.options,
        connect: Effect.tap(server.options.connect, Effect.forkDaemon(Effect.never))
      }
      const exit = yield* Effect.exit(Effect.scoped(PoolRules.make(options)))
      assert.include(messageOf(exit), "1 fibers of the closed pool still run")
    }))

  it.effect("finds a pool that takes too long to close", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const options = {
        ...server.options,
        shutdownTimeout: "3 seconds",
        // what a hook adds to the pool's own scope holds up the pool
        validate: () => Effect.addFinalizer(() => Effect.sleep("1 hour"))
      } as const
      const exit = yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
        const { pool } = yield* PoolRules.make(options, { tolerance: "1 millis" })
        yield* TestClock.adjust("2 seconds")
        yield* pool.use(({ query }) => query)
      })))
      assert.include(messageOf(exit), "the pool was not closed after 17001 ms")
    }))

  it.effect("closes what was opened when the pool cannot be made", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.next("connect", { fails: new SimulatedServer.ServerError({ message: "no", fault: "fatal" }) })
      const made = yield* Effect.exit(Effect.scoped(PoolRules.make(server.options)))
      assert.include(messageOf(made), "no")
      const wrong = yield* Effect.exit(Effect.scoped(PoolRules.make(server.options, { tolerance: -1 })))
      assert.include(messageOf(wrong), "tolerance")
      assert.strictEqual(server.open, 0)
    }))
})

describe("a watched pool", () => {
  it.scoped("does what the pool inside does", () =>
    Effect.gen(function*() {
      const { pool, server } = yield* make
      const [one, other] = yield* Effect.all([
        pool.use(({ query }) => Effect.delay(query, "1 second")),
        pool.use(({ query }) => Effect.delay(query, "1 second"))
      ], { concurrency: "unbounded" }).pipe(
        Effect.fork,
        Effect.tap(TestClock.adjust("2 seconds")),
        Effect.flatMap(Fiber.join)
      )
      assert.notStrictEqual(one, other)
      yield* pool.resize({ maxConnections: 1 })
      assert.strictEqual((yield* pool.stats).maxConnections, 1)
      const held = yield* pool.acquire
      const refused = yield* Effect.flip(Effect.scoped(pool.tryAcquire))
      assert.strictEqual(refused._tag, "TooManyConnections")
      const late = yield* Effect.fork(Effect.flip(
        pool.use(() => Effect.void).pipe(AcquireOptions.within({ timeout: "3 seconds" }))
      ))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(late))._tag, "AcquireTimeout")
      yield* held.invalidate
      assert.strictEqual(
        yield* pool.session(Effect.all([pool.use(({ id }) => Effect.succeed(id)), server.calm])).pipe(
          Effect.map(([id]) => id)
        ),
        server.connections.at(-1)!.id
      )
      const invalid = yield* Effect.flip(pool.resize({ maxConnections: 0 }))
      assert.strictEqual(invalid._tag, "InvalidPoolConfig")
    }))
})
