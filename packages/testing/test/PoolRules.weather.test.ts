/**
 * A sound pool keeps the rules, whatever the weather and whatever its users do.
 */
import type * as Pool from "@dbpool/core/Pool"
import * as PoolRules from "@dbpool/testing/PoolRules"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import * as Weather from "@dbpool/testing/Weather"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { inFastTime } from "./fastClock.js"

type Connection = SimulatedServer.Connection

const between = (low: number, high: number) => Random.nextIntBetween(low, high + 1)
const pick = <A>(all: ReadonlyArray<A>) => Effect.map(between(0, all.length - 1), (index) => all[index]!)
const chance = (probability: number) => Effect.map(Random.next, (n) => n < probability)
const pause = (longest: number) => Effect.flatMap(between(0, longest), (millis) => Effect.sleep(millis))

const drawOptions = Effect.gen(function*() {
  const maxConnections = yield* between(1, 5)
  return {
    name: "weather",
    initialize: "lazy" as const,
    maxConnections,
    minConnections: yield* between(0, maxConnections),
    acquireTimeout: yield* pick([200, 1000, 5000, 30_000]),
    maxWaiting: yield* pick([undefined, undefined, 0, 5]),
    connectTimeout: yield* pick([200, 1000, 5000]),
    failFastAfter: yield* pick([0, 500, 5000]),
    connectConcurrency: yield* between(1, 4),
    idleTimeout: yield* pick([100, 1000, 300_000]),
    maxLifetime: yield* pick([300, 2000, 1_800_000]),
    maxUses: yield* pick([undefined, undefined, 1, 3]),
    keepaliveInterval: yield* pick([300, 5000, 120_000]),
    order: yield* pick(["lifo", "fifo"] as const),
    validateAfterIdle: yield* pick([0, 20, 1000]),
    validateTimeout: yield* pick([500, 2000]),
    resetTimeout: yield* pick([100, 5000]),
    closeTimeout: yield* pick([200, 1000]),
    shutdownTimeout: yield* pick([0, 500, 10_000])
  }
})

type Callers = Set<Fiber.RuntimeFiber<unknown, unknown>>

/** keeps somebody from getting what is given back in this very moment */
const disturb = (callers: Callers) =>
  Effect.gen(function*() {
    if (callers.size === 0 || (yield* chance(0.8))) return
    const unlucky = yield* pick([...callers])
    yield* Effect.sync(() => unlucky.unsafeInterruptAsFork(unlucky.id()))
  })

/** what somebody does with a connection; it may be left in a transaction, or busy when it is interrupted */
const work = (callers: Callers) => (connection: Connection) =>
  Effect.gen(function*() {
    if (yield* chance(0.3)) yield* connection.begin
    yield* connection.query
    yield* pause(50)
    if (yield* chance(0.5)) yield* connection.commit
    // no pool can do anything about a query that is never answered
  }).pipe(Effect.timeout("3 seconds"), Effect.zipLeft(disturb(callers)))

const borrow = (pool: Pool.Pool<Connection>, callers: Callers) =>
  Effect.gen(function*() {
    const use = work(callers)
    const timeout = yield* pick([undefined, undefined, 0, 10, 300, 2000])
    const onLease = Effect.flatMap(({ connection, invalidate }: Pool.Lease<Connection>) =>
      Effect.zipRight(use(connection), Effect.whenEffect(invalidate, chance(0.2)))
    )
    const ways: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
      pool.use(use, { timeout }),
      pool.use(use, { timeout }),
      Effect.scoped(onLease(pool.acquireWith({ timeout }))),
      Effect.scoped(onLease(pool.acquire)),
      Effect.scoped(onLease(pool.tryAcquire)),
      Stream.runDrain(pool.stream((connection) => Stream.fromEffect(use(connection)))),
      pool.session(Effect.all([pool.use(use), pool.use(() => pool.use(use))], { concurrency: "unbounded" }))
    ]
    yield* yield* pick(ways)
  })

const user = (pool: Pool.Pool<Connection>, callers: Callers) =>
  Effect.gen(function*() {
    yield* pause((yield* chance(0.5)) ? 100 : 5000)
    const fiber = yield* Effect.fork(Effect.exit(borrow(pool, callers)))
    callers.add(fiber)
    fiber.addObserver(() => callers.delete(fiber))
    if (yield* chance(0.25)) yield* Effect.zipRight(pause(60), Fiber.interrupt(fiber))
    else yield* Fiber.await(fiber)
  }).pipe(Effect.repeatN(7))

const operator = (pool: Pool.Pool<Connection>) =>
  Effect.gen(function*() {
    yield* pause(1500)
    const maxConnections = yield* between(1, 5)
    const ways: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
      pool.resize({ maxConnections, minConnections: yield* between(0, maxConnections) }),
      pool.evictIdle,
      pool.drain({ over: yield* pick([0, 1000]) }),
      pool.drain({ hard: true }),
      pool.suspend.pipe(Effect.zipRight(pause(1000)), Effect.ensuring(pool.resume)),
      pool.check
    ]
    yield* yield* pick(ways)
  }).pipe(Effect.forever)

const live = (seed: number) =>
  Effect.gen(function*() {
    const server = yield* SimulatedServer.make
    const options = { ...server.options, ...(yield* drawOptions) }
    const { pool } = yield* PoolRules.make(options, { tolerance: "1 millis" })
    yield* Effect.forkScoped(Weather.follow(server, yield* Weather.forecast({ seed })))
    if (yield* chance(0.5)) yield* Effect.forkScoped(operator(pool))
    const callers: Callers = new Set()
    yield* Effect.all(Array.from({ length: 8 }, () => user(pool, callers)), { concurrency: "unbounded" })
    const { acquired, connectFailures, refused, retired } = yield* pool.stats
    // some still have a connection when the pool closes, and would keep it
    const straggler = Effect.exit(pool.use(() => Effect.sleep("1 minute")))
    if (yield* chance(0.5)) yield* Effect.replicateEffect(Effect.forkDaemon(straggler), 3)
    yield* pause(100)
    return { acquired, connectFailures, lost: retired.lost, timeouts: refused.AcquireTimeout }
  }).pipe(
    Effect.scoped,
    Effect.withRandom(Random.make(seed)),
    Logger.withMinimumLogLevel(LogLevel.None),
    inFastTime
  )

/** prints what failed with the seed that shows it again */
const seeds = 100

describe("a sound pool in any weather", () => {
  it.live("keeps the ten rules", () =>
    Effect.gen(function*() {
      const total = { acquired: 0, connectFailures: 0, lost: 0, timeouts: 0 }
      for (let seed = 1; seed <= seeds; seed++) {
        const exit = yield* Effect.exit(live(seed))
        if (Exit.isFailure(exit)) return assert.fail(`seed ${seed}: ${Cause.pretty(exit.cause)}`)
        for (const [name, count] of Object.entries(exit.value)) total[name as keyof typeof total] += count
      }
      // it was no idyll
      assert.isAbove(total.acquired, 10 * seeds)
      assert.isAbove(total.connectFailures, seeds)
      assert.isAbove(total.lost, seeds / 4)
      assert.isAbove(total.timeouts, seeds / 2)
    }))
})
