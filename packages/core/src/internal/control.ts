/**
 * What an operator can do to a pool while it works. Each decides in one step and leaves the rest to the pump.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { Drain, Size } from "../Pool.js"
import * as PoolConfig from "../PoolConfig.js"
import type { AcquireError } from "../PoolError.js"
import { InvalidPoolConfig, PoolClosed } from "../PoolError.js"
import type { Engine } from "./engine.js"
import { State } from "./entry.js"
import * as Housekeeping from "./housekeeping.js"
import { decodeMillis, show } from "./input.js"
import { until } from "./until.js"

/** @internal */
export const resize = <C>(engine: Engine<C>, size: Size): Effect.Effect<void, InvalidPoolConfig> =>
  Effect.map(PoolConfig.resize(engine.config, size), (config) => {
    engine.config = config
    const { maxConnections, minConnections } = config
    if (engine.hub.heard) engine.hub.tell({ _tag: "Resized", maxConnections, minConnections })
    // those that are out follow when they come back
    for (const entry of engine.idle) if (engine.surplus > 0) engine.discard(entry, "resized")
    engine.pump(engine.now())
  })

/** @internal */
export const evictIdle = <C>(engine: Engine<C>): Effect.Effect<number> =>
  Effect.sync(() => {
    const { size } = engine.idle
    for (const entry of engine.idle) engine.discard(entry, "evicted")
    engine.pump(engine.now())
    return size
  })

/** @internal */
export const drain = <C>(
  engine: Engine<C>,
  { hard = false, over = 0 }: Drain
): Effect.Effect<void, InvalidPoolConfig> => {
  const spread = decodeMillis(over)
  if (!(spread >= 0)) {
    const requirement = `must be a duration of zero or more, not ${show(over)}`
    return Effect.fail(new InvalidPoolConfig({ pool: engine.config.name, option: "over", requirement }))
  }
  return Effect.map(
    Effect.forEach(engine.entries, (entry) => Effect.map(Random.next, (share) => [entry, share] as const)),
    (draws) => {
      const shares = new Map(draws)
      const now = engine.now()
      if (engine.hub.heard) engine.hub.tell({ _tag: "Drained", overMillis: spread, hard })
      // those that are still being opened, too: with what they began with, such as a password that has changed since
      for (const entry of engine.entries) {
        const softAt = now + spread * (shares.get(entry) ?? 0)
        if (softAt < entry.softAt) {
          entry.softAt = softAt
          entry.expiry = "drained"
        }
        if (hard) entry.hardAt = Math.min(entry.hardAt, now + spread)
        if (entry.state === State.idle) engine.alarm.set(Housekeeping.dueAt(engine, entry, now), now)
      }
      engine.tick()
    }
  )
}

/** @internal */
export const suspend = <C>(engine: Engine<C>): Effect.Effect<void> =>
  Effect.sync(() => {
    engine.suspended = true
    if (engine.hub.heard) engine.hub.tell({ _tag: "Suspended" })
  })

/** @internal */
export const resume = <C>(engine: Engine<C>): Effect.Effect<void> =>
  Effect.sync(() => {
    engine.suspended = false
    if (engine.hub.heard) engine.hub.tell({ _tag: "Resumed" })
    engine.tick()
  })

/** @internal */
export const check = <C>(engine: Engine<C>): Effect.Effect<number> =>
  Effect.suspend(() => {
    if (engine.hooks.validate === undefined) return Effect.succeed(0)
    const checked = [...engine.idle]
    for (const entry of checked) engine.probe(entry)
    return Effect.map(
      until(engine, () => checked.every((entry) => entry.state !== State.reserved)),
      () => checked.filter((entry) => entry.reason === "stale").length
    )
  })

/** @internal */
export const awaitReady = <C>(
  engine: Engine<C>,
  acquire: Effect.Effect<unknown, AcquireError, Scope.Scope>
): Effect.Effect<void, AcquireError> =>
  // an outage is told to whoever waits for a connection, so one is waited for
  Effect.zipRight(
    Effect.scoped(acquire),
    Effect.suspend(() => until(engine, () => engine.closing || engine.ledger.live >= engine.config.minConnections))
  ).pipe(
    Effect.zipRight(
      Effect.suspend(() => engine.closing ? Effect.fail(new PoolClosed({ pool: engine.config.name })) : Effect.void)
    )
  )
