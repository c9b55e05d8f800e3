/**
 * What most tests need: a pool over a fake server whose books are checked when the test ends, and time to settle.
 */
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as Failure from "@dbpool/testing/Failure"
import * as Reactivity from "@effect/experimental/Reactivity"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { FakeServer } from "./server.js"

/** A pool in the test's scope. At the end of a test that went well every lease is back, and every connection closed. */
export const makePool = <RS = never, RR = never>(server: FakeServer, options: SqlPool.Options<RS, RR> = {}) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const pool = yield* Scope.extend(
      SqlPool.make(server.driver, { initialize: "lazy", ...options }),
      scope
    ).pipe(Effect.provide(Reactivity.layer))
    yield* Effect.addFinalizer((exit) =>
      Effect.gen(function*() {
        yield* settle
        const { leased } = yield* pool.stats
        yield* Scope.close(scope, Exit.void)
        if (Exit.isFailure(exit)) return
        assert.strictEqual(leased, 0, "a lease was never given back")
        for (const { closed, id } of server.connections) {
          assert.strictEqual(closed, 1, `connection ${id} was closed ${closed} times`)
        }
      })
    )
    return pool
  })

/**
 * A pool of one connection, and the server behind it. The connection has been used: one that dies in its first use makes
 * the pool wait before it opens another.
 */
export const makeOne = (options: SqlPool.Options = {}, server = new FakeServer()) =>
  Effect.gen(function*() {
    const pool = yield* makePool(server, { name: "test", maxConnections: 1, ...options })
    yield* pool.client`select 1`
    server.log.length = 0
    return { server, pool, sql: pool.client }
  })

/** lets everything run that needs no time: fibers go on in microtasks, and those are done when it is the loop's turn */
export const settle = Effect.async<void>((resume) => {
  setImmediate(() => setImmediate(() => setImmediate(() => resume(Effect.void))))
})

/** starts something in the background and lets it run until it waits */
export const start = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.zipLeft(Effect.forkDaemon(self), settle)

/** the typed error of an exit that must have one */
export const failure = Failure.of

/** runs something that must fail with an error of a given tag */
export const failsWith = <A, E, R, T extends Extract<E, { readonly _tag: string }>["_tag"]>(
  self: Effect.Effect<A, E, R>,
  tag: T
) => Effect.map(Effect.exit(self), (exit) => Failure.tagged(exit, tag))
