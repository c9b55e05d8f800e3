/**
 * A pool in some state, and what must hold after anything that was done with it was interrupted: nothing leaks, nothing
 * hangs, and the pool works on.
 */
import * as Pool from "@dbpool/core/Pool"
import type * as InterruptSweep from "@dbpool/testing/InterruptSweep"
import * as PoolBooks from "@dbpool/testing/PoolBooks"
import * as PoolRules from "@dbpool/testing/PoolRules"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { settle } from "../steady.js"
import type { Held, TestOptions, TestPool } from "../support.js"
import { failsWith, hold, optionsOf, use } from "../support.js"
import type { Run } from "../sweep.js"
import { ended, sweep } from "../sweep.js"

export interface Subject {
  readonly server: SimulatedServer.SimulatedServer
  readonly pool: TestPool
  readonly scope: Scope.CloseableScope
  /** nothing is left of the pool, which has closed */
  readonly balanced: Effect.Effect<void, PoolRules.RuleBroken>
  readonly held: ReadonlyArray<Held>
  /** callers that wait for a connection */
  readonly waiting: ReadonlyArray<Fiber.RuntimeFiber<number, unknown>>
}

/** a pool with so many idle and lent connections, and callers that wait */
export const makeSubject = (
  { connecting = {}, idle = 0, leased = 0, waiting = 0, ...options }: TestOptions & {
    readonly connecting?: SimulatedServer.Answer
    readonly idle?: number
    readonly leased?: number
    readonly waiting?: number
  }
) =>
  Effect.gen(function*(): Effect.fn.Return<Subject, unknown, Scope.Scope> {
    const server = yield* SimulatedServer.make
    const books = yield* PoolBooks.record({ ...optionsOf(server), nestedAcquire: "allow", ...options })
    const scope = yield* Scope.make()
    const pool = yield* Scope.extend(Pool.make(books.options), scope)
    const held = yield* Effect.forEach(Array.from({ length: idle + leased }), () => hold(pool))
    for (const { end } of held.splice(leased)) yield* end
    yield* server.always("connect", connecting)
    const callers = yield* Effect.forEach(Array.from({ length: waiting }), () => Effect.forkScoped(use(pool)))
    if (waiting > 0) yield* settle
    return { server, scope, pool, balanced: PoolRules.balanced(pool, books), held, waiting: callers }
  })

/** the others go on: those who hold a connection give it back, and those who waited get one */
const othersGoOn = ({ held, waiting }: Subject) =>
  Effect.gen(function*() {
    for (const { end } of held) yield* end
    for (const caller of waiting) {
      const exit = yield* ended(() => caller.unsafePoll(), "a caller that waited")
      assert.isTrue(Exit.isSuccess(exit), "a caller that waited got an error")
    }
  })

/** nobody holds a connection, nobody waits, the pool still lends, and closes all that it opened */
const nothingLost = (subject: Subject) =>
  Effect.gen(function*() {
    const { balanced, pool, scope } = subject
    yield* othersGoOn(subject)
    yield* settle
    const { cancelling, leased, maxConnections, open, reserved, resetting, waiting } = yield* pool.stats
    assert.deepStrictEqual(
      { cancelling, leased, reserved, resetting, waiting },
      { cancelling: 0, leased: 0, reserved: 0, resetting: 0, waiting: 0 }
    )
    assert.isAtMost(open, maxConnections)
    const next = yield* Effect.fork(use(pool))
    assert.isTrue(Exit.isSuccess(yield* ended(() => next.unsafePoll(), "the next caller")))
    const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
    yield* ended(() => closing.unsafePoll(), "the shutdown")
    yield* balanced
  })

/** the pool has closed, or does so as soon as those who hold a connection give it back */
export const closedByNow = ({ balanced, held, pool, waiting }: Subject) =>
  Effect.gen(function*() {
    for (const { end } of held) yield* end
    yield* settle
    yield* balanced
    for (const caller of waiting) yield* ended(() => caller.unsafePoll(), "a caller that waited")
    const next = yield* Effect.fork(use(pool))
    failsWith(yield* ended(() => next.unsafePoll(), "the next caller"), "PoolClosed")
  })

/** Cuts an effect at each of its operations and looks after each for what was lost; returns how the runs ended. */
export const lossless = (options: {
  readonly subject: Effect.Effect<Subject, unknown, Scope.Scope>
  readonly effect: (subject: Subject, cut: InterruptSweep.Cut) => Effect.Effect<unknown, unknown>
  readonly meanwhile?: ((subject: Subject) => Effect.Effect<unknown>) | undefined
  readonly after?: (subject: Subject, run: Run) => Effect.Effect<unknown, unknown, Scope.Scope>
}) => {
  const runs = sweep({ after: nothingLost, ...options })
  // even an operation of a single step can be cut before it
  assert.isAbove(runs.length, 1)
  return runs
}
