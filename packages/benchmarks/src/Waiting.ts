/**
 * Crowds that wait for a connection which never comes.
 */
import * as Effect from "effect/Effect"
import * as EffectPool from "effect/Pool"
import * as pools from "./pools/resource.js"

/** `Effect.never` would set a timer, and without its parameter there would be an `AbortController` */
export const forNothing: Effect.Effect<never> = Effect.async<never>((_resume) => {})

/** an effect that waits, on a pool whose only connection is taken */
export const occupied = Effect.gen(function*() {
  const pool = yield* pools.ours({ maxConnections: 1, nestedAcquire: "allow" })
  yield* pool.acquire
  return pool.use(() => Effect.void)
})

export const occupiedEffectPool = Effect.gen(function*() {
  const pool = yield* pools.effectPool(1)
  yield* EffectPool.get(pool)
  return Effect.scoped(EffectPool.get(pool))
})

/** forks so many, and returns when all of them wait; they can be interrupted, wherever this is called */
export const fork = (wait: Effect.Effect<unknown, unknown>, count: number) =>
  Effect.gen(function*() {
    const fibers = yield* Effect.all(Array.from({ length: count }, () => Effect.forkDaemon(Effect.interruptible(wait))))
    yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
    return fibers
  })
