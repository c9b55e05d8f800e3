/**
 * What users do with a pool: everything that its interface allows, in any order, within one another and side by side.
 */
import * as AcquireOptions from "@dbpool/core/AcquireOptions"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as BorrowingCall from "../../src/internal/call.js"
import type { Engine } from "../../src/internal/engine.js"
import * as Lease from "../../src/internal/lease.js"
import * as Session from "../../src/internal/session.js"
import type { Lease as PoolLease } from "../../src/Pool.js"
import type { Call, Callers } from "./callers.js"
import { fate } from "./callers.js"
import type { Socket } from "./network.js"
import type { Place, Stay } from "./stay.js"
import { sessionOf } from "./stay.js"
import type { World } from "./world.js"

/** users that come just before the pool closes, and may stay for longer than it would wait */
export const late = "late"

/** how often one activity may lie within another */
const deepest = 3

export class Users {
  private last = 0
  /** children that nobody waits for */
  private readonly strays = new Set<Fiber.Fiber<void>>()

  constructor(
    private readonly world: World,
    private readonly engine: Engine<Socket>,
    private readonly callers: Callers
  ) {}

  /** goes on until the world has made so many steps */
  until(enough: number, id: number): Effect.Effect<void> {
    const { dice } = this.world
    return Effect.gen(this, function*() {
      while (this.world.steps < enough) {
        if (dice.chance(0.6)) yield* this.sleep(0, dice.chance(0.1) ? 4000 : 100)
        const act = this.act(`${id}`, undefined, 0)
        yield* dice.chance(0.1) ? this.rivals(act) : this.impatiently(act, 0.25)
      }
    })
  }

  /** what somebody does, wherever he is inside of, and whatever comes of it */
  act(who: string, place: Place, depth: number): Effect.Effect<void> {
    const { dice } = this.world
    return Effect.suspend(() => {
      const user = `${who}.${++this.last}`
      return dice.chance(sessionOf(place) === undefined ? 0.15 : 0.05)
        ? this.session(user, place, depth)
        : this.borrow(user, place, depth)
    })
  }

  get awaitStrays(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.strays.size === 0 ? Effect.void : Effect.zipRight(Fiber.awaitAll(this.strays), this.awaitStrays)
    )
  }

  private sleep(low: number, high: number): Effect.Effect<void> {
    return Effect.suspend(() => Effect.sleep(this.world.dice.between(low, high)))
  }

  /** in a fiber that is interrupted now and then */
  private impatiently(self: Effect.Effect<void>, often: number): Effect.Effect<void> {
    const { dice } = this.world
    return Effect.flatMap(Effect.fork(self), (fiber) => {
      if (!dice.chance(often)) return Fiber.await(fiber)
      return Effect.zipRight(dice.chance(0.8) ? this.sleep(0, 60) : Effect.void, Fiber.interrupt(fiber))
    })
  }

  /** does it twice at once, and gives up the second as soon as the first is over */
  private rivals(self: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.flatMap(Effect.fork(self), (second) => Effect.zipRight(self, Fiber.interrupt(second)))
  }

  // ---- one connection

  private borrow(user: string, place: Place, depth: number): Effect.Effect<void> {
    const { callers, engine, world: { dice } } = this
    const options = this.options()
    const leased = Effect.flatMap(([stay, lease]: readonly [Stay, PoolLease<Socket>]) =>
      Effect.zipRight(this.hold(user, stay, depth), dice.chance(0.1) ? lease.invalidate : Effect.void)
    )
    return this.call(user, place, options, (ask) => {
      const lease = this.lease(ask, options)
      if (engine.sharing !== undefined && dice.chance(0.1)) {
        return Effect.flatMap(ask, (call) => BorrowingCall.shareCall(engine)(this.operation(call), options))
      }
      if (engine.sharing !== undefined && dice.chance(0.65)) {
        return Effect.flatMap(
          ask,
          (call) =>
            Lease.share(engine)(
              (socket, alone) =>
                this.stay(
                  () => callers.begins(call, alone ? "use" : "share", socket),
                  (stay) => this.hold(user, stay!, depth)
                ),
              options
            )
        )
      }
      switch (dice.pick(["use", "use", "use", "call", "call", "lease", "lease", "lease", "hasty", "stream"] as const)) {
        case "call":
          return Effect.flatMap(ask, (call) => BorrowingCall.call(engine)(this.operation(call), options))
        case "use":
          return Effect.flatMap(
            ask,
            (call) =>
              Lease.use(engine)(
                (socket) =>
                  this.stay(() => callers.begins(call, "use", socket), (stay) => this.hold(user, stay!, depth)),
                options
              )
          )
        case "lease":
          return Effect.scoped(leased(lease))
        case "hasty":
          // the lease is taken by a child, and then it is the parent's
          return Effect.scoped(Effect.flatMap(
            Effect.timeoutOption(lease, dice.between(0, 100)),
            Option.match({ onNone: () => Effect.void, onSome: (taken) => leased(Effect.succeed(taken)) })
          ))
        case "stream":
          return Stream.runDrain(
            Stream.unwrapScoped(
              Effect.map(
                lease,
                (taken) => Stream.flatMap(Stream.fromIterable([1, 2]), () => leased(Effect.succeed(taken)))
              )
            )
          )
      }
    })
  }

  /** no effect: it ends at once, or when its time has come, or throws; what is abandoned may leave something going on */
  private operation(call: Call) {
    const { callers, world } = this
    const { dice } = world
    return (socket: Socket, done: (exit: Exit.Exit<void, string>) => void, alone = true): () => void => {
      const stay = callers.begins(call, alone ? "use" : "share", socket)
      const over = () => {
        if (stay.going) {
          if (dice.chance(0.3)) socket.condition = dice.pick(["dirty", "busy", "broken"] as const)
          callers.ends(stay)
        }
        // whoever was abandoned may say so late
        done(dice.chance(0.05) ? Exit.fail("user failed") : Exit.void)
      }
      if (dice.chance(0.1)) over()
      if (dice.chance(0.02)) {
        if (stay.going) callers.ends(stay)
        throw fate
      }
      if (!stay.going) return () => {}
      const lasts = call.user.startsWith(late) && dice.chance(0.5) ? dice.between(1000, 60_000) : dice.between(0, 60)
      const stop = world.at(world.now + lasts, over)
      return () => {
        if (dice.chance(0.7)) stop()
        if (dice.chance(0.5)) socket.condition = "busy"
        callers.ends(stay)
      }
    }
  }

  /** a lease, and the stay that ends with its scope */
  private lease(ask: Effect.Effect<Call>, options: AcquireOptions.AcquireOptions) {
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(this, function*() {
        const call = yield* ask
        const lease = yield* restore(Lease.acquire(this.engine, options))
        const stay = this.callers.begins(call, "lease", lease.connection)
        yield* Effect.addFinalizer(() => Effect.sync(() => this.callers.ends(stay)))
        return [stay, lease] as const
      })
    )
  }

  private options(): AcquireOptions.AcquireOptions {
    const { dice } = this.world
    return {
      timeout: dice.chance(0.3) ? dice.pick([0, 10, 300, 2000]) : undefined,
      whenExhausted: dice.chance(0.1) ? "fail" : undefined
    }
  }

  /** a call with options of its own and those of a region; it is known until when it has to be answered */
  private call(
    user: string,
    place: Place,
    options: AcquireOptions.AcquireOptions,
    make: (ask: Effect.Effect<Call>) => Effect.Effect<unknown, unknown>
  ): Effect.Effect<void> {
    const { callers, engine, world: { dice } } = this
    // what is called inside is in the region, too
    return Effect.flatMap(AcquireOptions.Region, (outer) => {
      const region: AcquireOptions.AcquireOptions | undefined = dice.chance(0.9) ? undefined : {
        timeout: dice.pick([5, 200, undefined]),
        whenExhausted: dice.pick(["fail", "wait", undefined])
      }
      const patience = options.timeout ?? region?.timeout ?? outer.timeout ?? engine.config.acquireTimeout
      let call: Call | undefined
      const ask = Effect.sync(() => call ??= callers.asks(user, place, Number(patience)))
      return make(ask).pipe(
        (self) => region === undefined ? self : AcquireOptions.within(self, region),
        Effect.onExit((exit) => Effect.sync(() => callers.over(call, exit))),
        Effect.exit
      )
    })
  }

  private stay<E>(begin: () => Stay | undefined, f: (stay: Stay | undefined) => Effect.Effect<void, E>) {
    let stay: Stay | undefined
    return Effect.suspend(() => {
      stay = begin()
      return f(stay)
    }).pipe(Effect.ensuring(Effect.sync(() => {
      if (stay !== undefined) this.callers.ends(stay)
    })))
  }

  /** has a connection for a while, and does something else meanwhile, perhaps */
  private hold(user: string, stay: Stay, depth: number): Effect.Effect<void, string> {
    const { dice } = this.world
    return Effect.gen(this, function*() {
      if (user.startsWith(late) && dice.chance(0.5)) yield* this.sleep(1000, 60_000)
      else if (dice.chance(0.8)) yield* this.sleep(0, dice.chance(0.1) ? 2500 : 60)
      if (depth < deepest && dice.chance(sessionOf(stay) === undefined ? 0.05 : 0.3)) {
        yield* this.inside(user, stay, depth)
      }
      if (stay.kind === "share" && dice.chance(0.1)) stay.socket.obstructed = true
      if (dice.chance(0.3)) stay.socket.condition = dice.pick(["dirty", "busy", "broken"] as const)
      if (dice.chance(0.05)) return yield* Effect.fail("user failed")
      if (dice.chance(0.02)) return yield* Effect.die(fate)
    })
  }

  // ---- many

  /** several things, one after the other, side by side, or left to children */
  private inside(user: string, place: Place, depth: number): Effect.Effect<void> {
    const { dice } = this.world
    const act = Effect.suspend(() => this.act(user, place, depth + 1))
    return Effect.suspend(() => {
      switch (dice.pick(["one", "side by side", "rivals", "child", "stray", "strays"] as const)) {
        case "one":
          return act
        case "side by side":
          // not `Effect.all`: interrupted before its first step, it hangs (effect 3.22)
          return Effect.flatMap(Effect.replicateEffect(Effect.fork(act), 3), Fiber.awaitAll)
        case "child":
          return this.impatiently(act, 0.4)
        case "rivals":
          return this.rivals(act)
        case "stray":
          return this.stray(act)
        case "strays":
          return Effect.zipRight(this.stray(act), this.stray(act))
      }
    })
  }

  private stray(self: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.map(Effect.forkDaemon(self), (fiber) => {
      this.strays.add(fiber)
      fiber.addObserver(() => this.strays.delete(fiber))
    })
  }

  private session(user: string, place: Place, depth: number): Effect.Effect<void> {
    const { callers, engine, world: { dice } } = this
    return this.call(
      user,
      place,
      {},
      (ask) =>
        Effect.scoped(Effect.flatMap(Effect.scope, (outside) =>
          Effect.flatMap(ask, (call) =>
            Effect.zipRight(
              Lease.session(engine)(
                this.stay(
                  () => callers.beginsSession(call, Session.levelOf(engine)),
                  (stay) => this.turns(user, stay ?? place, depth, outside)
                )
              ),
              // a lease that was taken inside may still be there
              dice.chance(0.3) ? this.sleep(0, 200) : Effect.void
            ))))
    )
  }

  /** what goes on in a session */
  private turns(user: string, place: Place, depth: number, outside: Scope.Scope): Effect.Effect<void> {
    const { dice } = this.world
    return Effect.gen(this, function*() {
      let here = place
      for (let left = dice.between(0, 4); left > 0; left--) {
        if (dice.chance(0.1)) here = (yield* this.outlive(`${user}.${++this.last}`, here, outside)) ?? here
        else if (dice.chance(0.3)) yield* this.sleep(0, 50)
        else if (depth < deepest) yield* this.inside(user, here, depth)
      }
    })
  }

  /** takes a lease that ends with a scope around the session, and goes on inside it */
  private outlive(user: string, place: Place, outside: Scope.Scope): Effect.Effect<Place> {
    const options = this.options()
    let stay: Place
    const keep = (taken: readonly [Stay, unknown]) => Effect.sync(() => void (stay = taken[0]))
    return Effect.map(
      this.call(user, place, options, (ask) => Effect.flatMap(Scope.extend(this.lease(ask, options), outside), keep)),
      () => stay
    )
  }
}
