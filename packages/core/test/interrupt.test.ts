import * as Pool from "@dbpool/core/Pool"
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Connection } from "./server.js"
import { Server } from "./server.js"
import type { Held, TestPool } from "./support.js"
import { balanced, hold, settle, use } from "./support.js"
import type { Cut } from "./sweep.js"
import { sweep } from "./sweep.js"

interface World {
  readonly server: Server
  readonly pool: TestPool
  readonly scope: Scope.CloseableScope
  readonly held: Held | undefined
}

/** a pool of one connection, which is idle, lent to somebody else, or still to be opened */
const world = (state: "idle" | "leased" | "closed") =>
  Effect.gen(function*() {
    const server = new Server()
    const scope = yield* Scope.make()
    const pool = yield* Scope.extend(Pool.make({ ...server.options, maxConnections: 1 }), scope)
    if (state === "idle") yield* use(pool)
    return { server, scope, pool, held: state === "leased" ? yield* hold(pool) : undefined }
  })

/** the ways a borrower may come to its connection */
const paths = [
  { world: world("idle") },
  { world: world("closed") },
  // after a while the one who holds it gives it back, or at once, so that the hand-off meets the interrupt
  { world: world("leased"), meanwhile: ({ held }: World) => Effect.zipRight(settle, held!.end) },
  { world: world("leased"), meanwhile: ({ held }: World) => held!.end }
]

/** a statement of a few steps, in which others get their turn */
const statement = (connection: Connection) => Effect.zipRight(Effect.yieldNow(), Effect.succeed(connection.id))

const onLease = (acquire: TestPool["acquire"]) =>
  Effect.scoped(Effect.flatMap(acquire, ({ connection }) => statement(connection)))

const borrowers: Record<string, (pool: TestPool) => Effect.Effect<unknown, unknown>> = {
  "use": (pool) => pool.use(statement),
  "acquire": (pool) => onLease(pool.acquire),
  "tryAcquire": (pool) => onLease(pool.tryAcquire),
  "stream": (pool) =>
    Stream.runDrain(Stream.take(pool.stream((connection) => Stream.repeatEffect(statement(connection))), 2)),
  "session": (pool) => pool.session(Effect.zipRight(pool.use(statement), onLease(pool.acquire))),
  "a turn within a turn": (pool) => pool.session(pool.use(() => pool.use(statement))),
  // a child gets the first turn, so that this one has to wait for its own
  "a turn in a session": (pool) =>
    pool.session(
      Effect.forkDaemon(pool.use(statement)).pipe(
        Effect.zipRight(Effect.yieldNow()),
        Effect.zipRight(pool.use(statement))
      )
    ),
  "invalidate": (pool) => Effect.scoped(Effect.flatMap(pool.acquire, ({ invalidate }) => invalidate))
}

/** a clock on which every sleep ends when the cut is reached */
const clockOf = ({ reached }: Cut): Clock.Clock => ({ ...Clock.make(), sleep: () => reached })

/**
 * What may interrupt a borrower. The combinators do it themselves, when the cut is reached: that an interrupt of their
 * own fiber may hang them, right after they forked, is a bug of Effect 3 and not ours to test.
 */
const interrupters: Record<
  string,
  (borrow: Effect.Effect<unknown, unknown>, cut: Cut) => Effect.Effect<unknown, unknown>
> = {
  "an interrupt": (borrow, { interrupt }) => interrupt(borrow),
  "an interrupt that must wait": (borrow, { interrupt }) => Effect.uninterruptible(interrupt(borrow)),
  "Effect.timeout": (borrow, cut) => Effect.withClock(Effect.timeout(cut.stop(borrow), "1 second"), clockOf(cut)),
  "Effect.race": (borrow, { reached, stop }) => Effect.race(stop(Effect.exit(borrow)), reached),
  "Effect.all": (borrow, { reached, stop }) =>
    Effect.all(
      [Effect.zipRight(stop(borrow), Effect.fail("done")), Effect.zipRight(reached, Effect.fail("enough"))],
      { concurrency: "unbounded" }
    )
}

/** nobody holds a connection, nobody waits, the pool still lends, and closes all that it opened */
const nothingLost = ({ pool, scope, server }: World) =>
  Effect.gen(function*() {
    yield* settle
    const { cancelling, leased, reserved, resetting, waiting } = yield* pool.stats
    assert.deepStrictEqual(
      { cancelling, leased, reserved, resetting, waiting },
      { cancelling: 0, leased: 0, reserved: 0, resetting: 0, waiting: 0 }
    )
    yield* use(pool)
    yield* Scope.close(scope, Exit.void)
    yield* settle
    yield* balanced(server, pool)
  })

describe("nothing is lost, at whatever operation it comes, by", () => {
  for (const [how, interrupted] of Object.entries(interrupters)) {
    for (const [what, borrow] of Object.entries(borrowers)) {
      // the combinators interrupt whatever they run alike: the shortest and the longest borrower will do
      if (how.startsWith("Effect.") && what !== "use" && what !== "stream") continue
      it.scoped(`${how} of ${what}`, () =>
        Effect.gen(function*() {
          for (const path of paths) {
            const runs = yield* sweep({
              ...path,
              effect: ({ pool }, cut) => interrupted(borrow(pool), cut),
              after: (world, { k }) =>
                Effect.tapErrorCause(nothingLost(world), () => Effect.logError(`after a cut at operation ${k}`))
            })
            assert.isAbove(runs.length, 5)
          }
        }))
    }
  }
})

describe("a child that waits for its turn in a session", () => {
  it.scoped("loses nothing when it is interrupted, while the session ends too", () =>
    Effect.gen(function*() {
      const runs = yield* sweep({
        world: world("idle"),
        effect: ({ pool }, { interrupt }) =>
          pool.session(Effect.gen(function*() {
            yield* Effect.forkDaemon(pool.use(statement))
            const child = yield* Effect.forkDaemon(interrupt(pool.use(statement)))
            yield* Effect.yieldNow()
            return child
          })).pipe(Effect.flatMap(Fiber.join)),
        after: nothingLost
      })
      assert.isAbove(runs.length, 10)
      assert.isTrue(Exit.isSuccess(runs.at(-1)!.exit))
    }))
})

describe("the sweep", () => {
  /** forgets to give back in one window: between the hand-over and the finalizer */
  const forgetful = (pool: TestPool) =>
    Effect.flatMap(
      Scope.make(),
      (scope) =>
        Effect.flatMap(Scope.extend(pool.acquire, scope), ({ connection }) =>
          Effect.ensuring(statement(connection), Scope.close(scope, Exit.void)))
    )

  const leaks = (borrow: (pool: TestPool) => Effect.Effect<unknown, unknown>) =>
    Effect.gen(function*() {
      const found: Array<number> = []
      const runs = yield* sweep({
        world: world("idle"),
        effect: ({ pool }, { interrupt }) => interrupt(borrow(pool)),
        after: ({ pool }, { k }) =>
          Effect.map(pool.stats, ({ leased }) => {
            if (leased > 0) found.push(k)
          })
      })
      assert.isTrue(Exit.isSuccess(runs.at(-1)!.exit))
      return found
    })

  it.scoped("finds a borrower that forgets to give back in one window", () =>
    Effect.gen(function*() {
      assert.isAbove((yield* leaks(forgetful)).length, 0)
      assert.deepStrictEqual(yield* leaks((pool) => pool.use(statement)), [])
    }))
})
