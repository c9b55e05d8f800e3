import * as Pool from "@dbpool/core/Pool"
import * as InterruptSweep from "@dbpool/testing/InterruptSweep"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"

/** a lock that ought to be free after each run */
class Lock {
  taken = 0
  readonly take = Effect.sync(() => this.taken++)
  readonly free = Effect.sync(() => this.taken--)
  readonly mustBeFree = Effect.suspend(() => this.taken === 0 ? Effect.void : Effect.fail(`${this.taken} are left`))
}

const world = Effect.sync(() => new Lock())

const work = Effect.zipRight(Effect.yieldNow(), Effect.void)

const safe = ({ free, take }: Lock) => Effect.acquireUseRelease(take, () => work, () => free)

/** an interrupt that comes between taking it and working leaves it taken */
const leaky = ({ free, take }: Lock) => Effect.zipRight(take, Effect.ensuring(work, free))

describe("a sweep", () => {
  it.effect("cuts at every operation, and ends with the run that none is left of", () =>
    Effect.gen(function*() {
      const runs = yield* InterruptSweep.sweep({
        world,
        effect: (lock, { interrupt }) => interrupt(safe(lock)),
        after: ({ mustBeFree }) => mustBeFree
      })
      assert.deepStrictEqual(runs.map(({ operation }) => operation), runs.map((_, index) => index + 1))
      assert.isAbove(runs.length, 5)
      assert.isTrue(runs.slice(0, -1).every(({ cut }) => cut))
      assert.isFalse(runs.at(-1)!.cut)
      assert.isTrue(Exit.isSuccess(runs.at(-1)!.exit))
      assert.isTrue(runs.some(({ exit }) => Exit.isInterrupted(exit)))
    }))

  for (const [name, by] of Object.entries(InterruptSweep.interrupters)) {
    it.effect(`by ${name} passes what leaks nothing`, () =>
      InterruptSweep.sweep({
        world,
        effect: (lock, cut) => by(safe(lock), cut),
        after: ({ mustBeFree }) => mustBeFree
      }))

    if (name === "uninterruptible") continue
    it.effect(`by ${name} finds what leaks`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(InterruptSweep.sweep({
          world,
          effect: (lock, cut) => by(leaky(lock), cut),
          after: ({ mustBeFree }) => mustBeFree
        }))
        assert.strictEqual(error.cause, "1 are left")
        assert.strictEqual(error.message, `After a cut at operation ${error.operation}: 1 are left`)
      }))
  }

  it.effect("closes each world's scope before the next one is made", () =>
    Effect.gen(function*() {
      let open = 0
      yield* InterruptSweep.sweep({
        world: Effect.acquireRelease(
          Effect.sync(() => assert.strictEqual(open++, 0)),
          () => Effect.sync(() => void open--)
        ),
        effect: (_, { interrupt }) => interrupt(work),
        after: () => Effect.sync(() => assert.strictEqual(open, 1))
      })
      assert.strictEqual(open, 0)
    }))

  it.effect("finds what hangs", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(InterruptSweep.sweep({
        world,
        effect: (_, { interrupt }) => Effect.uninterruptible(interrupt(Effect.zipRight(work, Effect.never))),
        after: ({ mustBeFree }) => mustBeFree,
        patience: "20 millis"
      }))
      assert.strictEqual(error.message, "After a cut at operation 1: it has not ended after 20ms")
    }))

  it.effect("that nothing is given to says so", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(InterruptSweep.sweep({
        world,
        effect: safe,
        after: ({ mustBeFree }) => mustBeFree
      }))
      assert.include(error.message, "give it to cut.interrupt or cut.stop")
    }))

  it.effect("meanwhile lets time pass", () =>
    Effect.gen(function*() {
      const runs = yield* InterruptSweep.sweep({
        world: Effect.flatMap(SimulatedServer.make, (server) =>
          Effect.as(
            Effect.zipRight(server.always("connect", { takes: "1 second" }), Effect.void),
            server
          )).pipe(
            Effect.bindTo("server"),
            Effect.bind("scope", () => Scope.make()),
            Effect.bind("pool", ({ scope, server }) =>
              Scope.extend(Pool.make({ ...server.options, initialize: "lazy" }), scope))
          ),
        effect: ({ pool }, { interrupt }) =>
          interrupt(pool.use(({ query }) => query)),
        meanwhile: () => TestClock.adjust("1 second"),
        after: ({ pool, scope, server }) =>
          Effect.gen(function*() {
            assert.strictEqual((yield* pool.stats).leased, 0)
            yield* Scope.close(scope, Exit.void)
            assert.strictEqual(server.open, 0)
          })
      })
      assert.isAbove(runs.length, 10)
    }))

  it.effect("in a world with a scheduler of its own cuts there, too", () =>
    Effect.gen(function*() {
      const tasks: Array<() => void> = []
      const scheduler: Scheduler.Scheduler = {
        shouldYield: () => false,
        scheduleTask: (task) => void tasks.push(task)
      }
      const knife = InterruptSweep.knife(2, { scheduler })
      const lock = new Lock()
      const fiber = Effect.runFork(Effect.withScheduler(knife.interrupt(safe(lock)), knife.scheduler))
      assert.isTrue(knife.watches())
      assert.isTrue(knife.hasCut())
      for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) task()
      assert.isTrue(Exit.isInterrupted(fiber.unsafePoll()!))
      yield* lock.mustBeFree
    }))
})
