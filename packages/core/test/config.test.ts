import * as Pool from "@dbpool/core/Pool"
import * as PoolConfig from "@dbpool/core/PoolConfig"
import * as PoolSchedule from "@dbpool/core/PoolSchedule"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { failsWith } from "./support.js"

const durations = [
  "acquireTimeout",
  "connectTimeout",
  "failFastAfter",
  "initializeTimeout",
  "idleTimeout",
  "maxLifetime",
  "keepaliveInterval",
  "validateAfterIdle",
  "validateTimeout",
  "leakDetectionThreshold",
  "resetTimeout",
  "closeTimeout",
  "shutdownTimeout"
] as const

const mayBeZero: ReadonlyArray<string> = ["failFastAfter", "validateAfterIdle", "shutdownTimeout"]

/** what a JavaScript caller, or a value read from somewhere, may hand over */
const refused = (option: string, value: unknown) =>
  Effect.gen(function*() {
    const exit = yield* Effect.exit(PoolConfig.resolve({ name: "orders", [option]: value }))
    const error = failsWith(exit, "InvalidPoolConfig")
    assert.strictEqual(error.option, option, String(value))
    return error.message
  })

describe("PoolConfig", () => {
  it.effect("fills in the defaults", () =>
    Effect.gen(function*() {
      const { name, ...config } = yield* PoolConfig.resolve({})
      assert.match(name, /^pool-\d+$/)
      assert.deepStrictEqual(config, {
        maxConnections: 10,
        minConnections: 0,
        maxIdle: 10,
        acquireTimeout: 30_000,
        whenExhausted: "wait",
        nestedAcquire: "warn",
        maxWaiting: Infinity,
        connectTimeout: 5_000,
        connectRetry: PoolSchedule.connect,
        failFastAfter: 5_000,
        connectConcurrency: 4,
        initialize: "check",
        initializeTimeout: 5_000,
        idleTimeout: 300_000,
        idleSchedule: undefined,
        maxLifetime: 1_800_000,
        lifetimeJitter: 0.25,
        maxUses: Infinity,
        keepaliveInterval: 120_000,
        keepaliveSchedule: undefined,
        order: "lifo",
        validateOn: ["acquire"],
        validateAfterIdle: 1_000,
        validateTimeout: 2_000,
        leakDetectionThreshold: Infinity,
        resetTimeout: 5_000,
        closeTimeout: 1_000,
        shutdownTimeout: 10_000
      })
    }))

  it.effect("gives each pool a name of its own", () =>
    Effect.gen(function*() {
      const [a, b] = yield* Effect.all([PoolConfig.resolve({}), PoolConfig.resolve({})])
      assert.notStrictEqual(a.name, b.name)
      assert.strictEqual((yield* PoolConfig.resolve({ name: "orders" })).name, "orders")
    }))

  it.effect("takes undefined for not given", () =>
    Effect.gen(function*() {
      const { acquireTimeout, maxWaiting } = yield* PoolConfig.resolve({
        acquireTimeout: undefined,
        maxWaiting: undefined
      })
      assert.deepStrictEqual([acquireTimeout, maxWaiting], [30_000, Infinity])
    }))

  it.effect("takes every kind of duration", () =>
    Effect.gen(function*() {
      for (const input of [1500, "1500 millis", Duration.millis(1500), 1_500_000_000n, [1, 500_000_000]] as const) {
        assert.strictEqual((yield* PoolConfig.resolve({ acquireTimeout: input })).acquireTimeout, 1500)
      }
      assert.strictEqual((yield* PoolConfig.resolve({ idleTimeout: Duration.infinity })).idleTimeout, Infinity)
    }))

  it.effect("refuses what is no duration, or a negative one, by name", () =>
    Effect.gen(function*() {
      for (const option of durations) {
        for (const value of [-1, NaN, -1n, "-1 second", "soon", "", {}, [], true, Symbol("x")]) {
          assert.include(yield* refused(option, value), option)
        }
      }
    }))

  it.effect("refuses a duration of zero where nothing would be left to wait for", () =>
    Effect.gen(function*() {
      for (const option of durations) {
        if (mayBeZero.includes(option)) yield* PoolConfig.resolve({ [option]: 0 })
        else yield* refused(option, 0)
      }
    }))

  it.effect("refuses what is no count", () =>
    Effect.gen(function*() {
      for (
        const option of ["maxConnections", "minConnections", "maxIdle", "maxWaiting", "connectConcurrency", "maxUses"]
      ) {
        for (const value of [-1, 1.5, NaN, -Infinity, "3", {}]) yield* refused(option, value)
      }
      for (const option of ["maxConnections", "connectConcurrency", "maxUses"]) yield* refused(option, 0)
      for (const option of ["maxConnections", "minConnections", "maxIdle"]) yield* refused(option, Infinity)
    }))

  it.effect("refuses what is not among the choices", () =>
    Effect.gen(function*() {
      assert.include(yield* refused("whenExhausted", "block"), `"wait", "fail", not "block"`)
      assert.include(yield* refused("order", "random"), `"lifo", "fifo", not "random"`)
      assert.include(yield* refused("nestedAcquire", "deny"), `"allow", "warn", "fail", not "deny"`)
      assert.include(yield* refused("initialize", "eager"), `"lazy", "check", "fill", not "eager"`)
    }))

  it.effect("refuses a jitter that is no fraction, an empty name, and a retry that is no schedule", () =>
    Effect.gen(function*() {
      for (const value of [-0.1, 1.1, NaN, 25]) yield* refused("lifetimeJitter", value)
      for (const value of ["", 7, {}]) yield* refused("name", value)
      for (const value of ["1 second", 3, {}]) yield* refused("connectRetry", value)
    }))

  it.effect("refuses a minimum above the maximum", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(PoolConfig.resolve({ name: "orders", minConnections: 3, maxConnections: 2 }))
      assert.strictEqual(
        failsWith(exit, "InvalidPoolConfig").message,
        "Pool \"orders\": minConnections must be at most maxConnections (2), not 3"
      )
    }))

  it.effect("refuses to keep fewer idle than the minimum", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(PoolConfig.resolve({ name: "orders", minConnections: 3, maxIdle: 2 }))
      assert.strictEqual(
        failsWith(exit, "InvalidPoolConfig").message,
        "Pool \"orders\": maxIdle must be at least minConnections (3), not 2"
      )
    }))

  it.scoped("stops a pool from being made, before anything is opened", () =>
    Effect.gen(function*() {
      let opened = 0
      const exit = yield* Effect.exit(Pool.make({ connect: Effect.sync(() => ++opened), maxConnections: 0 }))
      assert.strictEqual(failsWith(exit, "InvalidPoolConfig").option, "maxConnections")
      assert.strictEqual(opened, 0)
    }))
})
