import type * as PgListen from "@dbpool/sql-pg/PgListen"
import type * as PgPool from "@dbpool/sql-pg/PgPool"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type * as net from "node:net"
import type { Admin } from "./support.js"
import { eventually, failsWith, kill, makePool, makeProxy, timed, unique } from "./support.js"

/** runs a stream for as long as the scope is open, and hands out what comes */
const reading = <E, R>(stream: Stream.Stream<PgListen.Element, E, R>) =>
  Effect.gen(function*() {
    const queue = yield* Queue.unbounded<PgListen.Element>()
    const fiber = yield* Effect.forkScoped(Stream.runForEach(stream, (element) => Queue.offer(queue, element)))
    const next = Effect.timeoutFail(Queue.take(queue), {
      duration: "5 seconds",
      onTimeout: () => new Error("nothing comes")
    })
    return { fiber, next, rest: Queue.takeAll(queue) }
  })

/** whether the server has a connection of that application that listens, by what it was last asked */
const lastStatement = (admin: Admin, app: string) =>
  Effect.map(
    admin("select query from pg_stat_activity where application_name = $1 and query like '%LISTEN%'", [app]),
    (rows) => rows.map(({ query }) => query as string)
  )

const payload = (element: PgListen.Element) => element._tag === "Notification" ? element.payload : element._tag

describe("listen", () => {
  it.scopedLive("says when it listens, and then what is notified, by whomever, empty payloads too", () =>
    Effect.gen(function*() {
      const { admin, pool } = yield* makePool()
      const channel = unique("Some \"channel\"")
      const { next } = yield* reading(pool.listen(channel))
      assert.deepStrictEqual(yield* next, { _tag: "Listening", channel })
      yield* pool.notify(channel, "it's $1")
      yield* pool.notify(channel)
      const [row] = yield* admin("select pg_backend_pid() as pid, pg_notify($1, 'from afar')", [channel])
      assert.strictEqual(payload(yield* next), "it's $1")
      assert.strictEqual(payload(yield* next), "")
      assert.deepStrictEqual(yield* next, {
        _tag: "Notification",
        channel,
        payload: "from afar",
        processId: row.pid
      })
    }))

  it.scopedLive("shares one connection among all channels and listeners, and gives it back after the last one", () =>
    Effect.gen(function*() {
      const { admin, app, pool } = yield* makePool({ maxConnections: 2 })
      const [a, b] = [unique("a"), unique("b")]
      const first = yield* reading(pool.listen(a))
      yield* first.next
      const second = yield* reading(pool.listen(a))
      const third = yield* reading(pool.listen(b))
      assert.strictEqual((yield* second.next)._tag, "Listening")
      assert.strictEqual((yield* third.next)._tag, "Listening")
      assert.strictEqual((yield* pool.stats).leased, 1)
      assert.deepStrictEqual((yield* pool.holders).map(({ span }) => span), ["dbpool.listen"])
      yield* pool.notify(a, "1")
      yield* pool.notify(b, "2")
      assert.deepStrictEqual([payload(yield* first.next), payload(yield* second.next), payload(yield* third.next)], [
        "1",
        "1",
        "2"
      ])
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* third.rest), [])
      yield* Fiber.interrupt(first.fiber)
      yield* pool.notify(a, "3")
      assert.strictEqual(payload(yield* second.next), "3")
      yield* Fiber.interrupt(second.fiber)
      yield* eventually(lastStatement(admin, app), ([query]) => query === `UNLISTEN "${a}"`, "a is not listened to")
      yield* Fiber.interrupt(third.fiber)
      yield* eventually(pool.stats, ({ leased }) => leased === 0, "the connection is back")
      assert.deepStrictEqual(yield* lastStatement(admin, app), [`UNLISTEN "${b}"`])
      const channels = yield* pool.use((connection) => connection.query("select pg_listening_channels()"))
      assert.deepStrictEqual(channels, [])
      assert.deepInclude(yield* pool.stats, { opened: 2, open: 2 })
    }))

  it.scopedLive("listens again after its connection was lost, and says that there is a gap", () =>
    Effect.gen(function*() {
      const { admin, app, pool } = yield* makePool()
      const [a, b] = [unique("a"), unique("b")]
      const first = yield* reading(pool.listen(a))
      const second = yield* reading(pool.listen(b))
      yield* first.next
      yield* second.next
      for (let round = 0; round < 2; round++) {
        const [{ pid }] = yield* admin(
          "select pid from pg_stat_activity where application_name = $1 and query like 'LISTEN%'",
          [app]
        )
        yield* kill(admin, pid)
        assert.deepStrictEqual(yield* first.next, { _tag: "Gap", channel: a, reason: "ConnectionLost" })
        assert.deepStrictEqual(yield* second.next, { _tag: "Gap", channel: b, reason: "ConnectionLost" })
        yield* pool.notify(a, `after ${round}`)
        assert.strictEqual(payload(yield* first.next), `after ${round}`)
      }
      assert.strictEqual((yield* pool.stats).leased, 1)
    }))

  it.scopedLive("goes on trying for as long as the server is away", () =>
    Effect.gen(function*() {
      let away = false
      const proxy = yield* makeProxy((socket, _, pass) => away ? socket.destroy() : pass())
      const { admin, app, pool } = yield* makePool({ ...proxy.address, failFastAfter: "50 millis" })
      const channel = unique("c")
      const { next } = yield* reading(pool.listen(channel))
      yield* next
      away = true
      yield* admin("select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", [app])
      yield* eventually(pool.stats, ({ connectFailures }) => connectFailures >= 2, "the pool has tried twice in vain")
      // who does not listen yet is told why it cannot
      yield* failsWith(Stream.runDrain(pool.listen(channel)), "ConnectFailed")
      away = false
      assert.strictEqual((yield* next)._tag, "Gap")
    }))

  it.scopedLive("notices a connection that has died in silence", () =>
    Effect.gen(function*() {
      let second: net.Socket | undefined
      const proxy = yield* makeProxy((socket, n, pass) => {
        if (n === 1) second = socket
        pass()
      })
      const { pool } = yield* makePool({
        ...proxy.address,
        keepaliveInterval: "200 millis",
        validateTimeout: "200 millis"
      })
      const channel = unique("c")
      // takes the first one, which the proxy has no hand in
      yield* pool.acquire
      const { next } = yield* reading(pool.listen(channel))
      yield* next
      second!.unpipe().pause()
      assert.deepStrictEqual(yield* next, { _tag: "Gap", channel, reason: "ConnectionLost" })
      second!.destroy()
    }))

  it.scopedLive("drops what is not read in time, and puts a gap in its place", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool()
      const channel = unique("c")
      const go = yield* Deferred.make<void>()
      const slow = yield* reading(
        Stream.tap(
          pool.listen(channel, { capacity: 3 }),
          (element) => payload(element) === "1" ? Deferred.await(go) : Effect.void
        )
      )
      const quick = yield* reading(pool.listen(channel))
      yield* slow.next
      yield* quick.next
      const count = 20
      for (let n = 1; n <= count; n++) {
        yield* pool.notify(channel, String(n))
      }
      for (let n = 1; n <= count; n++) {
        assert.strictEqual(payload(yield* quick.next), String(n))
      }
      yield* Deferred.succeed(go, undefined)
      const seen: Array<string> = []
      while (seen.at(-1) !== "Gap") {
        seen.push(payload(yield* slow.next))
      }
      assert.isBelow(seen.length, count)
      assert.deepStrictEqual(
        seen.slice(0, -1),
        seen.slice(0, -1).map((_, index) => String(index + 1))
      )
      yield* pool.notify(channel, "later")
      assert.strictEqual(payload(yield* slow.next), "later")
    }))

  it.scopedLive("ends with PoolClosed when the pool closes, which does not wait for it", () =>
    Effect.gen(function*() {
      const { close, pool } = yield* makePool({ shutdownTimeout: "10 seconds" })
      const channel = unique("c")
      const { fiber, next } = yield* reading(pool.listen(channel))
      yield* next
      const [took] = yield* timed(close)
      assert.isBelow(took, 2000)
      yield* failsWith(Fiber.join(fiber), "PoolClosed")
      yield* failsWith(Stream.runDrain(pool.listen(channel)), "PoolClosed")
    }))

  it.scopedLive("fails, typed, where it cannot work: one connection, a transaction pooler, a name that is too long", () =>
    Effect.gen(function*() {
      const refusal = (options: PgPool.PgPoolOptions, channel = "c", capacity?: number) =>
        Effect.scoped(
          Effect.flatMap(makePool(options), ({ pool }) =>
            Effect.flip(Stream.runDrain(pool.listen(channel, { capacity }))))
        )
      const options = [
        [{ maxConnections: 1 }, "maxConnections"],
        [{ transactionPooling: true }, "transactionPooling"]
      ] as const
      for (const [given, option] of options) {
        const error = yield* refusal(given)
        assert.deepInclude(error, { _tag: "InvalidPoolConfig", option })
      }
      assert.deepInclude(yield* refusal({}, "c", 0), { _tag: "InvalidPoolConfig", option: "capacity" })
      const long = "ä".repeat(32)
      assert.deepInclude(yield* refusal({}, long), { _tag: "StatementError", reason: "Syntax", code: "42622" })
      assert.deepInclude(yield* refusal({}, ""), { _tag: "StatementError", reason: "Syntax" })
    }))

  it.scopedLive("costs nobody a connection, and goes on listening to nothing, when many come and go", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool({ maxConnections: 3 })
      const channels = Array.from({ length: 5 }, () => unique("c"))
      const listener = (channel: string, n: number) => {
        const listen = pool.listen(channel)
        // some leave when they have heard something, some at any moment
        return n % 2 === 0
          ? Stream.runDrain(Stream.take(listen, 1))
          : Effect.asVoid(Effect.timeoutOption(Stream.runDrain(listen), n % 9))
      }
      yield* Effect.forEach(
        Array.from({ length: 300 }, (_, n) => channels[n % 5]!),
        (channel, n) => Effect.delay(listener(channel, n), n % 7),
        { concurrency: 20, discard: true }
      )
      yield* eventually(pool.stats, ({ leased }) => leased === 0, "the connection is back")
      for (let n = 0; n < 3; n++) {
        const listening = yield* pool.use((connection) => connection.query("select pg_listening_channels()"))
        assert.deepStrictEqual(listening, [])
      }
      assert.isAtMost((yield* pool.stats).opened, 3)
    }))
})

describe("notify", () => {
  it.scopedLive("is part of the transaction that it is in", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool()
      const channel = unique("c")
      const { next } = yield* reading(pool.listen(channel))
      yield* next
      yield* Effect.exit(pool.withTransaction(Effect.zipRight(pool.notify(channel, "undone"), Effect.fail("no"))))
      yield* pool.withTransaction(pool.notify(channel, "done"))
      assert.strictEqual(payload(yield* next), "done")
    }))

  it.scopedLive("fails, typed, when the payload is too long", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool()
      const error = yield* failsWith(pool.notify("c", "x".repeat(8000)), "StatementError")
      assert.strictEqual(error.code, "22023")
    }))
})
