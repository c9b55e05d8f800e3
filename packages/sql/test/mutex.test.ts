import * as InterruptSweep from "@dbpool/testing/InterruptSweep"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { Mutex } from "../src/internal/mutex.js"
import { settle, start } from "./support.js"

const gate = () => {
  let open = () => {}
  const wait = Effect.async<void>((resume) => {
    open = () => resume(Effect.void)
  })
  return { wait, open: () => open() }
}

describe("the mutex", () => {
  it.effect("serves in the order of arrival", () =>
    Effect.gen(function*() {
      const mutex = new Mutex()
      const order: Array<number> = []
      yield* Effect.forEach(
        [1, 2, 3, 4],
        (n) => mutex.withLock(Effect.zipRight(Effect.yieldNow(), Effect.sync(() => order.push(n)))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(order, [1, 2, 3, 4])
    }))

  it.effect("lets nobody in while somebody has it", () =>
    Effect.gen(function*() {
      const mutex = new Mutex()
      let inside = 0
      const one = mutex.withLock(Effect.gen(function*() {
        assert.strictEqual(++inside, 1)
        yield* Effect.yieldNow()
        inside--
      }))
      yield* Effect.replicateEffect(one, 20, { concurrency: "unbounded" })
    }))

  it.effect("is released by whatever ends: a success, a failure, a defect, an interrupt", () =>
    Effect.gen(function*() {
      const mutex = new Mutex()
      yield* mutex.withLock(Effect.void)
      yield* Effect.exit(mutex.withLock(Effect.fail("no")))
      yield* Effect.exit(mutex.withLock(Effect.die("no")))
      yield* Fiber.interrupt(yield* start(mutex.withLock(Effect.never)))
      yield* mutex.withLock(Effect.void)
    }))

  it.effect("is held by `scoped` until the scope closes", () =>
    Effect.gen(function*() {
      const mutex = new Mutex()
      const order: Array<string> = []
      yield* Effect.scoped(Effect.gen(function*() {
        yield* mutex.scoped
        yield* start(mutex.withLock(Effect.sync(() => order.push("next"))))
        order.push("first")
      }))
      yield* settle
      assert.deepStrictEqual(order, ["first", "next"])
    }))

  it.effect("a waiter that is interrupted leaves the queue, and never runs", () =>
    Effect.gen(function*() {
      const mutex = new Mutex()
      const { open, wait } = gate()
      const ran: Array<string> = []
      const holder = yield* start(mutex.withLock(wait))
      const waiter = yield* start(mutex.withLock(Effect.sync(() => ran.push("interrupted"))))
      const last = yield* start(mutex.withLock(Effect.sync(() => ran.push("last"))))
      yield* Fiber.interrupt(waiter)
      assert.deepStrictEqual(ran, [])
      open()
      yield* Fiber.join(holder)
      yield* Fiber.join(last)
      assert.deepStrictEqual(ran, ["last"])
    }))

  it.effect("a waiter that is interrupted just after it was given the lock passes it on", () =>
    Effect.gen(function*() {
      const released: Array<string> = []
      const mutex = new Mutex(() => released.push("released"))
      const { open, wait } = gate()
      const ran: Array<string> = []
      yield* start(mutex.withLock(Effect.ensuring(
        wait,
        // in the same step in which the lock is handed over, before the waiter's fiber has run
        Effect.sync(() => queueMicrotask(() => queueMicrotask(() => first.unsafeInterruptAsFork(first.id()))))
      )))
      const first = yield* start(mutex.withLock(Effect.sync(() => ran.push("first"))))
      const second = yield* start(mutex.withLock(Effect.sync(() => ran.push("second"))))
      open()
      yield* Fiber.await(first)
      yield* Fiber.join(second)
      assert.strictEqual(ran[ran.length - 1], "second")
      yield* mutex.withLock(Effect.void)
      // whoever never had it has nothing to clean up
      assert.strictEqual(released.length, ran.length + 2)
    }))

  it.live("survives an interrupt at every single operation of a holder, and of a waiter", () =>
    Effect.gen(function*() {
      const holds = yield* InterruptSweep.sweep({
        world: Effect.sync(() => new Mutex()),
        effect: (mutex, { interrupt }) => interrupt(mutex.withLock(Effect.yieldNow())),
        after: (mutex) => mutex.withLock(Effect.void)
      })
      const waits = yield* InterruptSweep.sweep({
        world: Effect.gen(function*() {
          const mutex = new Mutex()
          const { open, wait } = gate()
          return { mutex, open, holder: yield* start(mutex.withLock(wait)) }
        }),
        effect: ({ mutex, open }, { interrupt }) =>
          interrupt(Effect.suspend(() => {
            queueMicrotask(open)
            return mutex.withLock(Effect.yieldNow())
          })),
        after: ({ holder, mutex, open }, { exit }) =>
          Effect.gen(function*() {
            // interrupted before its first operation, it has not opened the gate
            if (Exit.isFailure(exit)) open()
            yield* Fiber.join(holder)
            yield* mutex.withLock(Effect.void)
          })
      })
      assert.isAbove(holds.length, 5)
      assert.isAbove(waits.length, 5)
    }))
})
