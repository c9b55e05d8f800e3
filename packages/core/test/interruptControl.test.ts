import * as Pool from "@dbpool/core/Pool"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Scope from "effect/Scope"
import type { World } from "./losses.js"
import { closedByNow, lossless, makeWorld } from "./losses.js"
import { Server } from "./server.js"
import { settle, use } from "./support.js"
import { interrupters, sweep } from "./sweep.js"

/** every connection is lent, and somebody waits */
const busy = makeWorld({ maxConnections: 2, leased: 2, waiting: 1 })

const halfIdle = makeWorld({ maxConnections: 3, minConnections: 1, idle: 2, leased: 1 })

const giveBack = ({ held }: World) => held[0]!.end

/** what is done with a pool that works, and in which state of it */
const operations: Record<string, {
  readonly worlds: ReadonlyArray<Effect.Effect<World, unknown, Scope.Scope>>
  readonly run: (world: World) => Effect.Effect<unknown, unknown>
  readonly meanwhile?: (world: World) => Effect.Effect<unknown>
}> = {
  // a scope is never closed where an interrupt may come in between: Effect would forget what is left of its finalizers
  "release": {
    worlds: [busy, halfIdle],
    run: ({ held }) => Effect.uninterruptible(held[0]!.end)
  },
  "release of a connection with a statement running": {
    worlds: [busy, halfIdle],
    run: ({ held }) =>
      Effect.zipRight(
        Effect.sync(() => void (held[0]!.connection.condition = "busy")),
        Effect.uninterruptible(held[0]!.end)
      )
  },
  "invalidate": { worlds: [busy, halfIdle], run: ({ held }) => held[0]!.lease.invalidate },
  "resize to more": {
    worlds: [busy],
    run: ({ pool }) => pool.resize({ maxConnections: 3, minConnections: 3 }),
    meanwhile: giveBack
  },
  "resize to fewer": {
    worlds: [busy, halfIdle],
    run: ({ pool }) => pool.resize({ maxConnections: 1, minConnections: 0 }),
    meanwhile: giveBack
  },
  "drain": { worlds: [busy, halfIdle], run: ({ pool }) => pool.drain(), meanwhile: giveBack },
  "drain over a minute": { worlds: [busy, halfIdle], run: ({ pool }) => pool.drain({ over: "1 minute" }) },
  "hard drain": { worlds: [busy, halfIdle], run: ({ pool }) => pool.drain({ hard: true }), meanwhile: giveBack },
  "evictIdle": { worlds: [halfIdle], run: ({ pool }) => pool.evictIdle },
  "suspend until resume": {
    worlds: [busy, halfIdle],
    run: ({ pool }) => Effect.acquireUseRelease(pool.suspend, () => Effect.yieldNow(), () => pool.resume),
    meanwhile: giveBack
  },
  "check": {
    worlds: [halfIdle],
    run: ({ pool, server }) =>
      Effect.suspend(() => {
        server.connections[1]!.valid = false
        return pool.check
      })
  },
  "awaitReady": {
    worlds: [busy, makeWorld({ maxConnections: 3, minConnections: 3 })],
    run: ({ pool }) => pool.awaitReady,
    meanwhile: ({ held }) => Effect.forEach(held, ({ end }) => end)
  }
}

const { "an interrupt": interrupt, ...others } = interrupters

describe("the pool works on, whatever operation was interrupted at, by", () => {
  for (const [what, { meanwhile, run, worlds }] of Object.entries(operations)) {
    it.scoped(`an interrupt of ${what}`, () =>
      Effect.forEach(
        worlds,
        (world) => lossless({ world, meanwhile, effect: (world, cut) => interrupt(run(world), cut) })
      ))

    for (const [how, interrupted] of Object.entries(others)) {
      it.scoped(`${how} of ${what}`, () =>
        lossless({ world: worlds[0]!, meanwhile, effect: (world, cut) => interrupted(run(world), cut) }))
    }
  }
})

/** pools that are to be closed */
const closing: Record<string, {
  readonly world: Effect.Effect<World, unknown, Scope.Scope>
  readonly meanwhile?: (world: World) => Effect.Effect<unknown>
}> = {
  "that is idle": { world: makeWorld({ maxConnections: 2, idle: 2 }) },
  "with a lease out": { world: halfIdle, meanwhile: giveBack },
  "with a lease that does not end": { world: makeWorld({ idle: 1, leased: 1, shutdownTimeout: 0 }) },
  "with a waiter": { world: busy, meanwhile: ({ held }) => Effect.forEach(held, ({ end }) => end) },
  "with a connect under way": { world: makeWorld({ connectTime: "never", waiting: 1 }) }
}

/** whether the pool tells callers that it is closed */
const isClosing = ({ pool }: World) =>
  Effect.gen(function*() {
    const caller = yield* Effect.fork(Effect.flip(use(pool)))
    yield* settle
    const exit = caller.unsafePoll()
    yield* Fiber.interrupt(caller)
    return exit !== null && Exit.isSuccess(exit) && exit.value._tag === "PoolClosed"
  })

const closeScope = ({ scope }: World) => Scope.close(scope, Exit.void)

describe("nothing is left of a pool", () => {
  for (const [which, options] of Object.entries(closing)) {
    for (const [how, interrupted] of Object.entries(interrupters)) {
      it.scoped(`${which}, closed by a fiber that is cut by ${how}`, () =>
        lossless({
          ...options,
          effect: (world, cut) => interrupted(Effect.uninterruptible(closeScope(world)), cut),
          // if it was cut before it began
          after: (world) => Effect.zipRight(closeScope(world), closedByNow(world))
        }))
    }

    it.scoped(`${which}, or nothing was begun, when its closing may be interrupted`, () =>
      Effect.gen(function*() {
        const closed: Array<boolean> = []
        yield* lossless({
          ...options,
          effect: (world, { interrupt }) => interrupt(closeScope(world)),
          after: (world) =>
            Effect.gen(function*() {
              // by then the scope thinks that it is closed; what had begun goes on without it
              yield* closeScope(world)
              closed.push(yield* isClosing(world))
              if (closed.at(-1)) yield* closedByNow(world)
            })
        })
        assert.includeMembers(closed, [true, false])
      }))
  }

  it.scoped("whose building is interrupted, or its use, or its end", () =>
    Effect.forEach(["lazy", "check"] as const, (initialize) =>
      Effect.gen(function*() {
        const runs = yield* sweep({
          world: Effect.sync(() => new Server()),
          effect: (server, { interrupt }) =>
            interrupt(Effect.scoped(Effect.flatMap(
              Pool.make({ ...server.options, initialize, minConnections: 2 }),
              use
            ))),
          after: (server) =>
            Effect.zipRight(
              settle,
              Effect.sync(() => {
                for (const { closed, id } of server.connections) assert.strictEqual(closed, 1, `connection ${id}`)
              })
            )
        })
        assert.isTrue(Exit.isSuccess(runs.at(-1)!.exit))
      })))
})

describe("the sweep finds", () => {
  const found = (options: Parameters<typeof lossless>[0]) =>
    (lossless(options) as Effect.Effect<unknown, unknown, Scope.Scope>).pipe(
      Effect.sandbox,
      Effect.flip,
      Effect.map(Cause.pretty),
      Logger.withMinimumLogLevel(LogLevel.None)
    )

  it.scoped("an operator who may leave a pool suspended", () =>
    Effect.gen(function*() {
      const error = yield* found({
        world: busy,
        effect: ({ pool }, { interrupt }) => interrupt(Effect.zipRight(pool.suspend, pool.resume))
      })
      assert.include(error, "a caller that waited hangs")
    }))

  it.scoped("an operator who takes a connection and may keep it", () =>
    Effect.gen(function*() {
      const error = yield* found({
        world: halfIdle,
        effect: ({ pool, scope }, { interrupt }) =>
          interrupt(Effect.flatMap(Scope.extend(pool.acquire, scope), ({ invalidate }) => invalidate))
      })
      assert.include(error, "leased")
    }))

  it.scoped("a closing that may be forgotten", () =>
    Effect.gen(function*() {
      const error = yield* found({
        world: halfIdle,
        effect: (world, { interrupt }) => interrupt(closeScope(world)),
        after: closedByNow
      })
      assert.include(error, "was closed 0 times")
    }))
})
