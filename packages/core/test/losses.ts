/**
 * A pool in some state, and what must hold after anything that was done with it was interrupted: nothing leaks, nothing
 * hangs, and the pool works on.
 */
import * as Pool from "@dbpool/core/Pool"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { Pace } from "./server.js"
import { Server } from "./server.js"
import type { Held, TestOptions, TestPool } from "./support.js"
import { balanced, failsWith, hold, settle, use } from "./support.js"
import type { Cut, Run } from "./sweep.js"
import { ended, sweep } from "./sweep.js"

export interface World {
  readonly server: Server
  readonly pool: TestPool
  readonly scope: Scope.CloseableScope
  readonly held: ReadonlyArray<Held>
  /** callers that wait for a connection */
  readonly waiting: ReadonlyArray<Fiber.RuntimeFiber<number, unknown>>
}

/** a pool with so many idle and lent connections, and callers that wait */
export const makeWorld = (
  { connectTime = 0, idle = 0, leased = 0, waiting = 0, ...options }: TestOptions & {
    readonly connectTime?: Pace
    readonly idle?: number
    readonly leased?: number
    readonly waiting?: number
  }
) =>
  Effect.gen(function*(): Effect.fn.Return<World, unknown, Scope.Scope> {
    const server = new Server()
    const scope = yield* Scope.make()
    const pool = yield* Scope.extend(Pool.make({ ...server.options, ...options }), scope)
    const held = yield* Effect.forEach(Array.from({ length: idle + leased }), () => hold(pool))
    for (const { end } of held.splice(leased)) yield* end
    server.connectTime = connectTime
    const callers = yield* Effect.forEach(Array.from({ length: waiting }), () => Effect.forkScoped(use(pool)))
    if (waiting > 0) yield* settle
    return { server, scope, pool, held, waiting: callers }
  })

/** the others go on: those who hold a connection give it back, and those who waited get one */
const othersGoOn = ({ held, waiting }: World) =>
  Effect.gen(function*() {
    for (const { end } of held) yield* end
    for (const caller of waiting) {
      const exit = yield* ended(caller, "a caller that waited")
      assert.isTrue(Exit.isSuccess(exit), "a caller that waited got an error")
    }
  })

/** nobody holds a connection, nobody waits, the pool still lends, and closes all that it opened */
const nothingLost = (world: World) =>
  Effect.gen(function*() {
    const { pool, scope, server } = world
    yield* othersGoOn(world)
    yield* settle
    const { cancelling, leased, maxConnections, open, reserved, resetting, waiting } = yield* pool.stats
    assert.deepStrictEqual(
      { cancelling, leased, reserved, resetting, waiting },
      { cancelling: 0, leased: 0, reserved: 0, resetting: 0, waiting: 0 }
    )
    assert.isAtMost(open, maxConnections)
    const lent = yield* ended(yield* Effect.fork(use(pool)), "the next caller")
    assert.isTrue(Exit.isSuccess(lent))
    yield* ended(yield* Effect.fork(Scope.close(scope, Exit.void)), "the shutdown")
    yield* balanced(server, pool)
  })

/** the pool has closed, or does so as soon as those who hold a connection give it back */
export const closedByNow = ({ held, pool, server, waiting }: World) =>
  Effect.gen(function*() {
    for (const { end } of held) yield* end
    yield* settle
    yield* balanced(server, pool)
    for (const caller of waiting) yield* ended(caller, "a caller that waited")
    const next = yield* ended(yield* Effect.fork(use(pool)), "the next caller")
    failsWith(next, "PoolClosed")
  })

/** Cuts an effect at each of its operations and looks after each for what was lost; returns how the runs ended. */
export const lossless = <E, E2, R>(options: {
  readonly world: Effect.Effect<World, E, R>
  readonly effect: (world: World, cut: Cut) => Effect.Effect<unknown, unknown>
  readonly meanwhile?: ((world: World) => Effect.Effect<unknown, E2, R>) | undefined
  readonly after?: (world: World, run: Run<unknown, unknown>) => Effect.Effect<unknown, unknown, R>
}) =>
  Effect.gen(function*() {
    const { after = nothingLost, ...rest } = options
    const runs = yield* sweep({
      ...rest,
      after: (world, run) =>
        Effect.tapErrorCause(after(world, run), () => Effect.logError(`after a cut at operation ${run.k}`))
    })
    // even an operation of a single step can be cut before it
    assert.isAbove(runs.length, 1)
    return runs
  })
