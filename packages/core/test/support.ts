/**
 * What most tests need: a pool whose books are checked when the test ends, callers that hold and wait, and times.
 */
import type { AcquireOptions } from "@dbpool/core/AcquireOptions"
import * as Pool from "@dbpool/core/Pool"
import type { AcquireError } from "@dbpool/core/PoolError"
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type { Connection, Refused, Server } from "./server.js"

export type TestOptions = Partial<Pool.Options<Connection, Refused, Scope.Scope>>

export type TestPool = Pool.Pool<Connection>

/** A pool in the test's scope. When the test ends well, whatever it did, every connection must be closed, once. */
export const makePool = (server: Server, options?: TestOptions) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const pool = yield* Scope.extend(Pool.make({ ...server.options, ...options }), scope)
    yield* Effect.addFinalizer((exit) =>
      Effect.gen(function*() {
        server.calm()
        yield* close(scope)
        if (Exit.isSuccess(exit)) yield* balanced(server, pool)
      })
    )
    return pool
  })

/** closes a scope, with all the time that takes */
export const close = (scope: Scope.CloseableScope) =>
  Effect.gen(function*() {
    const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
    yield* settle
    if (Option.isNone(yield* Fiber.poll(closing))) yield* TestClock.adjust("1 minute")
    yield* Fiber.join(closing)
  })

/** nothing is left after the pool has closed */
export const balanced = (server: Server, pool: TestPool) =>
  Effect.gen(function*() {
    for (const { closed, destroyed, id } of server.connections) {
      assert.isTrue(
        closed + destroyed > 0 && closed <= 1 && destroyed <= 1,
        `connection ${id} was closed ${closed} times, destroyed ${destroyed} times`
      )
    }
    const { closed, idle, leased, open, opened, waiting } = yield* pool.stats
    assert.deepStrictEqual({ open, idle, leased, waiting }, { open: 0, idle: 0, leased: 0, waiting: 0 })
    assert.strictEqual(closed, opened)
  })

/** lets everything run that needs no time: fibers go on in microtasks, and those are done when it is the loop's turn */
export const settle = Effect.async<void>((resume) => {
  setImmediate(() => setImmediate(() => resume(Effect.void)))
})

/** what is logged by everything that runs inside, the pools made there included */
export const logged = <A, E, R>(self: (lines: ReadonlyArray<string>) => Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    lines.push(`${logLevel.label}: ${Array.isArray(message) ? message.join(" ") : message}`)
  })
  return Effect.provide(self(lines), Logger.add(logger))
}

/** starts a caller in the background and lets it run until it waits */
export const start = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.zipLeft(Effect.forkScoped(self), settle)

/** a lease that lasts until `end` */
export interface Held {
  readonly connection: Connection
  readonly lease: Pool.Lease<Connection>
  readonly end: Effect.Effect<void>
}

export const hold = (pool: TestPool, options: AcquireOptions = {}): Effect.Effect<Held, AcquireError, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const lease = yield* Scope.extend(pool.acquireWith(options), scope)
    return { lease, connection: lease.connection, end: Scope.close(scope, Exit.void) }
  })

/** opens so many connections that are idle afterwards */
export const warm = (pool: TestPool, count: number) =>
  Effect.gen(function*() {
    const held = yield* start(Effect.all(Array.from({ length: count }, () => hold(pool)), { concurrency: "unbounded" }))
    yield* TestClock.adjust("1 second")
    yield* Effect.forEach(yield* Fiber.join(held), ({ end }) => end)
  })

/** what became of an effect, and when, in milliseconds of the test's clock */
export const timed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const exit = yield* Effect.exit(self)
    return { exit, at: yield* Clock.currentTimeMillis }
  })

/** the typed error of an exit that must have one */
export const failure = <A, E>(exit: Exit.Exit<A, E>): E => {
  if (Exit.isSuccess(exit)) return assert.fail("it succeeded")
  return Option.getOrElse(Cause.failureOption(exit.cause), () => assert.fail(Cause.pretty(exit.cause)))
}

/** the error of a caller that must have a given tag */
export const failsWith = <E extends { readonly _tag: string }, T extends E["_tag"]>(
  exit: Exit.Exit<unknown, E>,
  tag: T
): Extract<E, { readonly _tag: T }> => {
  const error = failure(exit)
  assert.strictEqual(error._tag, tag)
  return error as Extract<E, { readonly _tag: T }>
}

export const use = (pool: TestPool, options?: AcquireOptions) =>
  pool.use((connection) => Effect.succeed(connection.id), options)
