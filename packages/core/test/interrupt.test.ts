import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { World } from "./losses.js"
import { lossless, makeWorld } from "./losses.js"
import type { Connection } from "./server.js"
import type { TestPool } from "./support.js"
import { settle } from "./support.js"
import type { Interrupter } from "./sweep.js"
import { interrupters } from "./sweep.js"

/** a pool of one connection, which is idle, lent to somebody else, or still to be opened */
const world = (state: "idle" | "leased" | "closed") =>
  makeWorld({ maxConnections: 1, idle: state === "idle" ? 1 : 0, leased: state === "leased" ? 1 : 0 })

/** the ways a borrower may come to its connection */
const paths = [
  { world: world("idle") },
  { world: world("closed") },
  // after a while the one who holds it gives it back, or at once, so that the hand-off meets the interrupt
  { world: world("leased"), meanwhile: ({ held }: World) => Effect.zipRight(settle, held[0]!.end) },
  { world: world("leased"), meanwhile: ({ held }: World) => held[0]!.end }
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

/** the combinators interrupt whatever they run alike: for them one of the paths will do */
const { "an interrupt": interrupt, ...combinators } = interrupters

describe("nothing is lost, at whatever operation it comes, by", () => {
  for (const [what, borrow] of Object.entries(borrowers)) {
    it.scoped(`an interrupt of ${what}`, () =>
      Effect.forEach(paths, (path) => lossless({ ...path, effect: ({ pool }, cut) => interrupt(borrow(pool), cut) })))

    for (const [how, interrupted] of Object.entries(combinators)) {
      it.scoped(`${how} of ${what}`, () =>
        lossless({ ...paths[2]!, effect: ({ pool }, cut) => interrupted(borrow(pool), cut) }))
    }
  }
})

describe("a child that waits for its turn in a session", () => {
  it.scoped("loses nothing when it is interrupted, while the session ends too", () =>
    Effect.gen(function*() {
      const runs = yield* lossless({
        world: world("idle"),
        effect: ({ pool }, { interrupt }) =>
          pool.session(Effect.gen(function*() {
            yield* Effect.forkDaemon(pool.use(statement))
            const child = yield* Effect.forkDaemon(interrupt(pool.use(statement)))
            yield* Effect.yieldNow()
            return child
          })).pipe(Effect.flatMap(Fiber.join))
      })
      assert.isTrue(Exit.isSuccess(runs.at(-1)!.exit))
    }))
})

describe("the sweep finds", () => {
  /** says what a sweep found */
  const found = (interrupted: Interrupter, borrow: (pool: TestPool) => Effect.Effect<unknown, unknown>) =>
    lossless({ world: world("idle"), effect: ({ pool }, cut) => interrupted(borrow(pool), cut) }).pipe(
      Effect.sandbox,
      Effect.flip,
      Effect.map(Cause.pretty),
      Logger.withMinimumLogLevel(LogLevel.None)
    )

  /** gives nothing back in one window: between the hand-over and the finalizer */
  const forgetful = (pool: TestPool) =>
    Effect.flatMap(
      Scope.make(),
      (scope) =>
        Effect.flatMap(Scope.extend(pool.acquire, scope), ({ connection }) =>
          Effect.ensuring(statement(connection), Scope.close(scope, Exit.void)))
    )

  for (const [how, interrupted] of Object.entries(interrupters)) {
    it.scoped(`a borrower that forgets to give back in one window, by ${how}`, () =>
      Effect.gen(function*() {
        // where an interrupt has to wait, this one lets it in
        const error = yield* found(interrupted, (pool) => Effect.interruptible(forgetful(pool)))
        assert.include(error, "leased")
      }))
  }

  it.scoped("a borrower that never ends when it is interrupted", () =>
    Effect.gen(function*() {
      const error = yield* found(interrupt, (pool) => Effect.onInterrupt(pool.use(statement), () => Effect.never))
      assert.match(error, /what was cut at operation \d+ hangs/)
    }))
})
