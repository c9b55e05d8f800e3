import * as Pool from "@dbpool/core/Pool"
import * as PoolReset from "@dbpool/core/PoolReset"
import * as PoolBooks from "@dbpool/testing/PoolBooks"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"

const view = (
  { closed, closingAt, connecting, destroyed, hook, lostAt, openedAt, startedAt }: PoolBooks.Account<unknown>
) => ({
  closed,
  closingAt,
  connecting,
  destroyed,
  hook,
  lostAt,
  openedAt,
  startedAt
})

const opened = {
  closed: 0,
  closingAt: Infinity,
  connecting: false,
  destroyed: 0,
  hook: undefined,
  lostAt: Infinity,
  openedAt: 3000,
  startedAt: 0
}

describe("the books of a pool", () => {
  it.scoped("follow a connection from its connect, its setup included, to its end", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const books = yield* PoolBooks.record({
        ...server.options,
        initialize: "lazy" as const,
        minConnections: 1,
        setup: () => Effect.sleep("1 second")
      })
      yield* server.always("connect", { takes: "2 seconds" })
      const pool = yield* Pool.make(books.options)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(books.accounts.map(view), [{ ...opened, connecting: true, openedAt: Infinity }])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(books.accounts.map(view), [opened])
      assert.strictEqual(books.accounts[0]!.connection, server.connections[0])

      yield* server.always("reset", { takes: "1 second" })
      yield* pool.use(({ begin }) => begin)
      yield* TestClock.adjust(0)
      assert.strictEqual(books.accounts[0]!.hook, "reset")
      yield* TestClock.adjust("1 second")
      yield* server.always("close", { takes: "2 seconds" })
      yield* server.restart
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(view(books.accounts[0]!), { ...opened, lostAt: 4000, closingAt: 4000 })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(view(books.accounts[0]!), {
        ...opened,
        lostAt: 4000,
        closingAt: 4000,
        closed: 1,
        destroyed: 1
      })
      yield* server.calm
    }))

  it.scoped("have an account of a connect that failed, and of a setup that did", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      let sound = false
      const fails = new SimulatedServer.ServerError({ message: "no" })
      const books = yield* PoolBooks.record({
        ...server.options,
        initialize: "lazy" as const,
        setup: () => sound ? Effect.void : Effect.fail(fails)
      })
      yield* server.next("connect", { fails })
      const pool = yield* Pool.make(books.options)
      yield* Effect.forkScoped(pool.use(() => Effect.void))
      yield* TestClock.adjust("1 second")
      sound = true
      yield* TestClock.adjust("5 seconds")
      const [refused, unfit] = books.accounts
      assert.deepStrictEqual([refused!.connection, refused!.openedAt, refused!.closed], [undefined, Infinity, 0])
      assert.deepStrictEqual([unfit!.connection, unfit!.openedAt, unfit!.closed], [server.connections[0], Infinity, 1])
      assert.isAbove(books.accounts.at(-1)!.openedAt, 1000)
    }))

  it.scoped("run the hooks they were given, in whatever form", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const seen: Array<string> = []
      const note = (what: string) => () => Effect.sync(() => seen.push(what))
      const books = yield* PoolBooks.record({
        ...server.options,
        initialize: "lazy" as const,
        setup: note("setup"),
        reset: PoolReset.andThen(PoolReset.whenDirty(server.options.reset), PoolReset.always(note("reset"))),
        validateOn: ["return"] as const,
        validate: note("validate")
      })
      const pool = yield* Pool.make(books.options)
      yield* pool.use(({ begin }) => begin)
      yield* TestClock.adjust(0)
      yield* pool.use(({ query }) => query)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(seen, ["setup", "reset", "validate", "reset", "validate"])
    }))

  it.effect("refuse a connection that they have never seen", () =>
    Effect.gen(function*() {
      const books = yield* PoolBooks.record({ connect: Effect.succeed({}), destroy: (_: object) => {} })
      assert.throws(() => books.options.destroy({}), "a connection that its connect did not open")
    }))
})
