/**
 * One seed: a pool, users who do whatever they like with it, trouble, and after every step the rules.
 */
import * as PoolConfig from "@dbpool/core/PoolConfig"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { Engine } from "../../src/internal/engine.js"
import { initialize } from "../../src/internal/initialize.js"
import * as Lineage from "../../src/internal/lineage.js"
import * as Rounds from "../../src/internal/rounds.js"
import { Sharing } from "../../src/internal/sharing.js"
import { shutdown } from "../../src/internal/shutdown.js"
import type { Coverage } from "./coverage.js"
import { count } from "./coverage.js"
import type { Socket } from "./network.js"
import { Network } from "./network.js"
import { draw } from "./options.js"
import { Rules } from "./rules.js"
import * as Trouble from "./trouble.js"
import { late, Users } from "./users.js"
import { World } from "./world.js"

export interface Result {
  readonly digest: string
  readonly steps: number
  readonly failure: string | undefined
  readonly lines: ReadonlyArray<string>
  readonly coverage: Coverage
}

/** in bad weather some pools can never be made */
const patience = 5

/** far more than any world makes: it would go on for ever */
const endless = 200_000

/**
 * `least`: how many steps the world makes at least. Users go on acting until then; in some worlds far longer, because
 * some troubles need a long history, and most need none.
 */
export const simulate = (seed: number, least: number): Result => {
  const world = new World(seed)
  const { dice } = world
  const enough = least * dice.pick([1, 1, 1, 1, 2, 8])
  const network = new Network(world)
  const coverage: Coverage = new Map()
  let rules: Rules | undefined

  /** the pool and its rules; one that could not be made must leave nothing behind, and others are tried */
  const make = Effect.gen(function*() {
    let config = yield* PoolConfig.resolve(draw(dice))
    const runtime = Lineage.orphan(yield* Effect.runtime())
    for (let tries = 1;; tries++) {
      if (tries === patience) config = { ...config, initialize: "lazy" }
      const clock = world.makeClock(() => made.rings())
      const engine: Engine<Socket> = new Engine<Socket>(config, network.hooks, runtime, clock)
      if (network.sharing !== undefined) engine.sharing = new Sharing(engine, network.sharing)
      const made = new Rules(world, network, engine, coverage)
      rules = made
      const begun = world.now
      const rounds = yield* Scope.make()
      yield* Scope.extend(Rounds.start(engine), rounds)
      const exit = yield* Effect.exit(Lineage.traceless(initialize(engine)))
      made.initialized(world.now - begun)
      const close = Scope.close(rounds, Exit.void)
      if (Exit.isSuccess(exit)) return { engine, checks: made, close: Effect.zipRight(close, shutdown(engine)) }
      count(coverage, "could not be made")
      made.closed()
      yield* close
    }
  })

  const program = Effect.gen(function*() {
    const sky = yield* Effect.fork(Trouble.weather(world, network, 6))
    const { checks, close, engine } = yield* make
    const users = new Users(world, engine, checks.callers)
    const desk = yield* Effect.fork(dice.chance(0.6) ? Trouble.operator(world, engine, checks) : Effect.void)
    yield* Effect.forEach(
      Array.from({ length: dice.between(1, 12) }, (_, i) => i + 1),
      (id) => users.until(enough, id),
      { concurrency: "unbounded", discard: true }
    )
    yield* Fiber.interrupt(sky)
    yield* Fiber.interrupt(desk)
    if (dice.chance(0.5)) {
      network.weather = "fine"
      yield* users.awaitStrays
      const patience = world.now + 60_000
      while (!checks.calm(world.now >= patience)) yield* Effect.sleep(1000)
    }
    // some are still borrowing when the pool closes
    const stragglers = yield* Effect.forEach([1, 2, 3], () => Effect.fork(users.act(late, undefined, 0)))
    if (dice.chance(0.5)) yield* Effect.sleep(dice.between(0, 100))
    yield* close
    checks.closed()
    yield* Effect.forEach(stragglers, Fiber.await)
  }).pipe(Effect.scoped)

  const run = world.start(program)
  let failure: string | undefined
  try {
    for (let exit = run.exit();; exit = run.exit()) {
      if (exit !== undefined) {
        if (Exit.isFailure(exit)) failure = Cause.pretty(exit.cause)
        break
      }
      if (!world.step()) {
        failure = "nothing can happen any more, and it is not over"
        break
      }
      if (world.steps > endless + 100 * least) {
        failure = "it goes on for ever"
        break
      }
      rules?.check()
    }
    if (failure === undefined) {
      // what took longer than its bound may still be going on; it must end by itself
      while (world.step()) rules?.check()
      rules?.over()
    }
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error)
  }
  return { digest: world.digest, steps: world.steps, failure, lines: world.lines, coverage }
}
