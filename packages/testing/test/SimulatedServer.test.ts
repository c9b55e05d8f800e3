import * as Pool from "@dbpool/core/Pool"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"

const fault = new SimulatedServer.ServerError({ message: "connection refused" })

/** a server, and a connection to it in the test's scope */
const connected = Effect.gen(function*() {
  const server = yield* SimulatedServer.make
  return { server, connection: yield* server.options.connect }
})

/** whether something is still going on after so long */
const goesOn = (fiber: Fiber.Fiber<unknown, unknown>, time: "0 millis" | "1 second") =>
  Effect.zipRight(TestClock.adjust(time), Effect.map(Fiber.poll(fiber), Option.isNone))

describe("an operation", () => {
  it.scoped("works at once unless told otherwise", () =>
    Effect.gen(function*() {
      const { connection, server } = yield* connected
      assert.strictEqual(yield* connection.query, 1)
      assert.isTrue(yield* server.options.validate(connection))
      assert.deepStrictEqual(
        { ...server.calls },
        { connect: 1, validate: 1, cancel: 0, reset: 0, close: 0, query: 1 }
      )
    }))

  it.scoped("goes as it always goes, from its beginning on", () =>
    Effect.gen(function*() {
      const { connection, server } = yield* connected
      yield* server.always("query", { takes: "1 second" })
      const running = yield* Effect.fork(connection.query)
      assert.isTrue(yield* goesOn(running, "0 millis"))
      yield* server.always("query", { fails: fault })
      assert.isFalse(yield* goesOn(running, "1 second"))
      assert.strictEqual(yield* Fiber.join(running), 1)
      assert.strictEqual(yield* Effect.flip(connection.query), fault)
    }))

  it.scoped("goes by its scripts first, in their order, each as often as it says", () =>
    Effect.gen(function*() {
      const { connection, server } = yield* connected
      const other = new SimulatedServer.ServerError({ message: "again" })
      yield* server.next("query", { fails: fault })
      yield* server.next("query", { fails: other }, 2)
      const seen = yield* Effect.replicateEffect(Effect.option(Effect.flip(connection.query)), 4)
      assert.deepStrictEqual(seen, [Option.some(fault), Option.some(other), Option.some(other), Option.none()])
    }))

  it.scoped("that never ends can be interrupted, unless it is stubborn", () =>
    Effect.gen(function*() {
      const { server } = yield* connected
      yield* server.next("connect", { takes: "never" })
      const patient = yield* Effect.fork(Effect.scoped(server.options.connect))
      assert.isTrue(yield* goesOn(patient, "1 second"))
      yield* Fiber.interrupt(patient)
      yield* server.next("connect", { takes: "1 second", stubborn: true })
      const stubborn = yield* Effect.fork(Effect.scoped(server.options.connect))
      yield* TestClock.adjust(0)
      const interrupting = yield* Effect.fork(Fiber.interrupt(stubborn))
      assert.isTrue(yield* goesOn(interrupting, "0 millis"))
      assert.isFalse(yield* goesOn(interrupting, "1 second"))
    }))

  it.scoped("is forgotten by calm, together with the limit", () =>
    Effect.gen(function*() {
      const { connection, server } = yield* connected
      yield* server.goDeaf
      yield* server.next("query", { fails: fault }, 5)
      yield* server.limit(1)
      yield* server.calm
      yield* connection.query
      yield* server.options.connect
      assert.strictEqual(server.open, 2)
      assert.strictEqual(server.maxOpen, 2)
      assert.strictEqual(server.maxConnecting, 1)
    }))
})

describe("a deaf server", () => {
  it.scoped("answers nothing but lets connections be closed", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const scope = yield* Scope.make()
      const connection = yield* Scope.extend(server.options.connect, scope)
      yield* server.goDeaf
      for (
        const asked of [
          connection.query,
          Effect.scoped(server.options.connect),
          server.options.validate(connection),
          server.options.cancel(connection),
          server.options.reset(connection)
        ]
      ) {
        assert.isTrue(yield* goesOn(yield* Effect.fork(asked as Effect.Effect<unknown, unknown>), "1 second"))
      }
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual([connection.closed, connection.destroyed, connection.open], [1, 0, false])
    }))
})

describe("a connection", () => {
  it.scoped("is busy while a query runs, and dirty in a transaction", () =>
    Effect.gen(function*() {
      const { connection, server } = yield* connected
      yield* server.always("query", { takes: "1 second" })
      const begin = yield* Effect.fork(connection.begin)
      yield* TestClock.adjust(0)
      assert.strictEqual(connection.condition, "busy")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(begin)
      assert.strictEqual(connection.condition, "dirty")
      yield* server.calm
      yield* server.next("query", { fails: fault })
      yield* Effect.flip(connection.commit)
      assert.strictEqual(connection.condition, "dirty")
      yield* connection.query
      assert.strictEqual(connection.condition, "dirty")
      yield* connection.commit
      assert.strictEqual(connection.condition, "clean")
    }))

  it.scoped("notices that two use it at once", () =>
    Effect.gen(function*() {
      const { connection, server } = yield* connected
      yield* server.always("query", { takes: "1 second" })
      const first = yield* Effect.fork(connection.query)
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* Effect.flip(connection.query)).message, "connection 1 is busy with another query")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(first)
    }))

  it.scoped("stays busy when its query is interrupted, until that is cancelled and reset", () =>
    Effect.gen(function*() {
      const { connection, server } = yield* connected
      yield* server.always("query", { takes: "never" })
      const running = yield* Effect.fork(connection.query)
      yield* TestClock.adjust(0)
      yield* Fiber.interrupt(running)
      assert.strictEqual(connection.condition, "busy")
      yield* server.options.cancel(connection)
      assert.strictEqual(connection.condition, "dirty")
      yield* server.options.reset(connection)
      assert.strictEqual(connection.condition, "clean")
    }))

  it.scoped("that is killed ends its query, and says so", () =>
    Effect.gen(function*() {
      const { connection, server } = yield* connected
      const heard: Array<unknown> = []
      server.options.onLost(connection, (cause) => heard.push(cause))
      yield* server.always("query", { takes: "never" })
      const running = yield* Effect.fork(Effect.flip(connection.query))
      yield* TestClock.adjust(0)
      yield* server.kill(connection)
      assert.strictEqual((yield* Fiber.join(running)).message, "connection 1 was killed")
      assert.deepStrictEqual(heard.map(String), ["ServerError: connection 1 was killed"])
      assert.strictEqual(connection.condition, "broken")
      yield* Effect.flip(server.options.reset(connection))
      yield* Effect.flip(connection.query)
    }))

  it.scoped("that is killed unheard looks healthy until it is tried", () =>
    Effect.gen(function*() {
      const { connection, server } = yield* connected
      server.options.onLost(connection, () => assert.fail("it was heard"))
      yield* server.kill(connection, { unheard: true })
      assert.strictEqual(connection.condition, "clean")
      assert.isFalse(yield* server.options.validate(connection))
      yield* Effect.flip(connection.query)
      assert.strictEqual(connection.condition, "broken")
    }))
})

describe("a pool of a simulated server", () => {
  it.scoped("takes its faults for what they are", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.limit(0)
      const options = { ...server.options, initializeTimeout: "1 second" } as const
      const full = yield* Effect.fork(Effect.flip(Effect.scoped(Pool.make(options))))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(full))._tag, "TooManyConnections")
      const locked = new SimulatedServer.ServerError({ message: "password", fault: "fatal" })
      yield* server.always("connect", { fails: locked })
      const error = yield* Effect.flip(Effect.scoped(Pool.make(options)))
      assert.deepStrictEqual(error._tag === "ConnectFailed" ? [error.fatal, error.cause] : error, [true, locked])
    }))

  it.scoped("outlives its restart", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* Pool.make({ ...server.options, maxConnections: 2 })
      assert.strictEqual(yield* pool.use(({ query }) => query), 1)
      yield* server.restart
      assert.strictEqual(server.open, 0)
      assert.strictEqual(yield* pool.use(({ query }) => query), 2)
    }))

  it.scoped("closes a connection although its close fails", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const pool = yield* Pool.make(server.options)
      yield* server.always("close", { fails: fault })
      yield* pool.evictIdle
      yield* TestClock.adjust(0)
      assert.deepStrictEqual([server.connections[0]!.closed, (yield* pool.stats).open], [1, 0])
    }))
})
