/**
 * Contestants take turns, round after round, so that whatever else the machine does hits all of them alike. What counts
 * are the ratios within each round.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Contestant } from "./Contestant.js"
import type { Size } from "./Size.js"

/** per operation, one of each per round */
export interface Samples {
  readonly wallNanos: ReadonlyArray<number>
  readonly cpuNanos: ReadonlyArray<number>
}

export type Results = ReadonlyMap<string, Samples>

interface Lap {
  readonly wallNanos: number
  readonly cpuNanos: number
}

const lap = ({ run }: Contestant, operations: number): Effect.Effect<Lap, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const cpu = process.cpuUsage()
    const begun = yield* Clock.currentTimeNanos
    yield* run(operations)
    const wallNanos = Number((yield* Clock.currentTimeNanos) - begun)
    const { system, user } = process.cpuUsage(cpu)
    return { wallNanos, cpuNanos: (user + system) * 1000 }
  })

/** warms a contestant up, and finds out how many operations fill a turn */
const calibrate = (contestant: Contestant, size: Size, atLeast: number): Effect.Effect<number, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const turn = size.turn * 1e6
    let operations = atLeast
    let warm = 0
    for (;;) {
      const { wallNanos } = yield* lap(contestant, operations)
      warm += wallNanos
      if (wallNanos >= turn / 2 && warm >= size.warmUp * 1e6) {
        return Math.max(atLeast, Math.round(operations * turn / wallNanos))
      }
      if (wallNanos < turn / 2) operations *= 2
    }
  })

/** with fewer rounds there is no interval to speak of */
const fewest = 5

/** `atLeast` so many operations make a turn: every one of many fibers has to get some */
export const run = (
  size: Size,
  contestants: ReadonlyArray<Contestant>,
  atLeast = 1
): Effect.Effect<Results, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const field = yield* Effect.forEach(contestants, (contestant) =>
      Effect.map(calibrate(contestant, size, atLeast), (operations) => ({
        contestant,
        operations,
        wallNanos: [] as Array<number>,
        cpuNanos: [] as Array<number>
      })))
    const begun = yield* Clock.currentTimeMillis
    for (let round = 0; round < size.rounds; round++) {
      if (round >= fewest && (yield* Clock.currentTimeMillis) - begun > size.atMost) {
        break
      }
      for (let turn = 0; turn < field.length; turn++) {
        // each comes first, last and after every other equally often
        const { contestant, cpuNanos, operations, wallNanos } = field[(turn + round) % field.length]!
        // what ran before it has left the caches full of its own
        if (size.turn > 0) {
          yield* contestant.run(Math.max(atLeast, Math.ceil(operations / 4)))
        }
        const taken = yield* lap(contestant, operations)
        wallNanos.push(taken.wallNanos / operations)
        cpuNanos.push(taken.cpuNanos / operations)
      }
    }
    return new Map(field.map(({ contestant, cpuNanos, wallNanos }) => [contestant.name, { cpuNanos, wallNanos }]))
  })
