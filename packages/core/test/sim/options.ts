/**
 * The options of a pool, drawn so that within a few minutes of the world's time everything they limit is reached.
 */
import type { PoolOptions } from "@dbpool/core/PoolConfig"
import * as PoolSchedule from "@dbpool/core/PoolSchedule"
import * as Schedule from "effect/Schedule"
import type { Dice } from "./world.js"

/** Every number comes from the dice, in this order: a seed is a history only as long as that order is kept. */
export const draw = (dice: Dice): PoolOptions => {
  const maxConnections = dice.between(1, 6)
  const minConnections = dice.chance(0.5) ? 0 : dice.between(0, maxConnections)
  return {
    name: "sim",
    initialize: dice.pick(["lazy", "lazy", "check", "fill"]),
    initializeTimeout: dice.pick([200, 5000]),
    maxConnections,
    minConnections,
    maxIdle: dice.chance(0.7) ? undefined : dice.between(minConnections, maxConnections),
    acquireTimeout: dice.pick([200, 1000, 5000, 30_000]),
    whenExhausted: dice.chance(0.9) ? "wait" : "fail",
    nestedAcquire: dice.pick(["allow", "warn", "fail"]),
    maxWaiting: dice.pick([undefined, undefined, 0, 2, 5]),
    connectTimeout: dice.pick([200, 1000, 5000]),
    connectRetry: dice.pick([
      undefined,
      undefined,
      Schedule.spaced(50),
      PoolSchedule.connect.pipe(Schedule.intersect(Schedule.recurs(2)))
    ]),
    failFastAfter: dice.pick([0, 500, 5000]),
    connectConcurrency: dice.between(1, 4),
    idleSchedule: dice.chance(0.8) ? undefined : PoolSchedule.idle(dice.pick([200, 2000])),
    idleTimeout: dice.pick([100, 1000, 300_000]),
    maxLifetime: dice.pick([300, 2000, 1_800_000]),
    lifetimeJitter: dice.pick([0, 0.25, 1]),
    maxUses: dice.pick([undefined, undefined, 1, 3]),
    keepaliveInterval: dice.pick([300, 5000, 120_000]),
    keepaliveSchedule: dice.chance(0.8) ? undefined : PoolSchedule.keepalive(dice.pick([500, 5000])),
    order: dice.pick(["lifo", "fifo"]),
    validateOn: dice.pick([undefined, undefined, ["return"], ["acquire", "return"], []]),
    validateAfterIdle: dice.pick([0, 20, 1000]),
    validateTimeout: dice.pick([500, 2000]),
    resetTimeout: dice.pick([100, 5000]),
    closeTimeout: dice.pick([50, 1000, 5000]),
    leakDetectionThreshold: dice.pick([undefined, 50, 1000]),
    shutdownTimeout: dice.pick([0, 500, 10_000])
  }
}
