/**
 * A real server behind a network that fails, and a server that is killed, under the load of a hundred fibers: nothing
 * leaks, nothing dies, the books balance, and the pool is back as soon as the server is.
 */
import * as PoolSchedule from "@dbpool/core/PoolSchedule"
import * as PgPool from "@dbpool/sql-pg/PgPool"
import * as PgServer from "@dbpool/testing/PgServer"
import * as TcpProxy from "@dbpool/testing/TcpProxy"
import * as Reactivity from "@effect/experimental/Reactivity"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import pg from "pg"
import type { Ledger } from "./books.js"
import { assertBalanced, underLoad } from "./books.js"
import * as Server from "./contract/server.js"
import { eventually, unique } from "./support.js"

/** when somebody with nothing but a driver could log in again, in ms of `performance.now` */
const probe = ({ url }: { readonly url: string }) =>
  Effect.promise(async () => {
    const client = new pg.Client({ connectionString: url })
    client.on("error", () => {})
    await client.connect().finally(() => client.end().catch(() => {}))
    return performance.now()
  }).pipe(
    Effect.sandbox,
    Effect.retry(Schedule.spaced("5 millis"))
  )

interface Bench {
  readonly pool: PgPool.PgPool
  readonly proxy: TcpProxy.TcpProxy
  readonly server: PgServer.PgServer
  /** the longest pause between two attempts to connect that was due so far, in ms, before its jitter */
  readonly step: () => number
}

const fibers = 100

/** the load and what disturbs it, and what must hold whatever that was */
const faults = <A>(
  server: PgServer.PgServer,
  disturbance: (bench: Bench, ledger: Ledger) => Effect.Effect<A, unknown>
) =>
  Effect.gen(function*() {
    const observer = yield* Server.observe(server.url)
    const proxy = yield* TcpProxy.make(server)
    const app = unique("faults")
    const table = unique("faults_books")
    yield* observer.query(`create table ${table} (id int, part int)`)
    let step = 0
    const scope = yield* Scope.make()
    const pool = yield* Scope.extend(
      PgPool.make({
        url: Redacted.make(server.url),
        host: proxy.host,
        port: proxy.port,
        applicationName: app,
        name: app,
        maxConnections: 10,
        connectRetry: Schedule.tapOutput(PoolSchedule.connect, (delay) =>
          Effect.sync(() => {
            step = Math.max(step, Math.min(5000, Duration.toMillis(delay)))
          }))
      }),
      scope
    )
    const { ledger, result } = yield* underLoad(
      { pool, table, fibers },
      (ledger) => disturbance({ pool, proxy, server, step: () => step }, ledger)
    )
    assert.deepStrictEqual(ledger.defects, [])
    const stats = yield* eventually(pool.stats, ({ leased }) => leased === 0, "every lease is back")
    assert.strictEqual(stats.waiting, 0)
    yield* Scope.close(scope, Exit.void)
    yield* eventually(
      observer.query("select pid from pg_stat_activity where application_name = $1", [app]),
      (sessions) => sessions.length === 0,
      "the server has no session of the pool"
    )
    assertBalanced(ledger, yield* observer.query(`select id from ${table}`))
    return { ledger, result, stats }
  }).pipe(Effect.provide(Reactivity.layer))

/** an outage from one effect to the other: how long after an independent probe the pool had its first success */
const outage = (
  { server, step }: Bench,
  ledger: Ledger,
  begin: Effect.Effect<void, unknown>,
  length: Duration.DurationInput,
  end: Effect.Effect<void, unknown>
) =>
  Effect.gen(function*() {
    yield* begin
    // an answer that was on its way may still be read
    yield* Effect.sleep("30 millis")
    const down = performance.now()
    yield* Effect.sleep(length)
    const probing = yield* Effect.fork(probe(server))
    yield* end
    const login = yield* Fiber.join(probing)
    const first = yield* eventually(
      Effect.sync(() => ledger.at.find((at) => at > down)),
      (at) => at !== undefined,
      "a transaction succeeds after the outage"
    )
    const late = first! - login
    const allowed = 1.25 * step() + 1000
    assert.isAbove(step(), 0, "no attempt to connect failed: that was no outage")
    assert.isBelow(late, allowed, `${Math.round(late)} ms after a probe's login, with a step of ${step()} ms`)
    return { late, allowed }
  })

describe(`under the load of ${fibers} fibers`, () => {
  // what it reported as committed must survive its death
  const scope = Effect.runSync(Scope.make())
  let server: PgServer.PgServer
  beforeAll(async () => {
    const made = PgServer.make({ maxConnections: 50, settings: { synchronous_commit: "on" } })
    server = await Effect.runPromise(Scope.extend(made, scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  it.scopedLive(
    "a network that is cut again and again: typed errors only, and the books balance",
    () =>
      Effect.gen(function*() {
        const { ledger, stats } = yield* faults(
          server,
          ({ proxy }) => Effect.repeatN(Effect.zipRight(Effect.sleep("150 millis"), proxy.cut), 7)
        )
        assert.isAbove(ledger.committed.size, 100)
        assert.isAtLeast(stats.retired.lost, 4)
        const allowed = ["ConnectionLost", "CommitUnknown", "NoSuchConnection", "ConnectFailed"]
        assert.isEmpty(Object.keys(ledger.errors).filter((tag) => !allowed.includes(tag)))
      }),
    30_000
  )

  it.scopedLive("a network that is slow: nobody fails, and nothing is lost", () =>
    Effect.gen(function*() {
      const { ledger, stats } = yield* faults(server, ({ proxy }) =>
        Effect.zipRight(Effect.zipRight(Effect.sleep("100 millis"), proxy.delay(15)), Effect.sleep("1 second")))
      assert.isAbove(ledger.committed.size, 50)
      assert.deepStrictEqual([ledger.errors, stats.retired.lost, stats.connectFailures], [{}, 0, 0])
    }), 30_000)

  it.scopedLive(
    "nobody listens for a second: the pool is back within 1.25 retry steps + 1 s",
    () =>
      Effect.gen(function*() {
        const { result } = yield* faults(server, (bench, ledger) => {
          const { proxy } = bench
          const refuse = Effect.zipRight(proxy.stop, proxy.cut)
          return Effect.zipRight(
            Effect.sleep("200 millis"),
            outage(bench, ledger, refuse, "1 second", proxy.start)
          )
        })
        assert.isBelow(result.late, result.allowed)
      }),
    30_000
  )

  for (const direction of ["toServer", "toClient"] as const) {
    it.scopedLive(
      `a network gone deaf (${direction}), then cut: each COMMIT is told for what it was`,
      () =>
        Effect.gen(function*() {
          const { ledger } = yield* faults(server, ({ proxy }) =>
            Effect.gen(function*() {
              yield* Effect.sleep("200 millis")
              yield* proxy.deaf(direction)
              yield* Effect.sleep("300 millis")
              yield* proxy.hear
              yield* proxy.cut
              yield* Effect.sleep("500 millis")
            }))
          assert.isAbove(ledger.committed.size, 50)
          assert.isAbove((ledger.errors["ConnectionLost"] ?? 0) + ledger.unknown.size, 0)
        }),
      30_000
    )
  }

  it.scopedLive(
    "a server that is killed and started again, twice: nothing leaks, and the pool is back in time",
    () =>
      Effect.gen(function*() {
        const { kill, start } = Option.getOrThrow(server.started)
        const { ledger } = yield* faults(server, (bench, ledger) =>
          Effect.gen(function*() {
            for (const length of ["100 millis", "1 second"]) {
              yield* Effect.sleep("300 millis")
              yield* outage(bench, ledger, kill, length as Duration.DurationInput, start)
            }
            yield* Effect.sleep("200 millis")
          }))
        assert.isAbove(ledger.committed.size, 100)
        assert.isAbove(ledger.errors["ConnectionLost"] ?? 0, 0)
      }),
    40_000
  )
})
