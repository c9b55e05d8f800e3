/**
 * A server that is killed, refuses, forgets, and a network that fails, under the load of a hundred fibers: nothing leaks,
 * nothing dies, and the books balance.
 */
import * as PoolSchedule from "@dbpool/core/PoolSchedule"
import type * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
import * as MariaServer from "@dbpool/testing/MariaServer"
import * as TcpProxy from "@dbpool/testing/TcpProxy"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as mysql from "mysql2/promise"
import { eventually, makePool, makeTable, sessions } from "./support.js"

/** what the program was told of each transaction, by its id */
class Books {
  readonly outcomes = new Map<number, "committed" | "failed" | "unknown">()
  readonly errors: Record<string, number> = {}
  readonly defects: Array<string> = []
  /** when transactions were committed, in ms of `performance.now` */
  readonly at: Array<number> = []

  note<A, E>(id: number, exit: Exit.Exit<A, E>): void {
    if (Exit.isSuccess(exit)) {
      this.at.push(performance.now())
      return void this.outcomes.set(id, "committed")
    }
    if (Cause.isDie(exit.cause)) this.defects.push(Cause.pretty(exit.cause))
    const { _tag } = Cause.squash(exit.cause) as { readonly _tag: string }
    this.errors[_tag] = (this.errors[_tag] ?? 0) + 1
    this.outcomes.set(id, _tag === "CommitUnknown" ? "unknown" : "failed")
  }

  count(outcome: "committed" | "failed" | "unknown"): number {
    return [...this.outcomes.values()].filter((each) => each === outcome).length
  }

  /** each transaction has written two rows, which are both there or neither */
  check(rows: ReadonlyArray<{ readonly tx: number }>): ReadonlyArray<string> {
    const written = new Map<number, number>()
    for (const { tx } of rows) written.set(tx, (written.get(tx) ?? 0) + 1)
    const right = { committed: [2], failed: [0], unknown: [0, 2] }
    return [...this.outcomes]
      .filter(([id, outcome]) => !right[outcome].includes(written.get(id) ?? 0))
      .map(([id, outcome]) => `transaction ${id} was ${outcome} and has ${written.get(id) ?? 0} rows of 2`)
      .concat([...written.keys()].filter((id) => !this.outcomes.has(id)).map((id) => `nobody knows transaction ${id}`))
  }
}

/** when somebody with nothing but a driver could log in again, in ms of `performance.now` */
const probe = ({ url }: { readonly url: string }) =>
  Effect.promise(async () => {
    const client = await mysql.createConnection(url)
    client.on("error", () => {})
    client.destroy()
    return performance.now()
  }).pipe(
    Effect.sandbox,
    Effect.retry(Schedule.spaced("5 millis"))
  )

interface Bench {
  readonly books: Books
  /** the longest pause between two attempts to connect that was due so far, in ms, before its jitter */
  readonly step: () => number
  readonly pool: MysqlPool.MysqlPool
  readonly proxy: TcpProxy.TcpProxy
}

/** so many fibers do transactions while an effect runs; afterwards what must hold is looked at */
const underLoad = <A, E>(
  server: MariaServer.MariaServer,
  disturb: (bench: Bench) => Effect.Effect<A, E>,
  options: MysqlPool.MysqlPoolOptions = {}
) =>
  Effect.gen(function*() {
    const proxy = yield* TcpProxy.make(server)
    let step = 0
    const connectRetry = Schedule.tapOutput(PoolSchedule.connect, (delay) =>
      Effect.sync(() => {
        step = Math.max(step, Math.min(5000, Duration.toMillis(delay)))
      }))
    const { admin, names: _, pool, sql, table } = yield* makeTable(
      { maxConnections: 10, host: proxy.host, port: proxy.port, connectRetry, ...options },
      server
    )
    yield* admin(`drop table ${table}; create table ${table} (id int auto_increment primary key, tx int, name text)`)
    const books = new Books()
    let [ids, over] = [0, false]
    const worker = Effect.suspend(() => {
      const id = ++ids
      const row = sql`insert into ${sql(table)} ${sql.insert({ tx: id, name: "x" })}`
      return Effect.tap(Effect.exit(pool.withTransaction(Effect.zipRight(row, row))), (exit) => {
        books.note(id, exit)
        // whoever failed does not knock again at once
        return Exit.isSuccess(exit) ? Effect.void : Effect.sleep("5 millis")
      })
    }).pipe(Effect.repeat({ while: () => !over }))
    const workers = yield* Effect.replicateEffect(Effect.fork(worker), 100)
    const result = yield* disturb({ books, pool, proxy, step: () => step })
    over = true
    yield* Effect.timeoutFail(Fiber.joinAll(workers), {
      duration: "15 seconds",
      onTimeout: () => new Error("some transactions never ended")
    })
    assert.deepStrictEqual(books.defects, [])
    const stats = yield* eventually(pool.stats, ({ leased }) => leased === 0, "every lease is back")
    assert.strictEqual(stats.waiting, 0)
    assert.deepStrictEqual(books.check(yield* admin(`select tx from ${table}`)), [])
    assert.isAbove(books.count("committed"), 50)
    return { books, result, stats }
  })

/** when the first transaction after a moment was committed */
const commitAfter = (books: Books, moment: number) =>
  Effect.map(
    eventually(
      Effect.sync(() => books.at.find((at) => at > moment)),
      (at) => at !== undefined,
      "a transaction is committed"
    ),
    (at) => at!
  )

const durable = MariaServer.make({ maxConnections: 60 })

describe("under the load of 100 fibers", () => {
  it.scopedLive(
    "a server that is killed and started again, twice: the books balance, and it goes on",
    () =>
      Effect.gen(function*() {
        const server = yield* durable
        const { kill, start } = Option.getOrThrow(server.started)
        const { books } = yield* underLoad(server, ({ books, step }) =>
          Effect.gen(function*() {
            for (const away of [100, 1000]) {
              yield* commitAfter(books, performance.now())
              yield* Effect.sleep("300 millis")
              yield* kill
              // an answer that was on its way may still be read
              yield* Effect.sleep("30 millis")
              const down = performance.now()
              yield* Effect.sleep(away)
              const probing = yield* Effect.fork(probe(server))
              yield* start
              const login = yield* Fiber.join(probing)
              const late = (yield* commitAfter(books, down)) - login
              assert.isAbove(step(), 0, "no attempt to connect failed: that was no outage")
              assert.isBelow(late, 1.25 * step() + 1000, `after a probe's login, with a step of ${step()} ms`)
            }
          }))
        assert.isAbove(books.errors.ConnectionLost ?? 0, 0)
      }),
    60_000
  )

  it.scopedLive("a network that is cut, again and again", () =>
    Effect.gen(function*() {
      const { books, stats } = yield* underLoad(
        yield* durable,
        ({ proxy }) => Effect.repeatN(Effect.zipRight(Effect.sleep("200 millis"), proxy.cut), 5)
      )
      assert.isAtLeast(stats.retired.lost, 4)
      const allowed = ["ConnectionLost", "CommitUnknown", "NoSuchConnection", "ConnectFailed"]
      assert.deepStrictEqual(Object.keys(books.errors).filter((tag) => !allowed.includes(tag)), [])
    }), 60_000)

  for (const direction of ["toServer", "toClient"] as const) {
    it.scopedLive(
      `a network gone deaf (${direction}): readTimeout frees the connections, each COMMIT is told for what it was`,
      () =>
        Effect.gen(function*() {
          const { books } = yield* underLoad(
            yield* durable,
            ({ books, proxy }) =>
              Effect.gen(function*() {
                yield* Effect.sleep("200 millis")
                yield* proxy.deaf(direction, "open")
                yield* Effect.sleep("600 millis")
                yield* commitAfter(books, performance.now())
                // a COMMIT that was swallowed keeps its locks until the server hears that nobody is there any more
                yield* proxy.cut
              }),
            { readTimeout: "300 millis" }
          )
          assert.isAbove((books.errors.ConnectionLost ?? 0) + books.count("unknown"), 0)
        }),
      60_000
    )
  }

  it.scopedLive("a network that is slow: nobody fails, and nothing is lost", () =>
    Effect.gen(function*() {
      const { books, stats } = yield* underLoad(yield* durable, ({ proxy }) =>
        Effect.all([Effect.sleep("100 millis"), proxy.delay(15), Effect.sleep("1 second")]))
      assert.deepStrictEqual([books.errors, stats.retired.lost], [{}, 0])
    }), 60_000)

  it.scopedLive(
    "max_connections=5 on the server and a pool of 20: no caller fails before its deadline",
    () =>
      Effect.gen(function*() {
        // one more is kept for accounts that may administer the server, as those of these tests
        const server = yield* MariaServer.make({ maxConnections: 5 })
        const { books, stats } = yield* underLoad(server, () => Effect.sleep("2 seconds"), { maxConnections: 20 })
        assert.deepStrictEqual(books.errors, {})
        assert.isAbove(stats.connectFailures, 0)
        assert.isBelow(stats.opened, 20)
      }),
    60_000
  )
})

describe("wait_timeout=2", () => {
  it.scopedLive(
    "closes idle connections: they are noticed, and never lent; the process goes on",
    () =>
      Effect.gen(function*() {
        const server = yield* MariaServer.make({ settings: { wait_timeout: "2" } })
        const { admin, app, pool, sql } = yield* makePool({ maxConnections: 5, minConnections: 0 }, server)
        const burst = Effect.replicateEffect(sql`select sleep(0.05)`, 5, { concurrency: "unbounded" })
        yield* burst
        const open = (yield* sessions(admin, app)).length
        assert.isAtLeast(open, 2)
        yield* Effect.sleep("2500 millis")
        yield* eventually(pool.stats, ({ retired }) => retired.lost === open, "the pool notices")
        assert.strictEqual((yield* pool.stats).open, 0)
        yield* burst
        yield* pool.withTransaction(Effect.zipRight(sql`select 1`, Effect.sleep("1 second")))
      }),
    60_000
  )

  it.scopedLive("ends a lease that does nothing for so long: its next statement was not sent", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool({ maxConnections: 1, setup: ["set wait_timeout = 1"] })
      const exit = yield* Effect.exit(
        pool.use((connection) =>
          Effect.all([connection.query("select 1"), Effect.sleep("1500 millis"), connection.query("select 2")])
        )
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual((Cause.squash((exit as Exit.Failure<any, any>).cause) as any)._tag, "NoSuchConnection")
    }))
})
