/**
 * One seed: a pool, users who do whatever they like with it, weather, and after every step the ten rules.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Control from "../../src/internal/control.js"
import { Engine } from "../../src/internal/engine.js"
import * as Lease from "../../src/internal/lease.js"
import { shutdown } from "../../src/internal/shutdown.js"
import * as PoolConfig from "../../src/PoolConfig.js"
import type { Socket, Weather } from "./network.js"
import { Network } from "./network.js"
import type { Coverage } from "./rules.js"
import { Rules } from "./rules.js"
import { World } from "./world.js"

export interface Result {
  readonly seed: number
  readonly digest: string
  readonly steps: number
  readonly failure: string | undefined
  readonly lines: ReadonlyArray<string>
  readonly coverage: Coverage
}

/** what a user turns a connection into before giving it back */
const leave = (world: World, socket: Socket): void => {
  if (world.dice.chance(0.7)) return
  socket.condition = world.dice.pick(["dirty", "busy", "broken"] as const)
}

/**
 * `least`: how many steps the world makes at least. Users go on acting until then; in some worlds far longer, because
 * some troubles need a long history, and most need none.
 */
export const simulate = (seed: number, least: number): Result => {
  const world = new World(seed)
  const { dice } = world
  const enough = least * dice.pick([1, 1, 2, 4, 12])
  const network = new Network(world)
  const max = dice.between(1, 6)
  // every number comes from the dice, in this order; a seed is a history only as long as that order is kept
  const options: PoolConfig.PoolOptions = {
    name: "sim",
    maxConnections: max,
    minConnections: dice.chance(0.5) ? 0 : dice.between(0, max),
    acquireTimeout: dice.pick([200, 1000, 5000, 30_000]),
    maxWaiting: dice.pick([undefined, undefined, 0, 2, 5]),
    connectTimeout: dice.pick([200, 1000, 5000]),
    failFastAfter: dice.pick([0, 500, 5000]),
    connectConcurrency: dice.between(1, 4),
    idleTimeout: dice.pick([100, 1000, 300_000]),
    maxLifetime: dice.pick([300, 2000, 1_800_000]),
    lifetimeJitter: dice.pick([0, 0.25, 1]),
    maxUses: dice.pick([undefined, undefined, 1, 3]),
    keepaliveInterval: dice.pick([300, 5000, 120_000]),
    order: dice.pick(["lifo", "fifo"] as const),
    validateAfterIdle: dice.pick([0, 20, 1000]),
    validateTimeout: dice.pick([500, 2000]),
    resetTimeout: dice.pick([100, 5000]),
    shutdownTimeout: dice.pick([0, 500, 10_000])
  }

  let rules: Rules | undefined
  const program = Effect.gen(function*() {
    const config = yield* PoolConfig.resolve(options)
    const runtime = yield* Effect.runtime()
    const engine = new Engine<Socket>(config, network.hooks as never, runtime, world.clock)
    rules = new Rules(world, network, engine)
    const checks = rules

    const hold = (socket: Socket, user: string) =>
      Effect.gen(function*() {
        checks.lent(socket, user)
        // some of those who are still there when the pool closes would keep it for ever
        if (user.startsWith("late") && dice.chance(0.5)) yield* Effect.sleep(dice.between(1000, 60_000))
        else if (dice.chance(0.8)) yield* Effect.sleep(dice.between(0, dice.chance(0.1) ? 3000 : 60))
        leave(world, socket)
        if (dice.chance(0.05)) return yield* Effect.fail("user failed")
        if (dice.chance(0.02)) return yield* Effect.die("user died")
      }).pipe(Effect.ensuring(Effect.sync(() => checks.givenBack(socket, user))))

    const borrow = (user: string): Effect.Effect<unknown, unknown> =>
      Effect.uninterruptibleMask((restore) => {
        const options = {
          timeout: dice.chance(0.3) ? dice.pick([0, 10, 300, 2000]) : undefined,
          whenExhausted: dice.chance(0.1) ? "fail" as const : undefined
        }
        const call = checks.asks(user, options.timeout ?? config.acquireTimeout)
        const got = (socket: Socket) =>
          Effect.suspend(() => {
            checks.answered(call)
            return hold(socket, user)
          })
        const program = dice.chance(0.6)
          ? Lease.use(engine)(got, options)
          : Effect.scoped(Effect.flatMap(Lease.acquire(engine, options), (lease) =>
            Effect.zipRight(
              got(lease.connection),
              dice.chance(0.1) ? lease.invalidate : Effect.void
            )))
        return Effect.ensuring(restore(program), Effect.sync(() => checks.answered(call)))
      })

    const user = (id: number) =>
      Effect.gen(function*() {
        for (let i = 1; world.steps < enough; i++) {
          if (dice.chance(0.6)) yield* Effect.sleep(dice.between(0, dice.chance(0.1) ? 4000 : 100))
          const fiber = yield* Effect.fork(Effect.exit(borrow(`${id}.${i}`)))
          if (dice.chance(0.25)) {
            if (dice.chance(0.8)) yield* Effect.sleep(dice.between(0, 60))
            yield* Fiber.interrupt(fiber)
          } else yield* Fiber.await(fiber)
        }
      })

    const weather = Effect.gen(function*() {
      for (;;) {
        yield* Effect.sleep(dice.between(10, 3000))
        const all: ReadonlyArray<Weather> = [
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
        network.weather = dice.pick(all)
        network.limit = dice.between(0, max)
        world.record(`weather ${network.weather}`)
        if (dice.chance(0.3)) world.skew += dice.between(-100_000, 100_000)
        if (dice.chance(0.5)) { for (const socket of network.open) if (dice.chance(0.4)) network.kill(socket) }
      }
    })

    const operator = Effect.gen(function*() {
      for (;;) {
        yield* Effect.sleep(dice.between(10, 5000))
        const what = dice.pick(["resize", "evict", "drain", "hard drain", "suspend", "check"] as const)
        world.record(`operator: ${what}`)
        switch (what) {
          case "resize": {
            const maxConnections = dice.between(1, 6)
            yield* Control.resize(engine, { maxConnections, minConnections: dice.between(0, maxConnections) })
            break
          }
          case "evict":
            yield* Control.evictIdle(engine)
            break
          case "drain":
            yield* Control.drain(engine, { over: dice.pick([0, 1000]) })
            break
          case "hard drain":
            checks.condemns()
            yield* Control.drain(engine, { hard: true })
            break
          case "suspend":
            yield* Control.suspend(engine)
            yield* Effect.sleep(dice.between(0, 1000))
            yield* Control.resume(engine)
            break
          case "check":
            yield* Control.check(engine)
        }
      }
    }).pipe(Effect.ensuring(Control.resume(engine)))

    const sky = yield* Effect.fork(weather)
    const desk = yield* Effect.fork(dice.chance(0.5) ? operator : Effect.void)
    yield* Effect.forEach(Array.from({ length: dice.between(1, 12) }, (_, i) => i + 1), user, {
      concurrency: "unbounded",
      discard: true
    })
    yield* Fiber.interrupt(sky)
    yield* Fiber.interrupt(desk)
    if (dice.chance(0.5)) {
      network.weather = "fine"
      const patience = world.now + 60_000
      while (!checks.calm(world.now >= patience)) yield* Effect.sleep(1000)
    }
    // some are still borrowing when the pool closes
    const stragglers = yield* Effect.forEach([1, 2, 3], (i) => Effect.fork(Effect.exit(borrow(`late ${i}`))))
    if (dice.chance(0.5)) yield* Effect.sleep(dice.between(0, 100))
    checks.closes()
    yield* shutdown(engine)
    checks.closed()
    yield* Effect.forEach(stragglers, Fiber.await)
  }).pipe(Effect.scoped)

  const run = world.start(program as Effect.Effect<void>)
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
      if (world.steps > 2_000_000) {
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
  return {
    seed,
    digest: world.digest,
    steps: world.steps,
    failure,
    lines: world.lines,
    coverage: rules?.coverage ?? new Map()
  }
}
