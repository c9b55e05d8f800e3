/**
 * A pool whose connections are shared, in the test's scope, and those who share them.
 */
import type * as Pool from "@dbpool/core/Pool"
import * as SharingPool from "@dbpool/core/SharingPool"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { failsWith, optionsOf, warm } from "./support.js"

type Connection = SimulatedServer.Connection
export type SharingPoolOf = SharingPool.SharingPool<Connection>

export interface Options extends Partial<Pool.Options<Connection, SimulatedServer.ServerError, Scope.Scope>> {
  readonly maxLeases?: number
  readonly accepts?: (connection: Connection) => boolean
}

/** opens nothing before somebody wants it; when the test ends, everything that was opened is closed once */
export const makePool = (
  server: SimulatedServer.SimulatedServer,
  { accepts, maxLeases = 10, ...options }: Options = {}
) =>
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
export interface Part {
  readonly id: number
  readonly end: Effect.Effect<void>
  readonly fiber: Fiber.RuntimeFiber<void, unknown>
}

export const share = (pool: SharingPoolOf) =>
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

export const fails = <A, E, R, T extends Extract<E, { readonly _tag: string }>["_tag"]>(
  self: Effect.Effect<A, E, R>,
  tag: T
) => Effect.map(Effect.exit(self), (exit) => failsWith(exit, tag))

/** so many, one after the other */
export const shares = (pool: SharingPoolOf, count: number) => Effect.replicateEffect(share(pool), count)

export const ids = (parts: ReadonlyArray<Part>) => parts.map(({ id }) => id)

/** a pool of so many idle connections */
export const makeWarm = (connections: number, options?: Options) =>
  Effect.gen(function*() {
    const server = yield* SimulatedServer.make
    const pool = yield* makePool(server, { maxConnections: connections, ...options })
    yield* warm(pool, connections)
    return { server, pool }
  })
