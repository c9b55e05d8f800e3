/**
 * From the options to the pool: the engine, and the interface over it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { AcquireOptions } from "../AcquireOptions.js"
import type * as Pool from "../Pool.js"
import * as PoolConfig from "../PoolConfig.js"
import type { ConnectFailed, InvalidPoolConfig, TooManyConnections } from "../PoolError.js"
import * as PoolLogger from "../PoolLogger.js"
import * as PoolMetrics from "../PoolMetrics.js"
import * as PoolReset from "../PoolReset.js"
import type * as SharingPool from "../SharingPool.js"
import * as Budget from "./budget.js"
import * as Call from "./call.js"
import * as Control from "./control.js"
import { snapshot } from "./counters.js"
import { Engine } from "./engine.js"
import { health } from "./health.js"
import { holders } from "./holders.js"
import type { Hooks } from "./hooks.js"
import { initialize } from "./initialize.js"
import * as Lease from "./lease.js"
import * as Lineage from "./lineage.js"
import * as Logbook from "./logbook.js"
import * as Meter from "./meter.js"
import * as Rounds from "./rounds.js"
import * as Sharing from "./sharing.js"
import { shutdown } from "./shutdown.js"

/** @internal */
export const TypeId: Pool.TypeId = "~@dbpool/core/Pool"

type Made<A, R> = Effect.Effect<A, InvalidPoolConfig | ConnectFailed | TooManyConnections, R | Scope.Scope>

/** @internal */
export const make = <C, E, R, RV, RC, RR>(
  options: Pool.Options<C, E, R, RV, RC, RR>
): Made<Pool.Pool<C>, R | RV | RC | RR> => Effect.map(start(options), poolOf)

/** @internal */
export const makeSharing = <C, E, R, RV, RC, RR>(
  options: SharingPool.Options<C, E, R, RV, RC, RR>
): Made<SharingPool.SharingPool<C>, R | RV | RC | RR> =>
  Effect.map(start(options, (pool) => Sharing.check(pool, options.sharing)), (engine) => {
    engine.sharing = new Sharing.Sharing(engine, options.sharing)
    return { ...poolOf(engine), share: Lease.share(engine), shareCall: Call.shareCall(engine) }
  })

const start = <C, E, R, RV, RC, RR>(
  options: Pool.Options<C, E, R, RV, RC, RR>,
  objection: (pool: string) => InvalidPoolConfig | undefined = () => undefined
): Made<Engine<C>, R | RV | RC | RR> =>
  Effect.gen(function*() {
    const config = yield* PoolConfig.resolve(options)
    const invalid = objection(config.name)
    if (invalid !== undefined) return yield* invalid
    const runtime = Lineage.orphan(yield* Effect.runtime<R | RV | RC | RR | Scope.Scope>())
    const clock = yield* Effect.clock
    const budget = yield* Budget.Current
    const { reset = PoolReset.none } = options
    const hooks: Hooks<C> = {
      connect: options.connect as Hooks<C>["connect"],
      setup: options.setup as Hooks<C>["setup"],
      fault: options.connectFault ?? (() => "transient"),
      validate: options.validate as Hooks<C>["validate"],
      condition: options.condition,
      cancel: options.cancel as Hooks<C>["cancel"],
      reset: (typeof reset === "function" ? { onDirty: reset } : reset) as Hooks<C>["reset"],
      worn: options.worn,
      activity: options.activity,
      onLost: options.onLost,
      destroy: options.destroy
    }
    const engine = yield* Effect.acquireRelease(
      Effect.sync(() => new Engine(config, hooks, runtime as never, clock, budget)),
      shutdown
    )
    if (yield* PoolMetrics.Enabled) Meter.start(engine)
    const logs = yield* PoolLogger.Settings
    if (logs !== undefined) {
      yield* Logbook.start(engine, yield* PoolConfig.bound(config.name, "every", logs.every ?? "10 seconds"))
    }
    yield* Rounds.start(engine)
    yield* Lineage.traceless(initialize(engine))
    return engine
  })

const poolOf = <C>(engine: Engine<C>): Pool.Pool<C> => {
  const use = Lease.use(engine)
  const acquireWith = (options: AcquireOptions) => Lease.acquire(engine, options)
  return {
    [TypeId]: TypeId,
    name: engine.config.name,
    acquire: Lease.acquire(engine),
    acquireWith,
    tryAcquire: acquireWith({ whenExhausted: "fail" }),
    use,
    call: Call.call(engine),
    stream: (f, options) =>
      Stream.unwrapScoped(Effect.map(Lease.acquire(engine, options), (lease) => f(lease.connection))),
    health: Effect.sync(() => health(engine)),
    stats: Effect.sync(() => snapshot(engine)),
    events: engine.hub.events,
    resize: (size) => Control.resize(engine, size),
    evictIdle: Control.evictIdle(engine),
    drain: (options = {}) => Control.drain(engine, options),
    suspend: Control.suspend(engine),
    resume: Control.resume(engine),
    check: Control.check(engine),
    awaitReady: Control.awaitReady(engine, Lease.acquire(engine)),
    session: Lease.session(engine),
    holders: Effect.sync(() => holders(engine, engine.now()))
  }
}
