import * as InterruptSweep from "@dbpool/testing/InterruptSweep"
import type * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { settle } from "../steady.js"
import type { TestPool } from "../support.js"
import type { Subject } from "./losses.js"
import { lossless, makeSubject } from "./losses.js"

/** a pool of one connection, which is idle, lent to somebody else, or still to be opened */
const subject = (state: "idle" | "leased" | "closed") =>
  makeSubject({ maxConnections: 1, idle: state === "idle" ? 1 : 0, leased: state === "leased" ? 1 : 0 })

/** the ways a borrower may come to its connection */
const idle = { subject: subject("idle") }
const paths = [
  // after a while the one who holds it gives it back
  { subject: subject("leased"), meanwhile: ({ held }: Subject) => Effect.zipRight(settle, held[0]!.end) },
  // or at once, so that the hand-off meets the interrupt
  { subject: subject("leased"), meanwhile: ({ held }: Subject) => held[0]!.end },
  { subject: subject("closed") },
  idle
]

/** a statement of a few steps, in which others get their turn */
const statement = (connection: SimulatedServer.Connection) =>
  Effect.zipRight(Effect.yieldNow(), Effect.succeed(connection.id))

const onLease = (acquire: TestPool["acquire"]) =>
  Effect.scoped(Effect.flatMap(acquire, ({ connection }) => statement(connection)))

const borrowers: Record<string, (pool: TestPool) => Effect.Effect<unknown, unknown>> = {
  "use": (pool) => pool.use(statement),
  "call": (pool) =>
    Effect.flatMap(Effect.runtime<never>(), (runtime) =>
      pool.call<number, never>((connection, done) => {
        const fiber = Runtime.runFork(runtime)(statement(connection))
        fiber.addObserver(done)
        return () => fiber.unsafeInterruptAsFork(fiber.id())
      })),
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
    )
}

/** those come to their connection as the others do */
const turns = ["a turn within a turn", "a turn in a session"]
const lasting = ["stream", "session", ...turns]

/** the combinators interrupt whatever they run alike: for them one of the paths will do */
const { interrupt, uninterruptible: lateInterrupt, ...combinators } = InterruptSweep.interrupters

describe("nothing is lost, at whatever operation it comes, by", () => {
  for (const [what, borrow] of Object.entries(borrowers)) {
    it(`an interrupt of ${what}`, () => {
      for (const path of lasting.includes(what) ? paths.slice(0, 1) : paths) {
        lossless({ ...path, effect: ({ pool }, cut) => interrupt(borrow(pool), cut) })
      }
    })

    if (turns.includes(what)) continue
    for (const [how, interrupted] of Object.entries(combinators)) {
      it(`Effect.${how} of ${what}`, () => {
        lossless({ ...idle, effect: ({ pool }, cut) => interrupted(borrow(pool), cut) })
      })
    }
  }
})

describe("an interrupt that must wait", () => {
  it("loses nothing, whenever it comes", () => {
    for (const path of paths) {
      lossless({ ...path, effect: ({ pool }, cut) => lateInterrupt(borrowers["use"]!(pool), cut) })
      lossless({ ...path, effect: ({ pool }, cut) => lateInterrupt(borrowers["acquire"]!(pool), cut) })
    }
  })
})

describe("a child that waits for its turn in a session", () => {
  it("loses nothing when it is interrupted, while the session ends too", () => {
    const runs = lossless({
      ...idle,
      effect: ({ pool }, { interrupt }) =>
        pool.session(Effect.gen(function*() {
          yield* Effect.forkDaemon(pool.use(statement))
          const child = yield* Effect.forkDaemon(interrupt(pool.use(statement)))
          yield* Effect.yieldNow()
          return child
        })).pipe(Effect.flatMap(Fiber.join))
    })
    assert.isTrue(Exit.isSuccess(runs.at(-1)!.exit))
  })
})

describe("the sweep finds a borrower", () => {
  const found = (
    interrupted: InterruptSweep.Interrupter,
    borrow: (pool: TestPool) => Effect.Effect<unknown, unknown>,
    error: string | RegExp
  ) =>
    assert.throws(
      () => lossless({ ...idle, effect: ({ pool }, cut) => interrupted(borrow(pool), cut) }),
      error
    )

  /** gives nothing back in one window: between the hand-over and the finalizer */
  const forgetful = (pool: TestPool) =>
    Effect.flatMap(
      Scope.make(),
      (scope) =>
        Effect.flatMap(Scope.extend(pool.acquire, scope), ({ connection }) =>
          Effect.ensuring(statement(connection), Scope.close(scope, Exit.void)))
    )

  for (const [how, interrupted] of Object.entries(InterruptSweep.interrupters)) {
    // where an interrupt has to wait, this borrower lets it in
    it(`that forgets to give back in one window, by ${how}`, () =>
      found(interrupted, (pool) => Effect.interruptible(forgetful(pool)), "leased: 1"))
  }

  it("that never ends when it is interrupted", () =>
    found(
      interrupt,
      (pool) => Effect.onInterrupt(pool.use(statement), () => Effect.never),
      /after a cut at operation \d+: it hangs/
    ))
})
