import * as Pool from "@dbpool/core/Pool"
import * as PoolConfig from "@dbpool/core/PoolConfig"
import * as PoolSchedule from "@dbpool/core/PoolSchedule"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { failsWith } from "./support.js"

/** what no option but a schedule, a list or a text may be */
const nonsense = [-1, -Infinity, NaN, -1n, {}, [], [[]], true, false, Symbol("x"), () => 1, new Date(0)]

const noDuration = [
  ...nonsense,
  [-1, 0],
  [0, -1],
  [NaN, 0],
  "",
  " ",
  "soon",
  "5",
  "-1 second",
  "5 parsecs",
  "Infinity",
  [1],
  [
    1,
    2,
    3
  ],
  ["1", "2"]
]
const noDurationAboveZero = [...noDuration, 0, -0, 0n, "0 seconds", [0, 0]]
const noCount = [...nonsense, "", "3", 1.5, 3n, [3]]
const noSchedule = [...nonsense, "1 second", 1000, Duration.seconds(1), Effect.void]
const noChoice = [...nonsense, "", "x", "WAIT", 0, ["wait"]]

/** of every option, what it refuses */
const wrong = {
  name: [...nonsense, "", 7],
  maxConnections: [...noCount, 0, -0, Infinity],
  minConnections: [...noCount, Infinity, 11],
  maxIdle: [...noCount, Infinity],
  acquireTimeout: noDurationAboveZero,
  whenExhausted: noChoice,
  nestedAcquire: noChoice,
  maxWaiting: noCount,
  connectTimeout: noDurationAboveZero,
  connectRetry: noSchedule,
  failFastAfter: noDuration,
  connectConcurrency: [...noCount, 0, Infinity],
  initialize: noChoice,
  initializeTimeout: noDurationAboveZero,
  idleTimeout: noDurationAboveZero,
  idleSchedule: noSchedule,
  maxLifetime: noDurationAboveZero,
  lifetimeJitter: [...nonsense, -0.1, 1.1, 25, Infinity, "x", "0.5"],
  maxUses: [...noCount, 0],
  keepaliveInterval: noDurationAboveZero,
  keepaliveSchedule: noSchedule,
  order: noChoice,
  validateOn: [...nonsense.filter((value) => !Array.isArray(value)), "acquire", [[]], ["x"], ["acquire", ""], [true]],
  validateAfterIdle: noDuration,
  validateTimeout: noDurationAboveZero,
  leakDetectionThreshold: noDurationAboveZero,
  resetTimeout: noDurationAboveZero,
  closeTimeout: noDurationAboveZero,
  shutdownTimeout: noDuration
} satisfies Record<keyof PoolConfig.PoolOptions, ReadonlyArray<unknown>>

/** what a JavaScript caller, or a value read from somewhere, may hand over */
const refused = (option: string, value: unknown) =>
  Effect.gen(function*() {
    const exit = yield* Effect.exit(PoolConfig.resolve({ name: "orders", [option]: value }))
    assert.isTrue(Exit.isFailure(exit), `${option} takes ${typeof value} ${String(value)}`)
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

  it.effect("has cases of bad input for every option", () =>
    Effect.gen(function*() {
      assert.sameMembers(Object.keys(wrong), Object.keys(yield* PoolConfig.resolve({})))
    }))

  for (const [option, values] of Object.entries(wrong)) {
    it.effect(`refuses what is no ${option}, by name`, () =>
      Effect.gen(function*() {
        for (const value of values) assert.include(yield* refused(option, value), `: ${option} must be `)
      }))
  }

  it.effect("takes a duration of zero where nothing has to be waited for", () =>
    Effect.gen(function*() {
      for (const option of ["failFastAfter", "validateAfterIdle", "shutdownTimeout"]) {
        for (const zero of [0, -0, 0n, "0 seconds"]) yield* PoolConfig.resolve({ [option]: zero })
      }
    }))

  it.effect("says what is allowed, and what it was given", () =>
    Effect.gen(function*() {
      assert.include(yield* refused("whenExhausted", "block"), `"wait", "fail", not "block"`)
      assert.include(yield* refused("order", "random"), `"lifo", "fifo", not "random"`)
      assert.include(yield* refused("nestedAcquire", "deny"), `"allow", "warn", "fail", not "deny"`)
      assert.include(yield* refused("initialize", "eager"), `"lazy", "check", "fill", not "eager"`)
      assert.include(yield* refused("validateOn", "return"), `an array of "acquire" and "return", not "return"`)
      assert.include(yield* refused("connectTimeout", "soon"), `a duration above zero, not "soon"`)
      assert.include(yield* refused("maxUses", 1.5), "an integer of at least 1, not 1.5")
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
