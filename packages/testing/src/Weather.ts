/**
 * Random faults, planned in advance: a forecast says what the weather between a program and its server will be like, for
 * how long, and what breaks. The same seed gives the same forecast, and a forecast can be read.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Answer, Operation, SimulatedServer } from "./SimulatedServer.js"
import { ServerError } from "./SimulatedServer.js"

/**
 * - `fine`: everything takes a few milliseconds
 * - `slow`: connects take up to three seconds, everything else up to 300 ms
 * - `down`: connects are refused
 * - `deaf`: nothing is answered
 * - `full`: the server takes only a few connections
 * - `locked`: the password is wrong
 * - `stubborn`: connects take up to twelve seconds, and closes up to three, and cannot be interrupted
 *
 * @since 0.1.0
 * @category models
 */
export type Weather = "fine" | "slow" | "down" | "deaf" | "full" | "locked" | "stubborn"

/**
 * One stretch of weather.
 *
 * @since 0.1.0
 * @category models
 */
export interface Spell {
  readonly weather: Weather
  /** in milliseconds */
  readonly lasts: number
  /** how operations go meanwhile; those that are not named work at once */
  readonly answers: Readonly<Partial<Record<Operation, Answer>>>
  /** how many connections the server takes */
  readonly limit: number
  /** something that goes differently once */
  readonly mishap: { readonly operation: Operation; readonly answer: Answer } | undefined
  /** which part of the connections dies when it begins, from 0 to 1, oldest first */
  readonly kills: number
  /** whether their drivers hear of it */
  readonly heard: boolean
}

/**
 * One spell after the other.
 *
 * @since 0.1.0
 * @category models
 */
export type Forecast = ReadonlyArray<Spell>

/**
 * What kind of forecast to draw.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Decides everything. Without one the forecast comes from Effect's `Random`. */
  readonly seed?: number | string | undefined
  /** How many spells. Default: 20 */
  readonly spells?: number | undefined
  /** The longest that one lasts; the shortest is 10 ms. Default: 3 seconds */
  readonly longest?: Duration.DurationInput | undefined
  /** What weather there is; what stands there twice comes twice as often. Default: all, and `fine` three times */
  readonly weathers?: ReadonlyArray<Weather> | undefined
}

/**
 * An option of `forecast` is wrong.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidForecast extends Data.TaggedError("InvalidForecast")<{
  readonly option: keyof Options
  readonly message: string
}> {}

const shortest = 10

const usual: ReadonlyArray<Weather> = ["fine", "fine", "fine", "slow", "down", "deaf", "full", "locked", "stubborn"]

/**
 * Draws a forecast. Fails with `InvalidForecast` when an option is wrong.
 *
 * @example
 * ```ts
 * import * as Weather from "@dbpool/testing/Weather"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const forecast = yield* Weather.forecast({ seed: 7, spells: 5, weathers: ["fine", "slow", "down"] })
 *   yield* Effect.log(Weather.describe(forecast))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const forecast = (options: Options = {}): Effect.Effect<Forecast, InvalidForecast> =>
  Effect.gen(function*() {
    const { seed, spells = 20, weathers = usual } = options
    const longest = Duration.toMillis(options.longest ?? "3 seconds")
    const refuse = (option: keyof Options, must: string) =>
      Effect.fail(new InvalidForecast({ option, message: `${option} must be ${must}` }))
    if (!(Number.isInteger(spells) && spells >= 0)) return yield* refuse("spells", "an integer of at least 0")
    if (!(longest >= shortest && longest < Infinity)) {
      return yield* refuse("longest", `at least ${shortest} ms, and end`)
    }
    if (weathers.length === 0) return yield* refuse("weathers", "a list that is not empty")
    const random = seed === undefined ? yield* Effect.random : Random.make(seed)
    return yield* Effect.replicateEffect(draw(random, weathers, longest), spells)
  })

const draw = (
  random: Random.Random,
  weathers: ReadonlyArray<Weather>,
  longest: number
): Effect.Effect<Spell> =>
  Effect.gen(function*() {
    const between = (low: number, high: number) => random.nextIntBetween(low, high + 1)
    const chance = (probability: number) => Effect.map(random.next, (n) => n < probability)
    const weather = weathers[yield* between(0, weathers.length - 1)]!
    const fast: Answer = { takes: yield* between(0, 40) }
    const slow: Answer = { takes: yield* between(100, 3000) }
    const slower: Answer = { takes: yield* between(0, 300) }
    const stubborn: Answer = { takes: yield* between(500, 12_000), stubborn: true }
    const limit = yield* between(0, 4)
    const answers: Record<Weather, Spell["answers"]> = {
      fine: { connect: fast, query: fast },
      slow: { connect: slow, validate: slower, cancel: slower, reset: slower, close: slower, query: slower },
      down: { connect: { ...fast, fails: refused }, query: fast },
      deaf: { connect: never, validate: never, cancel: never, reset: never, query: never },
      full: { connect: fast, query: fast },
      locked: { connect: { ...fast, fails: locked }, query: fast },
      stubborn: { connect: stubborn, close: { takes: yield* between(500, 3000), stubborn: true } }
    }
    const mishap = {
      operation: mishaps[yield* between(0, mishaps.length - 1)]!,
      answer: (yield* chance(0.5)) ? never : { fails: broken }
    }
    return {
      weather,
      lasts: yield* between(shortest, longest),
      answers: answers[weather],
      limit: weather === "full" ? limit : Infinity,
      mishap: (yield* chance(0.3)) ? mishap : undefined,
      kills: (yield* chance(0.3)) ? yield* random.next : 0,
      heard: weather !== "deaf" && (yield* chance(0.7))
    }
  })

const never: Answer = { takes: "never" }
const refused = new ServerError({ message: "connection refused" })
const locked = new ServerError({ message: "password authentication failed", fault: "fatal" })
const broken = new ServerError({ message: "the server has made a mistake" })

const mishaps: ReadonlyArray<Operation> = ["connect", "validate", "cancel", "reset", "close", "query"]

/**
 * A forecast in words, one spell a line.
 *
 * @since 0.1.0
 * @category getters
 */
export const describe = (forecast: Forecast): string => {
  let from = 0
  return forecast.map((spell) => {
    const line = `${from} ms: ${describeSpell(spell)}`
    from += spell.lasts
    return line
  }).join("\n")
}

const describeSpell = ({ answers, heard, kills, limit, mishap, weather }: Spell): string => {
  const details: Array<string> = []
  if (limit !== Infinity) details.push(`at most ${limit} connections`)
  for (const [operation, answer] of Object.entries(answers)) details.push(`${operation} ${describeAnswer(answer)}`)
  if (kills > 0) details.push(`${Math.round(kills * 100)} % of the connections die${heard ? "" : " unheard"}`)
  if (mishap !== undefined) details.push(`the next ${mishap.operation} ${describeAnswer(mishap.answer)}`)
  return details.length === 0 ? weather : `${weather}; ${details.join(", ")}`
}

const describeAnswer = ({ fails, stubborn, takes = 0 }: Answer): string => {
  const time = takes === "never" ? "never ends" : `takes ${Duration.toMillis(takes)} ms`
  return time + (fails === undefined ? "" : ` and fails: ${fails.message}`) + (stubborn === true ? ", stubbornly" : "")
}

/**
 * Has the server go through a forecast, and calms it at the end, or when it is interrupted. Fork it into the scope of your
 * test.
 *
 * @example
 * ```ts
 * import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
 * import * as Weather from "@dbpool/testing/Weather"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* SimulatedServer.make
 *   const forecast = yield* Weather.forecast({ seed: 7 })
 *   yield* Effect.forkScoped(Weather.follow(server, forecast))
 * })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const follow = (server: SimulatedServer, forecast: Forecast): Effect.Effect<void> =>
  Effect.ensuring(
    Effect.forEach(forecast, (spell) => Effect.zipRight(begin(server, spell), Effect.sleep(spell.lasts)), {
      discard: true
    }),
    server.calm
  )

const begin = (server: SimulatedServer, { answers, heard, kills, limit, mishap }: Spell): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* server.calm
    yield* server.limit(limit)
    for (const [operation, answer] of Object.entries(answers)) yield* server.always(operation as Operation, answer)
    if (mishap !== undefined) yield* server.next(mishap.operation, mishap.answer)
    const open = server.connections.filter((connection) => connection.open)
    for (const connection of open.slice(0, Math.round(open.length * kills))) {
      yield* server.kill(connection, { unheard: !heard })
    }
  })
