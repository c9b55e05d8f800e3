import * as BlackHole from "@dbpool/testing/BlackHole"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Net from "node:net"

const connect = (hole: BlackHole.BlackHole) =>
  Effect.gen(function*() {
    const connected = yield* Deferred.make<void>()
    const closed = yield* Deferred.make<void>()
    const received: Array<Buffer> = []
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => Net.connect(hole.port, hole.host)),
      (socket) => Effect.sync(() => socket.destroy())
    )
    socket.on("error", () => {})
    socket.on("data", (chunk) => received.push(chunk))
    socket.once("connect", () => Deferred.unsafeDone(connected, Effect.void))
    socket.once("close", () => Deferred.unsafeDone(closed, Effect.void))
    yield* Deferred.await(connected)
    return { closed: Deferred.await(closed), received, socket }
  })

const becomes = (count: Effect.Effect<number>, expected: number) =>
  count.pipe(
    Effect.repeat({ until: (n) => n === expected, schedule: Schedule.spaced("5 millis") }),
    Effect.timeout("5 seconds")
  )

describe("BlackHole", () => {
  it.scopedLive("accepts connections and never answers", () =>
    Effect.gen(function*() {
      const hole = yield* BlackHole.make
      const { received, socket } = yield* connect(hole)
      socket.write("is anybody there?")
      yield* Effect.sleep("100 millis")
      assert.deepStrictEqual(received, [])
      assert.isFalse(socket.readableEnded)
    }))

  it.scopedLive("counts the connections it accepted and those that are open", () =>
    Effect.gen(function*() {
      const hole = yield* BlackHole.make
      const first = yield* connect(hole)
      yield* connect(hole)
      yield* becomes(hole.accepted, 2)
      yield* becomes(hole.open, 2)
      first.socket.end()
      yield* becomes(hole.open, 1)
      assert.strictEqual(yield* hole.accepted, 2)
    }))

  it.scopedLive("cuts what is open and stops listening when its scope closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const hole = yield* Scope.extend(BlackHole.make, scope)
      const { closed } = yield* connect(hole)
      yield* becomes(hole.open, 1)
      yield* Scope.close(scope, Exit.void)
      yield* Effect.timeout(closed, "5 seconds")
      const refused = yield* Effect.async<boolean>((resume) => {
        const socket = Net.connect(hole.port, hole.host)
        socket.once("connect", () => resume(Effect.succeed(false)))
        socket.once("error", () => resume(Effect.succeed(true)))
      })
      assert.isTrue(refused)
    }))
})
