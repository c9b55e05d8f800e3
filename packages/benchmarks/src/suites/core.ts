/**
 * The pool by itself: nothing is connected to.
 */
import * as PoolLogger from "@dbpool/core/PoolLogger"
import * as PoolMetrics from "@dbpool/core/PoolMetrics"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constVoid } from "effect/Function"
import * as Logger from "effect/Logger"
import * as EffectPool from "effect/Pool"
import * as Stream from "effect/Stream"
import { ofEffect, ofPromise } from "../Contestant.js"
import * as Heat from "../Heat.js"
import type { PromisePool, Resource } from "../pools/resource.js"
import * as pools from "../pools/resource.js"
import * as Row from "../Row.js"
import * as Suite from "../Suite.js"

const suite = "core"

const bounds = { min: 10, max: 10 }

const peers = Effect.all([
  pools.generic(bounds),
  pools.tarn(bounds),
  pools.lightning(bounds),
  pools.pgPool(bounds)
])

const borrow = ({ acquire, release }: PromisePool, work: () => unknown) => async () => {
  const resource = await acquire()
  await work()
  release(resource)
}

const use = (resource: Resource) => {
  resource.uses++
  return Effect.void
}

/** one fiber, and always a connection that nobody else wants */
const idle = Suite.part("use, idle connection", (name, size) =>
  Effect.gen(function*() {
    const pool = yield* pools.ours()
    const effectPool = yield* pools.effectPool(10)
    const viaEffectPool = Effect.scoped(Effect.flatMap(EffectPool.get(effectPool), use))
    const results = yield* Heat.run(size, [
      ofEffect("dbpool", () => pool.use(use)),
      ofEffect("effect/Pool", () => viaEffectPool),
      ...(yield* peers).map((peer) =>
        ofPromise(peer.name, async () => {
          const resource = await peer.acquire()
          resource.uses++
          peer.release(resource)
        })
      )
    ])
    return Row.ofHeat(suite, name, "ns", results, "dbpool", {
      "generic-pool": 1.6,
      "effect/Pool": 1 / 9,
      "tarn": undefined,
      "lightning-pool": undefined,
      "pg-pool": undefined
    })
  }))

const scope = Suite.part("acquire in a scope, idle connection", (name, size) =>
  Effect.gen(function*() {
    const pool = yield* pools.ours()
    const effectPool = yield* pools.effectPool(10)
    const acquire = Effect.scoped(pool.acquire)
    const viaEffectPool = Effect.scoped(EffectPool.get(effectPool))
    const empty = Effect.scoped(Effect.void)
    const release = Effect.scoped(Effect.acquireRelease(Effect.void, () => Effect.void))
    const results = yield* Heat.run(size, [
      ofEffect("dbpool", () => acquire),
      ofEffect("empty Effect.scoped", () => empty),
      ofEffect("empty acquireRelease", () => release),
      ofEffect("effect/Pool", () => viaEffectPool)
    ])
    return Row.ofHeat(suite, name, "ns", results, "dbpool", {
      "empty Effect.scoped": 1.7,
      "empty acquireRelease": undefined,
      "effect/Pool": undefined
    })
  }))

/** everybody gives way once while holding a connection, so that nearly everybody has to wait */
const crowd = (fibers: number, targets: { readonly effectPool?: number; readonly pgPool?: number } = {}) =>
  Suite.part(`${fibers.toLocaleString("en")} fibers on 10 connections`, (name, size) =>
    Effect.gen(function*() {
      const pool = yield* pools.ours()
      const effectPool = yield* pools.effectPool(10)
      const viaEffectPool = Effect.scoped(Effect.zipRight(EffectPool.get(effectPool), Effect.yieldNow()))
      const results = yield* Heat.run(
        size,
        [
          ofEffect("dbpool", () => pool.use(() => Effect.yieldNow()), fibers),
          ofEffect("effect/Pool", () => viaEffectPool, fibers),
          ...(yield* peers).map((peer) => ofPromise(peer.name, borrow(peer, () => undefined), fibers))
        ],
        fibers * 2
      )
      return Row.ofHeat(suite, name, "ns", results, "dbpool", {
        "effect/Pool": targets.effectPool,
        "pg-pool": targets.pgPool,
        "generic-pool": undefined,
        "tarn": undefined,
        "lightning-pool": undefined
      })
    }))

/** an operation that is a callback, by a call and as an effect */
const calls = Suite.part("call, 100 fibers on 10 connections", (name, size) =>
  Effect.gen(function*() {
    const pool = yield* pools.ours()
    const operation = (_: Resource, done: (exit: Exit.Exit<void>) => void) => {
      queueMicrotask(() => done(Exit.void))
      return constVoid
    }
    const results = yield* Heat.run(
      size,
      [
        ofEffect("dbpool", () => pool.call(operation), 100),
        ofEffect("use", () =>
          pool.use((resource) =>
            Effect.async<void>((resume) => {
              operation(resource, resume)
            })
          ), 100)
      ],
      200
    )
    return Row.ofHeat(suite, name, "ns", results, "dbpool", { use: undefined })
  }))

/** every hundredth use ends with the connection being closed and another one opened */
const churn = Suite.part("use, 1 of 100 invalidated, 100 fibers", (name, size) =>
  Effect.gen(function*() {
    const pool = yield* pools.ours()
    const effectPool = yield* pools.effectPool(10)
    let n = 0
    const bad = () => ++n % 100 === 0
    const ours = Effect.scoped(Effect.flatMap(pool.acquire, (lease) =>
      Effect.zipRight(
        Effect.yieldNow(),
        Effect.suspend(() => bad() ? lease.invalidate : Effect.void)
      )))
    const theirs = Effect.scoped(Effect.flatMap(EffectPool.get(effectPool), (resource) =>
      Effect.zipRight(
        Effect.yieldNow(),
        Effect.suspend(() => bad() ? EffectPool.invalidate(effectPool, resource) : Effect.void)
      )))
    const results = yield* Heat.run(
      size,
      [ofEffect("dbpool", () => ours, 100), ofEffect("effect/Pool", () => theirs, 100)],
      400
    )
    return Row.ofHeat(suite, name, "ns", results, "dbpool", { "effect/Pool": undefined })
  }))

/** what is switched on, against the same pool without it */
const features = Suite.part("use, with", (name, size) =>
  Effect.gen(function*() {
    const plain = yield* pools.ours({ validate: undefined, condition: undefined, onLost: undefined })
    const variants = {
      "condition": yield* pools.ours({ validate: undefined, onLost: undefined }),
      "validate, condition, onLost": yield* pools.ours(),
      "leakDetectionThreshold": yield* pools.ours({ leakDetectionThreshold: "1 minute" }),
      "maxUses": yield* pools.ours({ maxUses: 1e9 }),
      "metrics": yield* Effect.provide(pools.ours({ name: "bench" }), PoolMetrics.layer),
      "a log": yield* Effect.provide(pools.ours(), [PoolLogger.layer(), Logger.remove(Logger.defaultLogger)]),
      "a listener to events": yield* pools.ours()
    }
    yield* Effect.forkScoped(Stream.runDrain(variants["a listener to events"].events))
    yield* Effect.yieldNow()
    const results = yield* Heat.run(size, [
      ofEffect("plain", () => plain.use(use)),
      ...Object.entries(variants).map(([feature, pool]) => ofEffect(feature, () => pool.use(use)))
    ])
    return Object.keys(variants).flatMap((feature) =>
      Row.ofHeat(suite, `${name} ${feature}`, "ns", results, feature, { plain: undefined })
    )
  }))

export const core = Suite.make(suite, [
  idle,
  scope,
  crowd(100),
  crowd(1000, { effectPool: 1 / 10, pgPool: 6 }),
  calls,
  churn,
  features
])
