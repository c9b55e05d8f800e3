import * as Pool from "@dbpool/core/Pool"
import * as InterruptSweep from "@dbpool/testing/InterruptSweep"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { settle } from "../steady.js"
import { optionsOf, use } from "../support.js"
import { sweep } from "../sweep.js"
import type { Subject } from "./losses.js"
import { closedByNow, lossless, makeSubject } from "./losses.js"

/** every connection is lent, and somebody waits */
const busy = makeSubject({ maxConnections: 2, leased: 2, waiting: 1 })

const halfIdle = makeSubject({ maxConnections: 3, minConnections: 1, idle: 2, leased: 1 })

const giveBack = ({ held }: Subject) => held[0]!.end

/** what is done with a pool that works, and in which state of it */
const operations: Record<string, {
  readonly subjects: ReadonlyArray<Effect.Effect<Subject, unknown, Scope.Scope>>
  readonly run: (subject: Subject) => Effect.Effect<unknown, unknown>
  readonly meanwhile?: (subject: Subject) => Effect.Effect<unknown>
}> = {
  // a scope is never closed where an interrupt may come in between: Effect would forget what is left of its finalizers
  "release": {
    subjects: [
      busy,
      halfIdle,
      Effect.tap(busy, ({ held }) => held[0]!.connection.leave("busy"))
    ],
    run: ({ held }) => Effect.uninterruptible(held[0]!.end)
  },
  "invalidate": { subjects: [busy, halfIdle], run: ({ held }) => held[0]!.lease.invalidate },
  "resize to more": {
    subjects: [busy],
    run: ({ pool }) => pool.resize({ maxConnections: 3, minConnections: 3 }),
    meanwhile: giveBack
  },
  "resize to fewer": {
    subjects: [busy, halfIdle],
    run: ({ pool }) => pool.resize({ maxConnections: 1, minConnections: 0 }),
    meanwhile: giveBack
  },
  "drain": { subjects: [busy, halfIdle], run: ({ pool }) => pool.drain(), meanwhile: giveBack },
  "drain over a minute": { subjects: [busy, halfIdle], run: ({ pool }) => pool.drain({ over: "1 minute" }) },
  "hard drain": { subjects: [busy, halfIdle], run: ({ pool }) => pool.drain({ hard: true }), meanwhile: giveBack },
  "evictIdle": { subjects: [halfIdle], run: ({ pool }) => pool.evictIdle },
  "suspend until resume": {
    subjects: [busy, halfIdle],
    run: ({ pool }) => Effect.acquireUseRelease(pool.suspend, () => Effect.yieldNow(), () => pool.resume),
    meanwhile: giveBack
  },
  "check": {
    subjects: [halfIdle],
    run: ({ pool, server }) => Effect.zipRight(server.kill(server.connections[1]!, { unheard: true }), pool.check)
  },
  "awaitReady": {
    subjects: [makeSubject({ maxConnections: 3, minConnections: 3 }), busy],
    run: ({ pool }) => pool.awaitReady,
    meanwhile: ({ held }) => Effect.forEach(held, ({ end }) => end)
  }
}

// what an operator does is over in a few steps: there is nothing for an interrupt to wait for
const { interrupt, uninterruptible: _late, ...combinators } = InterruptSweep.interrupters

describe("the pool works on, whatever operation was interrupted at, by", () => {
  for (const [what, { meanwhile, run, subjects }] of Object.entries(operations)) {
    it(`an interrupt of ${what}`, () => {
      for (const subject of subjects) {
        lossless({ subject, meanwhile, effect: (subject, cut) => interrupt(run(subject), cut) })
      }
    })

    for (const [how, interrupted] of Object.entries(combinators)) {
      it(`Effect.${how} of ${what}`, () => {
        lossless({ subject: subjects[0]!, meanwhile, effect: (subject, cut) => interrupted(run(subject), cut) })
      })
    }
  }
})

/** pools that are to be closed */
const closing: Record<string, {
  readonly subject: Effect.Effect<Subject, unknown, Scope.Scope>
  readonly meanwhile?: (subject: Subject) => Effect.Effect<unknown>
}> = {
  "that is idle": { subject: makeSubject({ maxConnections: 2, idle: 2 }) },
  "with a lease out": { subject: halfIdle, meanwhile: giveBack },
  "with a lease that does not end": { subject: makeSubject({ idle: 1, leased: 1, shutdownTimeout: 0 }) },
  "with a waiter": { subject: busy, meanwhile: ({ held }) => Effect.forEach(held, ({ end }) => end) },
  "with a connect under way": { subject: makeSubject({ connecting: { takes: "never" }, waiting: 1 }) }
}

/** whether the pool tells callers that it is closed */
const isClosing = ({ pool }: Subject) =>
  Effect.gen(function*() {
    const caller = yield* Effect.fork(Effect.flip(use(pool)))
    yield* settle
    const exit = caller.unsafePoll()
    yield* Fiber.interrupt(caller)
    return exit !== null && Exit.isSuccess(exit) && exit.value._tag === "PoolClosed"
  })

const closeScope = ({ scope }: Subject) => Scope.close(scope, Exit.void)

describe("nothing is left of a pool", () => {
  for (const [which, options] of Object.entries(closing)) {
    for (
      const [how, interrupted] of Object.entries(
        which === "with a waiter" ? InterruptSweep.interrupters : { interrupt }
      )
    ) {
      it(`${which}, closed by a fiber that is cut by ${how}`, () => {
        lossless({
          ...options,
          effect: (subject, cut) => interrupted(Effect.uninterruptible(closeScope(subject)), cut),
          // if it was cut before it began
          after: (subject) => Effect.zipRight(closeScope(subject), closedByNow(subject))
        })
      })
    }

    it(`${which}, or nothing was begun, when its closing may be interrupted`, () => {
      const closed: Array<boolean> = []
      lossless({
        ...options,
        effect: (subject, { interrupt }) => interrupt(closeScope(subject)),
        after: (subject) =>
          Effect.gen(function*() {
            // by then the scope thinks that it is closed; what had begun goes on without it
            yield* closeScope(subject)
            const begun = yield* isClosing(subject)
            closed.push(begun)
            if (begun) yield* closedByNow(subject)
          })
      })
      assert.includeMembers(closed, [true, false])
    })
  }

  for (const initialize of ["lazy", "check", "fill"] as const) {
    it(`whose building ("${initialize}") is interrupted, or its use, or its end`, () => {
      const runs = sweep({
        subject: SimulatedServer.make,
        effect: (server, { interrupt }) =>
          interrupt(
            Effect.scoped(Effect.flatMap(Pool.make({ ...optionsOf(server), initialize, minConnections: 2 }), use))
          ),
        after: (server) =>
          Effect.zipRight(
            settle,
            Effect.sync(() => {
              for (const { closed, id } of server.connections) assert.strictEqual(closed, 1, `connection ${id}`)
            })
          )
      })
      assert.isTrue(Exit.isSuccess(runs.at(-1)!.exit))
    })
  }
})

describe("the sweep finds", () => {
  it("an operator who may leave a pool suspended", () =>
    assert.throws(() =>
      lossless({
        subject: busy,
        effect: ({ pool }, { interrupt }) => interrupt(Effect.zipRight(pool.suspend, pool.resume))
      }), "a caller that waited hangs"))

  it("an operator who takes a connection and may keep it", () =>
    assert.throws(() =>
      lossless({
        subject: halfIdle,
        effect: ({ pool, scope }, { interrupt }) =>
          interrupt(Effect.flatMap(Scope.extend(pool.acquire, scope), ({ invalidate }) => invalidate))
      }), "leased: 1"))

  it("a closing that may be forgotten", () =>
    assert.throws(() =>
      lossless({
        subject: halfIdle,
        effect: (subject, { interrupt }) => interrupt(closeScope(subject)),
        after: closedByNow
      }), "was never closed"))
})
