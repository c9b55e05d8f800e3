import * as AcquireOptions from "@dbpool/core/AcquireOptions"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Session } from "../../ContractDialect.js"
import { equal, eventually, failsWith, isTrue, timed, within } from "./checks.js"
import { group, row } from "./row.js"

const idsOf = (sessions: ReadonlyArray<Session>) => sessions.map(({ id }) => String(id)).sort()

/** @internal */
export const leases = group("leases", [], [
  row("a statement gives its connection back, whether it succeeds or fails", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      for (let i = 0; i < 5; i++) {
        yield* lab.one(client)
        yield* Effect.exit(client.sql.unsafe("this is not a statement"))
      }
    })),
  row("each of many concurrent statements gets its own answer", (lab) =>
    Effect.gen(function*() {
      const { sql } = yield* lab.open({ maxConnections: 3 })
      const rows = yield* Effect.forEach(
        Array.from({ length: 60 }, (_, i) => i + 1),
        (n) => Effect.map(sql.unsafe(lab.syntax.series(n)), (rows) => rows.length),
        { concurrency: "unbounded" }
      )
      yield* equal(rows, Array.from({ length: 60 }, (_, i) => i + 1), "how many rows they got")
    })),
  row("there are never more sessions than maxConnections", ["sessions"], (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 3 })
      const work = yield* Effect.fork(Effect.replicateEffect(lab.one(client), 100, { concurrency: "unbounded" }))
      let most = 0
      while ((yield* Fiber.poll(work))._tag === "None") {
        most = Math.max(most, (yield* lab.sessions(client)).length)
      }
      yield* Fiber.join(work)
      most = Math.max(most, (yield* lab.sessions(client)).length)
      yield* isTrue(most >= 1 && most <= 3, `${most} sessions at once`)
    })),
  row("those who wait for a connection are served first come, first served", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      const held = yield* lab.hold(client)
      const order: Array<number> = []
      const fibers = yield* Effect.forEach([1, 2, 3, 4, 5], (n) =>
        Effect.zipLeft(
          Effect.fork(Effect.zipRight(lab.one(client), Effect.sync(() => order.push(n)))),
          Effect.yieldNow()
        ))
      yield* held.release
      yield* Fiber.joinAll(fibers)
      yield* equal(order, [1, 2, 3, 4, 5], "the order")
    })),
  row("a statement that waits too long fails at its deadline with AcquireTimeout", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1, acquireTimeout: "200 millis" })
      yield* lab.hold(client)
      const [took, exit] = yield* timed(within(2000, lab.one(client), "a statement whose deadline is 200 ms"))
      yield* failsWith(exit, "AcquireTimeout", "the statement")
      yield* isTrue(took >= 195 && took < 700, `it took ${took} ms`)
    })),
  row(
    "a transaction that waits too long fails at its deadline with AcquireTimeout",
    ["transactions"],
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 1, acquireTimeout: "200 millis" })
        yield* lab.hold(client)
        const [took, exit] = yield* timed(
          within(2000, client.sql.withTransaction(lab.one(client)), "a transaction whose deadline is 200 ms")
        )
        yield* failsWith(exit, "AcquireTimeout", "the transaction")
        yield* isTrue(took >= 195 && took < 700, `it took ${took} ms`)
      })
  ),
  row("a caller that would not wait gets TooManyConnections at once", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      yield* lab.hold(client)
      const hasty = lab.one(client).pipe(AcquireOptions.within({ whenExhausted: "fail" }))
      yield* failsWith(within(1000, hasty, "a statement that would not wait"), "TooManyConnections", "the statement")
    })),
  row("`use` lends one connection for several statements", ["pool", "sessionState"], (lab) =>
    Effect.gen(function*() {
      const { pool } = yield* lab.open({ maxConnections: 3 })
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          yield* connection.query(lab.syntax.setVariable("mine"))
          const rows = yield* Effect.replicateEffect(connection.query(lab.syntax.variable), 5, {
            concurrency: "unbounded"
          })
          yield* equal(rows, Array.from({ length: 5 }, () => [{ value: "mine" }]), "what its session knows")
        })
      )
    })),
  row(
    "statements of one lease run one after the other, each with its own answer",
    ["pool"],
    (lab) =>
      Effect.gen(function*() {
        const { pool } = yield* lab.open({ maxConnections: 1 })
        const counts = yield* pool.use((connection) =>
          Effect.forEach(
            [3, 1, 4, 1, 5],
            (n) => Effect.map(connection.values(lab.syntax.series(n)), (rows) => rows.length),
            { concurrency: "unbounded" }
          )
        )
        yield* equal(counts, [3, 1, 4, 1, 5], "how many rows they got")
      })
  ),
  row(
    "`use` gives the connection back when the caller's code fails, dies or is interrupted",
    ["pool"],
    (lab) =>
      Effect.gen(function*() {
        const { pool } = yield* lab.open({ maxConnections: 1 })
        for (const end of [Effect.fail("no"), Effect.die("bug"), Effect.interrupt]) {
          yield* Effect.exit(pool.use(() => end))
          yield* eventually(pool.stats, ({ leased }) => leased === 0, "the connection is back")
        }
      })
  ),
  row(
    "a connection that is used after its lease fails with LeaseReleased, and nothing is sent",
    ["pool"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
        const kept = yield* client.pool.use((connection) => Effect.succeed(connection))
        const { placeholder } = lab.syntax
        const text = `${lab.syntax.insert} ${table.name} (id, name) values (${placeholder(1)}, ${placeholder(2)})`
        yield* failsWith(kept.query(text, [1, "late"]), "LeaseReleased", "a statement after the lease")
        yield* equal(yield* table.names, [], "the table")
      })
  ),
  row("an invalidated connection is closed and replaced", ["pool", "sessions"], (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      yield* lab.one(client)
      const [before] = yield* lab.sessions(client)
      yield* Effect.scoped(Effect.flatMap(client.pool.acquire, ({ invalidate }) => invalidate))
      yield* lab.one(client)
      const after = yield* eventually(lab.sessions(client), (sessions) => sessions.length === 1, "one is left")
      yield* isTrue(after[0]!.id !== before!.id, "the same session is still there")
    })),
  row(
    "an idle connection is kept for `idleTimeout`, and closed after it",
    ["sessions"],
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 3, idleTimeout: "3 seconds" })
        yield* lab.fill(client)
        const [took, exit] = yield* timed(Effect.gen(function*() {
          const before = yield* lab.sessions(client)
          // some pools look at theirs once a second
          yield* Effect.sleep("1500 millis")
          return [before, yield* lab.sessions(client)] as const
        }))
        const [before, after] = yield* exit
        yield* equal(before.length, 3, "how many sessions there are")
        // on a machine that slept for so long they may be gone
        if (took < 2900) yield* equal(idsOf(after), idsOf(before), "the sessions after 1.5 s")
        yield* eventually(lab.sessions(client), (sessions) => sessions.length === 0, "they are closed", 4000)
        yield* lab.one(client)
      })
  ),
  row("a session keeps one connection for everything inside, statements of the client included", [
    "pool",
    "sessionState"
  ], (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 3 })
      yield* client.pool.session(Effect.gen(function*() {
        yield* client.sql.unsafe(lab.syntax.setVariable("kept"))
        const rows = yield* Effect.replicateEffect(client.sql.unsafe(lab.syntax.variable), 6, {
          concurrency: "unbounded"
        })
        yield* equal(rows, Array.from({ length: 6 }, () => [{ value: "kept" }]), "what its session knows")
      }))
    })),
  row(
    "closing the layer ends what still runs, and leaves no session behind",
    ["sessions", "cancel"],
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 2 })
        client.spent.value = true
        const fibers = yield* Effect.replicateEffect(Effect.fork(lab.sleep(client)), 2)
        yield* lab.running(client)
        yield* within(3000, client.close, "closing the layer")
        yield* eventually(lab.sessions(client), (sessions) => sessions.length === 0, "every session is gone")
        yield* Fiber.interruptAll(fibers)
      })
  ),
  row("a closed pool says so", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open()
      client.spent.value = true
      yield* client.close
      yield* failsWith(within(2000, lab.one(client), "a statement on a closed pool"), "PoolClosed", "the statement")
    })),
  row("callers that wait when the pool closes are told at once", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      client.spent.value = true
      yield* lab.hold(client)
      const told = yield* Deferred.make<unknown, unknown>()
      yield* Effect.fork(Effect.intoDeferred(lab.one(client), told))
      yield* Effect.sleep("20 millis")
      yield* Effect.fork(client.close)
      yield* failsWith(within(1000, Deferred.await(told), "a waiter of a pool that closes"), "PoolClosed", "the waiter")
    }))
])
