/**
 * What happens to a pool from outside: the weather of the network, wall clocks that jump, and an operator.
 */
import * as Effect from "effect/Effect"
import * as Control from "../../src/internal/control.js"
import type { Engine } from "../../src/internal/engine.js"
import { acquire } from "../../src/internal/lease.js"
import type { Network, Socket, Weather } from "./network.js"
import type { Rules } from "./rules.js"
import type { World } from "./world.js"

const weathers: ReadonlyArray<Weather> = [
  "fine",
  "fine",
  "fine",
  "slow",
  "down",
  "deaf",
  "full",
  "locked",
  "stubborn"
]

const operations = ["resize", "evict", "drain", "hard drain", "hard drain", "suspend", "check", "await ready"] as const

/** changes every few seconds, for ever */
export const weather = (world: World, network: Network, max: number): Effect.Effect<never> => {
  const { dice } = world
  return Effect.forever(Effect.gen(function*() {
    yield* Effect.sleep(dice.between(10, 2000))
    network.weather = dice.pick(weathers)
    network.limit = dice.between(0, max)
    world.record(`weather ${network.weather}`)
    if (dice.chance(0.3)) world.skew += dice.between(-100_000, 100_000)
    if (dice.chance(0.5)) { for (const socket of network.open) if (dice.chance(0.4)) network.kill(socket) }
  }))
}

/** does everything an operator can do, for ever; the pool is not suspended when it is interrupted */
export const operator = (world: World, engine: Engine<Socket>, rules: Rules): Effect.Effect<never> => {
  const { dice } = world
  return Effect.forever(Effect.gen(function*() {
    yield* Effect.sleep(dice.between(10, 1500))
    const what = dice.pick(operations)
    world.record(`operator: ${what}`)
    switch (what) {
      case "resize": {
        const maxConnections = dice.between(1, 6)
        // `maxIdle` may be in the way
        yield* Effect.ignore(
          Control.resize(engine, { maxConnections, minConnections: dice.between(0, maxConnections) })
        )
        break
      }
      case "evict":
        yield* Control.evictIdle(engine)
        break
      case "drain":
        yield* Effect.orDie(Control.drain(engine, { over: dice.pick([0, 1000]) }))
        break
      case "hard drain": {
        // the operator's fiber may yield on the way to the decision, and after it: these are there at both ends
        const there = [...engine.entries]
        yield* Effect.orDie(Control.drain(engine, { hard: true }))
        rules.condemns(there)
        break
      }
      case "suspend":
        yield* Control.suspend(engine)
        yield* Effect.sleep(dice.between(0, 1000))
        yield* Control.resume(engine)
        break
      case "check":
        yield* Control.check(engine)
        break
      case "await ready":
        yield* Effect.ignore(Effect.timeout(Control.awaitReady(engine, acquire(engine)), 5000))
    }
  })).pipe(Effect.ensuring(Control.resume(engine)))
}
