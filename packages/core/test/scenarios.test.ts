/**
 * What an operator will see: how many attempts to connect a trouble costs, who is told what and when, and how soon it is
 * over. All times are milliseconds.
 */
import type * as Pool from "@dbpool/core/Pool"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { makePool, steadily } from "./steady.js"
import type { TestOptions } from "./support.js"
import { refusal } from "./support.js"

/** a statement that was running when the server went away */
class CutOff extends Data.TaggedError("CutOff") {}

/** what became of a caller: when it came, and how long it waited for its connection or for its error */
interface Caller {
  readonly from: number
  readonly waited: number
  readonly outcome: string
  readonly cause: unknown
}

/**
 * What is behind the proxy that a pool connects to: connections to it can be opened all the same when that is down. One
 * that drops connections does so after their validation.
 */
interface Proxy {
  behind: "up" | "answers with errors" | "drops connections"
}

/** a server, its pool, and when connects began */
const stage = (options: TestOptions = {}) =>
  Effect.gen(function*() {
    const server = yield* SimulatedServer.make
    const proxy: Proxy = { behind: "up" }
    const begun = yield* Clock.currentTimeMillis
    const now = Effect.map(Clock.currentTimeMillis, (millis) => millis - begun)
    const dials: Array<number> = []
    const connect = Effect.zipRight(Effect.map(now, (at) => dials.push(at)), server.options.connect)
    const validate = (connection: SimulatedServer.Connection) =>
      Effect.map(server.options.validate(connection), (valid) => valid && proxy.behind !== "answers with errors")
    const pool = yield* makePool(server, { connect, validate, ...options })

    const caller = (holding: number): Effect.Effect<Caller> =>
      Effect.gen(function*() {
        const from = yield* now
        let waited: number | undefined
        const exit = yield* Effect.exit(pool.use((connection) =>
          Effect.gen(function*() {
            waited = (yield* now) - from
            if (proxy.behind === "drops connections") yield* server.kill(connection)
            else if (proxy.behind === "up") yield* Effect.sleep(holding)
            if (connection.open && proxy.behind === "up") return
            yield* connection.leave("broken")
            yield* new CutOff()
          })
        ))
        waited ??= (yield* now) - from
        if (Exit.isSuccess(exit)) return { from, waited, outcome: "served", cause: undefined }
        const error = Cause.squash(exit.cause) as { readonly _tag: string; readonly cause?: unknown }
        return { from, waited, outcome: error._tag, cause: error.cause }
      })

    /** callers who come at once */
    const crowd = (size: number, holding: number) =>
      Effect.forEach(Array.from({ length: size }), () => caller(holding), { concurrency: "unbounded" })

    /** callers who come one after the other, until then */
    const traffic = (options: { readonly every: number; readonly until: number; readonly holding: number }) =>
      Effect.gen(function*() {
        const callers: Array<Fiber.Fiber<Caller>> = []
        for (let at = yield* now; at < options.until; at = yield* now) {
          callers.push(yield* Effect.fork(caller(options.holding)))
          yield* Effect.sleep(options.every)
        }
        return yield* Effect.forEach(callers, Fiber.join)
      })

    return { server, proxy, pool, dials, crowd, traffic, now }
  })

type Stage = Effect.Effect.Success<ReturnType<typeof stage>>

type Outcome = { readonly n: number; readonly first: number; readonly last: number; readonly longest: number }

/** of each outcome: how many, from when to when they came, and how long they waited at most */
const report = (callers: ReadonlyArray<Caller>) => {
  const outcomes: Record<string, Outcome> = {}
  for (const { from, outcome, waited } of callers) {
    const { first, longest, n } = outcomes[outcome] ?? { n: 0, first: from, longest: 0 }
    outcomes[outcome] = { n: n + 1, first, last: from, longest: Math.max(longest, waited) }
  }
  return outcomes
}

const within = (dials: ReadonlyArray<number>, from: number, to: number) => dials.filter((at) => at >= from && at < to)

describe("a burst of 50", () => {
  it("over a slow connect opens one more connection: those that there are serve it sooner", () =>
    steadily(Effect.gen(function*() {
      const { crowd, dials, server } = yield* stage({ minConnections: 5, maxConnections: 50 })
      yield* Effect.sleep(1000)
      yield* server.always("connect", { takes: "150 millis" })
      const seen = report(yield* crowd(50, 2))
      assert.deepStrictEqual(seen, { served: { n: 50, first: 1000, last: 1000, longest: 18 } })
      yield* Effect.sleep(1000)
      assert.deepStrictEqual(dials, [0, 0, 0, 0, 0, 1000])
    })))

  it("on a pool that has nothing yet", () =>
    steadily(Effect.gen(function*() {
      const { crowd, dials, server } = yield* stage({ maxConnections: 50 })
      yield* server.always("connect", { takes: "150 millis" })
      const seen = report(yield* crowd(50, 2))
      assert.deepStrictEqual(seen, { served: { n: 50, first: 0, last: 0, longest: 248 } })
      assert.deepStrictEqual(dials, [0, 150, 150])
    })))

  it("that holds on gets all the connections it needs, four at a time", () =>
    steadily(Effect.gen(function*() {
      const { crowd, dials, server } = yield* stage({ minConnections: 5, maxConnections: 50 })
      yield* Effect.sleep(1000)
      yield* server.always("connect", { takes: "150 millis" })
      const seen = report(yield* crowd(50, 10_000))
      assert.deepStrictEqual(seen, { served: { n: 50, first: 1000, last: 1000, longest: 1800 } })
      assert.strictEqual(dials.length, 50)
      assert.strictEqual(server.maxConnecting, 4)
    })))
})

/** ten seconds of traffic, then trouble, then traffic again; who it was told to, and how */
const disturbed = (options: {
  readonly during: number
  readonly begin: (stage: Stage) => Effect.Effect<void>
  readonly end: (stage: Stage) => Effect.Effect<void>
}) =>
  Effect.gen(function*() {
    const set = yield* stage()
    const { dials, server, traffic } = set
    yield* server.always("connect", { takes: "20 millis" })
    const callers = yield* Effect.fork(traffic({ every: 50, until: 10_000 + options.during + 20_000, holding: 60 }))
    yield* Effect.sleep(10_001)
    yield* options.begin(set)
    yield* server.restart
    yield* Effect.sleep(options.during)
    yield* options.end(set)
    const seen = yield* Fiber.join(callers)
    const { ConnectFailed, CutOff, served } = report(seen)
    const recovery = within(dials, 10_001 + options.during, Infinity)
    return { ConnectFailed, CutOff, served, seen, attempts: within(dials, 10_001, 10_001 + options.during), recovery }
  })

const told = (callers: ReadonlyArray<Caller>) => callers.filter(({ outcome }) => outcome === "ConnectFailed")

describe("an outage of a minute", () => {
  it("is told within failFastAfter and then at once, costs an attempt every five seconds, and ends with the next", () =>
    steadily(Effect.gen(function*() {
      const refused = refusal("connection refused")
      const { ConnectFailed, CutOff, attempts, recovery, seen, served } = yield* disturbed({
        during: 60_000,
        begin: ({ server }) => server.always("connect", { takes: "20 millis", fails: refused }),
        end: ({ server }) => server.always("connect", { takes: "20 millis" })
      })
      // at 100, 200, 400, ... 3200 ms, and every 5 s from then on; each takes 20 ms
      const first = [10_050, 10_170, 10_390, 10_810, 11_630, 13_250, 16_470]
      assert.deepStrictEqual(attempts, first.concat(Array.from({ length: 10 }, (_, i) => 21_490 + i * 5020)))
      assert.deepStrictEqual(CutOff, { n: 2, first: 9950, last: 10_000, longest: 0 })
      assert.strictEqual(ConnectFailed!.first, 10_050)
      assert.strictEqual(ConnectFailed!.longest, 5000)
      for (const { cause, from, waited } of told(seen)) {
        assert.strictEqual(cause, refused)
        if (from > 16_490) assert.isAtMost(waited, 20)
      }
      // the server is back at 70,001; there are two connections again as soon as two are needed
      assert.deepStrictEqual(recovery, [71_690, 71_800])
      assert.strictEqual(ConnectFailed!.last, 71_700)
      assert.strictEqual(served!.longest, 20)
    })))

  it("of a network that swallows everything is told as soon, although each attempt takes five seconds", () =>
    steadily(Effect.gen(function*() {
      const { ConnectFailed, CutOff, attempts, recovery, seen, served } = yield* disturbed({
        during: 60_000,
        begin: ({ server }) => server.always("connect", { takes: "never" }),
        end: ({ server }) => server.always("connect", { takes: "20 millis" })
      })
      // four at once, while nobody knows; then one after the other
      assert.deepStrictEqual(attempts, [
        10_050,
        10_100,
        10_150,
        10_200,
        15_200,
        20_400,
        25_800,
        31_600,
        38_200,
        46_400,
        56_400,
        66_400
      ])
      assert.deepStrictEqual(CutOff, { n: 2, first: 9950, last: 10_000, longest: 0 })
      assert.strictEqual(ConnectFailed!.longest, 5000)
      for (const { from, waited } of told(seen)) assert.isAtMost(from + waited, Math.max(15_050, from))
      // the one that hangs when the network comes back has to end first
      assert.deepStrictEqual(recovery, [76_400, 76_500])
      assert.strictEqual(ConnectFailed!.last, 76_400)
      assert.strictEqual(served!.longest, 20)
    })))
})

describe("a wrong password for 30 seconds", () => {
  it("is told at once to everybody, tried every five seconds, and forgiven with the next attempt", () =>
    steadily(Effect.gen(function*() {
      const refused = refusal("password authentication failed", "fatal")
      const { ConnectFailed, attempts, recovery, seen, served } = yield* disturbed({
        during: 30_000,
        begin: ({ server }) => server.always("connect", { takes: "20 millis", fails: refused }),
        end: ({ server }) => server.always("connect", { takes: "20 millis" })
      })
      assert.deepStrictEqual(attempts, [10_050, 15_070, 20_090, 25_110, 30_130, 35_150])
      // the password is right at 40,001
      assert.deepStrictEqual(recovery, [40_170, 40_250])
      assert.deepStrictEqual(ConnectFailed, { n: 603, first: 10_050, last: 40_150, longest: 20 })
      for (const { cause } of told(seen)) assert.strictEqual(cause, refused)
      assert.strictEqual(served!.longest, 20)
    })))

  it("does not matter to those who can have a connection that was opened before", () =>
    steadily(Effect.gen(function*() {
      const { crowd, dials, server, traffic } = yield* stage()
      yield* crowd(1, 10)
      yield* server.always("connect", {
        takes: "20 millis",
        fails: refusal("password authentication failed", "fatal")
      })
      // more than one connection can serve, so that the others are wanted all the time
      const callers = yield* Effect.fork(traffic({ every: 50, until: 40_000, holding: 60 }))
      yield* Effect.sleep(30_000)
      yield* server.always("connect", { takes: "20 millis" })
      const seen = report(yield* Fiber.join(callers))
      assert.deepStrictEqual(Object.keys(seen), ["served"])
      assert.deepStrictEqual(within(dials, 10, 30_010), [60, 5080, 10_100, 15_120, 20_140, 25_160])
    })))
})

describe("a server that takes 5 of 20 connections", () => {
  it("is not asked for a sixth while five are enough", () =>
    steadily(Effect.gen(function*() {
      const { dials, server, traffic } = yield* stage({ maxConnections: 20 })
      yield* server.always("connect", { takes: "5 millis" })
      yield* server.limit(5)
      const seen = report(yield* traffic({ every: 5, until: 10_000, holding: 20 }))
      assert.deepStrictEqual(seen, { served: { n: 2000, first: 0, last: 9995, longest: 5 } })
      assert.deepStrictEqual(dials, [0, 5, 10, 15, 20])
    })))

  it("is asked more and more seldom while five are too few, and everybody is served in turn", () =>
    steadily(Effect.gen(function*() {
      const { dials, server, traffic } = yield* stage({ maxConnections: 20 })
      yield* server.always("connect", { takes: "5 millis" })
      yield* server.limit(5)
      const callers = yield* Effect.fork(traffic({ every: 15, until: 20_000, holding: 100 }))
      yield* Effect.sleep(10_000)
      assert.strictEqual(server.maxOpen, 5)
      yield* server.limit(20)
      const seen = yield* Fiber.join(callers)
      assert.deepStrictEqual(report(seen), { served: { n: 1334, first: 0, last: 19_995, longest: 2855 } })
      assert.deepStrictEqual(within(dials, 0, 10_000), [0, 15, 30, 45, 60, 75, 180, 385, 790, 1595, 3200, 6405])
      // once it takes more, the next attempt brings all of them
      assert.deepStrictEqual([within(dials, 10_000, 11_430).length, server.maxOpen], [13, 20])
      const caughtUp = seen.find(({ from, waited }) => from > 1000 && waited === 0)!
      assert.isAtMost(caughtUp.from, 13_000)
    })))
})

describe("a restart of three seconds under a thousand waiters", () => {
  it("is sat out: nobody gets an error but those whose statement was cut off", () =>
    steadily(Effect.gen(function*() {
      const { crowd, dials, server } = yield* stage()
      yield* server.always("connect", { takes: "20 millis" })
      const holders = yield* Effect.fork(crowd(10, 2000))
      yield* Effect.sleep(1000)
      const waiters = yield* Effect.fork(crowd(1000, 10))
      yield* Effect.sleep(10)
      yield* server.always("connect", { takes: "20 millis", fails: refusal("the database system is starting up") })
      yield* server.restart
      yield* Effect.sleep(3000)
      yield* server.always("connect", { takes: "20 millis" })
      assert.deepStrictEqual(report(yield* Fiber.join(holders)), {
        CutOff: { n: 10, first: 0, last: 0, longest: 200 }
      })
      // ten connections serve a thousand in a second
      assert.deepStrictEqual(report(yield* Fiber.join(waiters)), {
        served: { n: 1000, first: 1000, last: 1000, longest: 4250 }
      })
      assert.deepStrictEqual(within(dials, 1010, 4010), [1110, 1330, 1750, 2570])
      // it is back at 4010; then one attempt, one more, two, and four at once until there are ten
      assert.deepStrictEqual(
        within(dials, 4010, 10_000),
        [4190, 4210, 4230, 4230, 4250, 4250, 4250, 4250, 4270, 4270]
      )
      assert.strictEqual(server.maxOpen, 10)
    })))
})

describe("a proxy that is up while the server behind it is down for 30 seconds", () => {
  it("and answers every statement with an error is found out by the first of them", () =>
    steadily(Effect.gen(function*() {
      const { ConnectFailed, CutOff, attempts, recovery, seen, served } = yield* disturbed({
        during: 30_000,
        begin: ({ proxy }) => Effect.sync(() => void (proxy.behind = "answers with errors")),
        end: ({ proxy }) => Effect.sync(() => void (proxy.behind = "up"))
      })
      const first = [10_050, 10_170, 10_390, 10_810, 11_630, 13_250, 16_470]
      assert.deepStrictEqual(attempts, first.concat([21_490, 26_510, 31_530, 36_550]))
      assert.deepStrictEqual(CutOff, { n: 3, first: 9950, last: 10_050, longest: 20 })
      assert.deepStrictEqual(ConnectFailed, { n: 630, first: 10_100, last: 41_550, longest: 5000 })
      for (const { cause } of told(seen)) assert.include(String(cause), "not valid")
      assert.deepStrictEqual(recovery, [41_570, 41_650])
      assert.strictEqual(served!.longest, 20)
    })))

  it("and drops every connection at its first use costs a statement an attempt, and is not stormed", () =>
    steadily(Effect.gen(function*() {
      const { ConnectFailed, CutOff, attempts, recovery } = yield* disturbed({
        during: 30_000,
        begin: ({ proxy }) => Effect.sync(() => void (proxy.behind = "drops connections")),
        end: ({ proxy }) => Effect.sync(() => void (proxy.behind = "up"))
      })
      // in the beginning each attempt that seems to work is followed by another, and costs one more caller its statement
      assert.strictEqual(attempts.length, 17)
      assert.deepStrictEqual(CutOff, { n: 19, first: 9950, last: 36_700, longest: 4990 })
      // a connection that nobody could use has not ended the outage: nobody waits for longer than failFastAfter
      assert.deepStrictEqual(ConnectFailed, { n: 617, first: 10_600, last: 41_700, longest: 5000 })
      assert.strictEqual(recovery[0], 41_700)
    })))
})

describe("a drain at the maximum", () => {
  const drained = (drain: Pool.Drain, every: number) =>
    Effect.gen(function*() {
      const { dials, pool, server, traffic } = yield* stage({ minConnections: 10, maxConnections: 10 })
      yield* server.always("connect", { takes: "20 millis" })
      yield* Effect.sleep(1000)
      const callers = yield* Effect.fork(traffic({ every, until: 5000, holding: 50 }))
      yield* Effect.sleep(1000)
      yield* pool.drain(drain)
      const seen = report(yield* Fiber.join(callers))
      assert.deepStrictEqual(Object.keys(seen), ["served"])
      assert.strictEqual(server.maxOpen, 10)
      const open = server.connections.filter((connection) => connection.open).map(({ id }) => id)
      return { longest: seen.served!.longest, dials: within(dials, 1000, 5000), open }
    })

  const oneByOne = [2000, 2020, 2040, 2060, 2080, 2100, 2120, 2140, 2160, 2180]
  const replaced = [11, 12, 13, 14, 15, 16, 17, 18, 19, 20]

  it("replaces one connection after the other, and makes nobody wait", () =>
    assert.deepStrictEqual(steadily(drained({}, 10)), { longest: 0, dials: oneByOne, open: replaced }))

  it("that is hard replaces them under full load, too, each as it comes back", () =>
    assert.deepStrictEqual(steadily(drained({ hard: true }, 5)), { longest: 90, dials: oneByOne, open: replaced }))
})
