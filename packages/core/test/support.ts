/**
 * What most tests need: a pool whose books are checked when the test ends, callers that hold and wait, and times.
 */
import type { AcquireOptions } from "@dbpool/core/AcquireOptions"
import type * as Pool from "@dbpool/core/Pool"
import type { AcquireError } from "@dbpool/core/PoolError"
import * as Failure from "@dbpool/testing/Failure"
import * as PoolRules from "@dbpool/testing/PoolRules"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"

type Connection = SimulatedServer.Connection

export type TestOptions = Partial<Pool.Options<Connection, SimulatedServer.ServerError, Scope.Scope>>

export type TestPool = Pool.Pool<Connection>

/** opens nothing before somebody wants it */
export const optionsOf = (server: SimulatedServer.SimulatedServer) =>
  ({ name: "test", initialize: "lazy", ...server.options }) as const

export const refusal = (message: string, fault?: Pool.Fault) => new SimulatedServer.ServerError({ message, fault })

/** A pool in the test's scope. When the test ends well, whatever it did, the pool has kept the ten rules. */
export const makePool = (server: SimulatedServer.SimulatedServer, options?: TestOptions) =>
  Effect.gen(function*() {
    const { pool } = yield* PoolRules.make({ ...optionsOf(server), ...options }, { tolerance: "1 millis" })
    yield* Effect.addFinalizer(() => server.calm)
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

export const failure = Failure.of

/** the error of a caller that must have a given tag */
export const failsWith = Failure.tagged

export const use = (pool: TestPool, options?: AcquireOptions) =>
  pool.use((connection) => Effect.succeed(connection.id), options)
