import * as SharingPool from "@dbpool/core/SharingPool"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scheduler from "effect/Scheduler"
import * as TestClock from "effect/TestClock"
import * as Tracer from "effect/Tracer"
import type { TestPool } from "./support.js"
import { failsWith, hold, makePool, optionsOf, settle, start, use, warm } from "./support.js"

type Connection = SimulatedServer.Connection

/** operations that end when the test says so */
const makeBench = () => {
  const began: Array<string> = []
  const abandoned: Array<string> = []
  const ends = new Map<string, (exit: Exit.Exit<string, string>) => void>()
  const operation =
    (name: string) => (connection: Connection, done: (exit: Exit.Exit<string, string>) => void, alone = true) => {
      began.push(alone ? `${name} on ${connection.id}` : `${name} shares ${connection.id}`)
      ends.set(name, done)
      return () => void abandoned.push(name)
    }
  const end = (name: string, exit: Exit.Exit<string, string> = Exit.succeed(name)) =>
    Effect.sync(() => ends.get(name)!(exit))
  return { began, abandoned, operation, end }
}

/** runs whatever is scheduled in the very step that schedules it */
const atOnce: Scheduler.Scheduler = { shouldYield: () => false, scheduleTask: (task) => task() }

const makeOne = (options?: Parameters<typeof makePool>[1]) =>
  Effect.gen(function*() {
    const server = yield* SimulatedServer.make
    const pool = yield* makePool(server, { maxConnections: 1, ...options })
    yield* warm(pool, 1)
    return { server, pool, ...makeBench() }
  })

const settled = (pool: TestPool) =>
  Effect.map(pool.stats, ({ idle, leased, waiting }) => assert.deepStrictEqual([idle, leased, waiting], [1, 0, 0]))

describe("a call", () => {
  it.scoped("answers with what the operation ends with, and gives the connection back", () =>
    Effect.gen(function*() {
      const { began, end, operation, pool } = yield* makeOne()
      const well = yield* start(pool.call(operation("a")))
      assert.deepStrictEqual(began, ["a on 1"])
      assert.strictEqual((yield* pool.stats).leased, 1)
      yield* end("a")
      assert.strictEqual(yield* Fiber.join(well), "a")
      const badly = yield* start(Effect.flip(pool.call(operation("b"))))
      yield* end("b", Exit.fail("no"))
      assert.strictEqual(yield* Fiber.join(badly), "no")
      yield* settled(pool)
    }))

  it.scoped("that comes next starts in the very step in which the one before it ends", () =>
    Effect.gen(function*() {
      const { began, end, operation, pool } = yield* makeOne()
      const all = yield* start(
        Effect.forEach(["a", "b", "c"], (name) => pool.call(operation(name)), { concurrency: "unbounded" })
      )
      yield* Effect.zipRight(end("a"), end("b"))
      assert.deepStrictEqual(began, ["a on 1", "b on 1", "c on 1"])
      yield* end("c")
      assert.deepStrictEqual(yield* Fiber.join(all), ["a", "b", "c"])
      yield* settled(pool)
    }))

  it.scoped("stands in one queue with all others", () =>
    Effect.gen(function*() {
      const { began, end, operation, pool } = yield* makeOne()
      const held = yield* hold(pool)
      const first = yield* start(pool.call(operation("a")))
      const second = yield* start(use(pool))
      const third = yield* start(pool.call(operation("b")))
      yield* Effect.zipRight(held.end, settle)
      assert.deepStrictEqual(began, ["a on 1"])
      yield* end("a")
      yield* settle
      assert.deepStrictEqual(began, ["a on 1", "b on 1"])
      yield* end("b")
      yield* Effect.all([Fiber.join(first), Fiber.join(second), Fiber.join(third)])
    }))

  it.scoped("may end at once, and only once", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeOne()
      const result = yield* pool.call<string, never>((_, done) => {
        done(Exit.succeed("first"))
        done(Exit.succeed("second"))
        return () => assert.fail("it was over")
      })
      assert.strictEqual(result, "first")
      yield* settled(pool)
    }))

  it.scoped("whose operation throws dies, and gives the connection back", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeOne()
      const exit = yield* Effect.exit(pool.call(() => {
        throw new Error("oops")
      }))
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      yield* settled(pool)
    }))

  it.scoped("that is interrupted abandons its operation, and what goes on all the same is cancelled", () =>
    Effect.gen(function*() {
      const { abandoned, end, operation, pool, server } = yield* makeOne()
      const fiber = yield* start(pool.call(operation("a")))
      yield* server.connections[0]!.leave("busy")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(abandoned, ["a"])
      yield* settle
      assert.strictEqual(server.calls.cancel, 1)
      // too late: the connection may be somebody else's
      const held = yield* hold(pool)
      yield* end("a")
      assert.strictEqual((yield* pool.stats).leased, 1)
      yield* held.end
      yield* settled(pool)
    }))

  it.scoped("that is interrupted while it waits never starts", () =>
    Effect.gen(function*() {
      const { abandoned, began, operation, pool } = yield* makeOne()
      const held = yield* hold(pool)
      yield* Effect.flatMap(start(pool.call(operation("a"))), Fiber.interrupt)
      yield* held.end
      yield* settle
      assert.deepStrictEqual([began, abandoned], [[], []])
      yield* settled(pool)
    }))

  it.scoped("that ends at once hands on to the next, however many there are", () =>
    Effect.gen(function*() {
      const { pool } = yield* makeOne({ nestedAcquire: "allow" })
      const held = yield* hold(pool)
      const one = pool.call<number, never>(({ id }, done) => {
        done(Exit.succeed(id))
        return () => {}
      })
      const all = yield* start(Effect.all(Array.from({ length: 3000 }, () => one), { concurrency: "unbounded" }))
      assert.strictEqual((yield* pool.stats).waiting, 3000)
      yield* held.end
      assert.lengthOf(yield* Fiber.join(all), 3000)
      yield* settled(pool)
    }))

  it.scoped("that is interrupted before it starts, in the moment in which it was served, never does", () =>
    Effect.gen(function*() {
      const { began, operation, pool } = yield* makeOne({ maxConnections: 2 })
      yield* warm(pool, 2)
      yield* pool.suspend
      const fibers: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
      const murderous = (connection: Connection, done: (exit: Exit.Exit<string, string>) => void) => {
        fibers[1]!.unsafeInterruptAsFork(fibers[1]!.id())
        return operation("a")(connection, done)
      }
      fibers.push(yield* start(Effect.withScheduler(pool.call(murderous), atOnce)))
      fibers.push(yield* start(Effect.withScheduler(pool.call(operation("b")), atOnce)))
      yield* pool.resume
      assert.lengthOf(began, 1)
      assert.deepStrictEqual(yield* Effect.map(pool.stats, ({ idle, leased }) => [idle, leased]), [1, 1])
      yield* Fiber.interrupt(fibers[0]!)
    }))

  it.scoped("that is interrupted by its own operation, while that starts, abandons it before anybody else starts", () =>
    Effect.gen(function*() {
      const { abandoned, began, operation, pool } = yield* makeOne()
      const held = yield* hold(pool)
      const fibers: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
      fibers.push(
        yield* start(Effect.withScheduler(
          pool.call((connection, done) => {
            fibers[0]!.unsafeInterruptAsFork(fibers[0]!.id())
            return operation("a")(connection, done)
          }),
          atOnce
        ))
      )
      fibers.push(
        yield* start(pool.call((connection, done) => {
          assert.deepStrictEqual(abandoned, ["a"])
          return operation("b")(connection, done)
        }))
      )
      yield* held.end
      assert.deepStrictEqual(began, ["a on 1", "b on 1"])
      yield* Fiber.interrupt(fibers[1]!)
    }))

  it.scoped("that is interrupted by an operation of the same moment gives its connection back", () =>
    Effect.gen(function*() {
      const { operation, pool } = yield* makeOne({ maxConnections: 2 })
      yield* warm(pool, 2)
      yield* pool.suspend
      const fibers: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
      const murderous = (connection: Connection, done: (exit: Exit.Exit<string, string>) => void) => {
        fibers[1]!.unsafeInterruptAsFork(fibers[1]!.id())
        return operation("a")(connection, done)
      }
      fibers.push(yield* start(pool.call(murderous)))
      fibers.push(yield* start(pool.call(operation("b"))))
      yield* pool.resume
      yield* settle
      assert.strictEqual((yield* pool.stats).leased, 1)
      yield* Fiber.interrupt(fibers[0]!)
      assert.strictEqual((yield* pool.stats).idle, 2)
    }))

  it.scoped("fails as `use` does", () =>
    Effect.gen(function*() {
      const { operation, pool } = yield* makeOne()
      const held = yield* hold(pool)
      failsWith(yield* Effect.exit(pool.call(operation("a"), { whenExhausted: "fail" })), "TooManyConnections")
      failsWith(yield* Effect.exit(pool.call(operation("a"), { timeout: -1 })), "InvalidPoolConfig")
      const late = yield* start(Effect.exit(pool.call(operation("a"), { timeout: "1 second" })))
      yield* TestClock.adjust("1 second")
      failsWith(yield* Fiber.join(late), "AcquireTimeout")
      yield* held.end
    }))

  it.scoped("is a holder like any other, and reported when it holds for too long", () =>
    Effect.gen(function*() {
      const { end, operation, pool } = yield* makeOne({ leakDetectionThreshold: "10 seconds" })
      const fiber = yield* start(Effect.withSpan(pool.call(operation("a")), "report"))
      yield* TestClock.adjust("10 seconds")
      const [holder] = yield* pool.holders
      assert.deepStrictEqual([holder!.heldMillis, holder!.span], [10_000, "report"])
      assert.strictEqual((yield* pool.stats).overdue, 1)
      yield* end("a")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* pool.holders, [])
    }))

  it.scoped("in a session takes its turn on the session's connection", () =>
    Effect.gen(function*() {
      const { began, end, operation, pool } = yield* makeOne()
      const fiber = yield* start(pool.session(Effect.gen(function*() {
        const child = yield* Effect.fork(pool.call(operation("a")))
        yield* settle
        const other = yield* Effect.fork(pool.call(operation("b")))
        yield* settle
        assert.deepStrictEqual(began, ["a on 1"])
        yield* end("a")
        yield* settle
        yield* end("b")
        return yield* Fiber.joinAll([child, other])
      })))
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["a", "b"])
      assert.deepStrictEqual(began, ["a on 1", "b on 1"])
      yield* settled(pool)
    }))

  it.scoped("shows how long it waited to a tracer that looks", () =>
    Effect.gen(function*() {
      const { began, end, operation, pool } = yield* makeOne()
      const names: Array<string> = []
      const tracer = Tracer.make({
        context: (f) => f(),
        span: (name, parent, context, links, startTime, kind) => {
          names.push(name)
          return {
            ...{ _tag: "Span", name, parent, context, links, kind, sampled: true, spanId: "1", traceId: "1" } as const,
            ...{ attributes: new Map(), status: { _tag: "Started", startTime } } as const,
            ...{ attribute() {}, event() {}, end() {}, addLinks() {} }
          }
        }
      })
      const held = yield* hold(pool)
      const fiber = yield* start(Effect.withTracer(pool.call(operation("a")), tracer))
      assert.deepStrictEqual(names, ["pool.acquire"])
      yield* Effect.zipRight(held.end, settle)
      assert.deepStrictEqual(began, ["a on 1"])
      yield* end("a")
      yield* Fiber.join(fiber)
    }))
})

describe("an operation that is over", () => {
  it.scoped("is not abandoned, whichever way it went", () =>
    Effect.gen(function*() {
      const { abandoned, end, operation, pool } = yield* makeOne()
      const call = pool.call(operation("a"))
      for (const way of [call, pool.session(call)]) {
        const fiber = yield* start(Effect.exit(way))
        yield* end("a")
        fiber.unsafeInterruptAsFork(fiber.id())
        yield* Fiber.await(fiber)
        assert.deepStrictEqual(abandoned, [])
      }
    }))
})

describe("calls that share", () => {
  const makeShared = Effect.gen(function*() {
    const server = yield* SimulatedServer.make
    const pool = yield* SharingPool.make({
      ...optionsOf(server),
      maxConnections: 1,
      sharing: { maxLeases: 2 }
    })
    yield* pool.use(() => Effect.void)
    return { server, pool, ...makeBench() }
  })

  it.scoped("run side by side, up to as many as may, and then wait", () =>
    Effect.gen(function*() {
      const { began, end, operation, pool } = yield* makeShared
      const all = yield* start(
        Effect.forEach(["a", "b", "c"], (name) => pool.shareCall(operation(name)), { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(began, ["a shares 1", "b shares 1"])
      assert.strictEqual((yield* pool.stats).waiting, 1)
      yield* end("b")
      assert.deepStrictEqual(began, ["a shares 1", "b shares 1", "c shares 1"])
      yield* Effect.zipRight(end("a"), end("c"))
      assert.deepStrictEqual(yield* Fiber.join(all), ["a", "b", "c"])
      assert.strictEqual((yield* pool.stats).idle, 1)
    }))

  it.scoped("have a session's connection alone", () =>
    Effect.gen(function*() {
      const { began, end, operation, pool } = yield* makeShared
      const fiber = yield* start(pool.session(pool.shareCall(operation("a"))))
      assert.deepStrictEqual(began, ["a on 1"])
      yield* end("a")
      yield* Fiber.join(fiber)
    }))
})
