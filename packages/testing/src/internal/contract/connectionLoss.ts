import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { equal, errorOf, eventually, failsWith, isTrue, timed, within } from "./checks.js"
import type { Client, Lab } from "./lab.js"
import { group, row } from "./row.js"

const lostOrUnsent = ["ConnectionLost", "NoSuchConnection"] as const

/** a transaction whose connection dies before it ends; it must say so by a typed error */
const lostIn = (lab: Lab, client: Client, transaction: Effect.Effect<unknown, unknown>) =>
  Effect.tap(
    failsWith(within(5000, client.sql.withTransaction(transaction), "the transaction"), "ConnectionLost", "it"),
    () => within(3000, lab.one(client), "the next statement")
  )

/** @internal */
export const connectionLoss = group("connection loss", [], [
  row(
    "idle: the next statement gets another connection, and the process goes on",
    ["sessions"],
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 2 })
        for (let i = 0; i < 3; i++) {
          yield* lab.fill(client)
          yield* lab.killAll(client)
          yield* Effect.sleep("10 millis")
          yield* within(3000, lab.one(client), "the next statement")
        }
      })
  ),
  row(
    "idle, and found out only when it is used: a result or a typed error, never a defect",
    ["sessions"],
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 1 })
        for (let i = 0; i < 5; i++) {
          yield* lab.one(client)
          const [session] = yield* lab.sessions(client)
          yield* lab.server.kill!(session!.id)
          const exit = yield* Effect.exit(within(3000, lab.one(client), "the next statement"))
          if (Exit.isFailure(exit)) yield* failsWith(exit, lostOrUnsent, "the next statement")
          yield* within(3000, lab.one(client), "the one after it")
        }
      })
  ),
  row(
    "idle, on a network gone deaf: found out within validateTimeout, all of them at once, and replaced",
    (lab) =>
      Effect.gen(function*() {
        const { client, proxy } = yield* lab.openProxied({
          maxConnections: 3,
          validateAfterIdle: "5 millis",
          validateTimeout: "150 millis",
          closeTimeout: "150 millis"
        })
        yield* lab.fill(client)
        yield* Effect.sleep("20 millis")
        yield* proxy.deaf(undefined, "open")
        const [took, exit] = yield* timed(within(4000, lab.one(client), "a statement"))
        // the server has heard nothing of the end of the others
        yield* proxy.cut
        if (Exit.isFailure(exit)) yield* exit
        // one validation that times out, and the time to close what is deaf
        yield* isTrue(took < 700, `it took ${took} ms, with validateTimeout and closeTimeout of 150 ms`)
      })
  ),
  row(
    "in use: a typed error at once, and the next statement works",
    ["sessions", "cancel"],
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 1 })
        const fiber = yield* Effect.fork(lab.sleep(client))
        yield* lab.running(client)
        yield* lab.killAll(client)
        const error = yield* failsWith(
          within(2000, Fiber.join(fiber), "the statement"),
          "ConnectionLost",
          "the statement"
        )
        yield* equal(error.isRetryable, false, "whether it may be repeated")
        yield* within(3000, lab.one(client), "the next statement")
      })
  ),
  row("in use, the network cut: a typed error at once", ["cancel", "sessions"], (lab) =>
    Effect.gen(function*() {
      const { client, proxy } = yield* lab.openProxied({ maxConnections: 1 })
      const fiber = yield* Effect.fork(lab.sleep(client, 1))
      yield* lab.running(client)
      yield* proxy.cut
      yield* failsWith(within(2000, Fiber.join(fiber), "the statement"), "ConnectionLost", "the statement")
      yield* within(3000, lab.one(client), "the next statement")
    })),
  row(
    "in a lease between two statements: the second was not executed, and says so",
    ["pool", "sessions"],
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 1 })
        yield* failsWith(
          client.pool.use((connection) =>
            Effect.gen(function*() {
              yield* connection.query(lab.syntax.one)
              yield* lab.killAll(client)
              yield* eventually(client.pool.stats, ({ retired }) => retired.lost === 1, "the pool notices")
              yield* connection.query(lab.syntax.one)
            })
          ),
          "NoSuchConnection",
          "the second statement"
        )
      })
  ),
  row(
    "in a stream: a typed error after the rows that had come",
    ["streams", "sessions"],
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 1 })
        let seen = 0
        const consumed = Stream.runForEach(
          client.sql.unsafe(lab.syntax.wideSeries(20_000)).stream,
          () => ++seen === 100 ? lab.killAll(client) : Effect.void
        )
        yield* failsWith(within(4000, consumed, "the stream"), "ConnectionLost", "the stream")
        yield* within(3000, lab.one(client), "the next statement")
      })
  ),
  row("in a transaction between two statements: a typed error, and nothing is kept or run elsewhere", [
    "transactions",
    "sessions"
  ], (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 2 })
      yield* lostIn(
        lab,
        client,
        Effect.gen(function*() {
          yield* lab.insert(client, table, 1)
          yield* lab.killAll(client)
          yield* Effect.exit(lab.insert(client, table, 2))
          yield* lab.insert(client, table, 3)
        })
      )
      yield* equal(yield* table.names, [], "the table")
    })),
  row(
    "in a transaction that has nothing more to send: its COMMIT is not sent",
    ["transactions", "sessions"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
        yield* lostIn(
          lab,
          client,
          Effect.gen(function*() {
            yield* lab.insert(client, table, 1)
            yield* lab.killAll(client)
            yield* Effect.sleep("20 millis")
          })
        )
        yield* equal(yield* table.names, [], "the table")
      })
  ),
  row("in a transaction in the middle of a statement: a typed error, and nothing is kept", [
    "transactions",
    "sessions",
    "cancel"
  ], (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
      yield* Effect.fork(Effect.zipRight(lab.running(client), lab.killAll(client)))
      yield* lostIn(lab, client, Effect.zipRight(lab.insert(client, table, 1), lab.sleep(client)))
      yield* equal(yield* table.names, [], "the table")
    })),
  row(
    "in a nested transaction: a typed error through every level",
    ["savepoints", "sessions"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
        const inner = Effect.gen(function*() {
          yield* lab.insert(client, table, 1)
          yield* lab.killAll(client)
          yield* lab.insert(client, table, 2)
        })
        yield* lostIn(lab, client, client.sql.withTransaction(inner))
        yield* equal(yield* table.names, [], "the table")
      })
  ),
  row(
    "in a transaction that swallows the error: it still fails, typed",
    ["transactions", "sessions"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
        yield* lostIn(
          lab,
          client,
          Effect.gen(function*() {
            yield* lab.insert(client, table, 1)
            yield* lab.killAll(client)
            yield* Effect.ignore(lab.insert(client, table, 2))
          })
        )
        yield* equal(yield* table.names, [], "the table")
      })
  ),
  row(
    "at COMMIT, before it reached the server: CommitUnknown, and nothing is kept",
    ["transactions"],
    (lab) =>
      Effect.gen(function*() {
        const { client, proxy } = yield* lab.openProxied({ maxConnections: 1 })
        const table = yield* lab.table()
        const fiber = yield* Effect.fork(
          client.sql.withTransaction(Effect.zipRight(lab.insert(client, table, 1), proxy.deaf()))
        )
        yield* eventually(proxy.counts, ({ swallowed }) => swallowed > 0, "COMMIT is sent")
        yield* proxy.hear
        yield* proxy.cut
        yield* failsWith(within(3000, Fiber.join(fiber), "the transaction"), "CommitUnknown", "the transaction")
        yield* within(3000, lab.one(client), "the next statement")
        yield* equal(yield* table.names, [], "the table")
      })
  ),
  row(
    "at COMMIT, its answer lost: CommitUnknown, and all is kept, once",
    ["transactions"],
    (lab) =>
      Effect.gen(function*() {
        const { client, proxy } = yield* lab.openProxied({ maxConnections: 1 })
        const table = yield* lab.table()
        const fiber = yield* Effect.fork(
          client.sql.withTransaction(Effect.zipRight(lab.insert(client, table, 1), proxy.deaf("toClient")))
        )
        yield* eventually(proxy.counts, ({ swallowed }) => swallowed > 0, "COMMIT is answered")
        yield* proxy.hear
        yield* proxy.cut
        const error = yield* failsWith(within(3000, Fiber.join(fiber), "the transaction"), "CommitUnknown", "it")
        yield* equal(error.isRetryable, false, "whether it may be repeated")
        yield* within(3000, lab.one(client), "the next statement")
        yield* equal(yield* table.names, ["n1"], "the table")
      })
  ),
  row("at COMMIT, nothing heard within commitTimeout: CommitUnknown, and its connection is given up", [
    "transactions"
  ], (lab) =>
    Effect.gen(function*() {
      const { client, proxy } = yield* lab.openProxied({ maxConnections: 1, commitTimeout: "200 millis" })
      const table = yield* lab.table()
      const transaction = client.sql.withTransaction(
        Effect.zipRight(lab.insert(client, table, 1), proxy.deaf("toClient", "open"))
      )
      const [took, exit] = yield* timed(within(3000, transaction, "a COMMIT with a commitTimeout of 200 ms"))
      yield* failsWith(exit, "CommitUnknown", "the transaction")
      yield* isTrue(took < 1000, `it took ${took} ms`)
      yield* within(3000, lab.one(client), "the next statement")
    })),
  row("at ROLLBACK: the transaction's own error passes through", ["transactions"], (lab) =>
    Effect.gen(function*() {
      const { client, proxy } = yield* lab.openProxied({ maxConnections: 1, resetTimeout: "200 millis" })
      const table = yield* lab.table()
      const failing = client.sql.withTransaction(Effect.zipRight(
        lab.insert(client, table, 1),
        Effect.zipRight(proxy.cut, Effect.fail("my own"))
      ))
      yield* equal(yield* errorOf(within(3000, failing, "the transaction"), "it"), "my own", "the error")
      yield* within(3000, lab.one(client), "the next statement")
      yield* equal(yield* table.names, [], "the table")
    })),
  row(
    "all at once, under load: each caller gets a result or a typed error, and the pool goes on",
    (lab) =>
      Effect.gen(function*() {
        const { client, proxy } = yield* lab.openProxied({ maxConnections: 4 })
        const done = yield* Deferred.make<void>()
        const worker = Effect.gen(function*() {
          while (!(yield* Deferred.isDone(done))) {
            const exit = yield* Effect.exit(lab.one(client))
            if (Exit.isFailure(exit)) yield* failsWith(exit, [...lostOrUnsent, "ConnectFailed"], "a statement")
          }
        })
        const workers = yield* Effect.replicateEffect(Effect.fork(worker), 20)
        yield* Effect.repeatN(Effect.zipRight(Effect.sleep("40 millis"), proxy.cut), 3)
        yield* Deferred.succeed(done, undefined)
        yield* within(4000, Fiber.joinAll(workers), "the workers")
        yield* within(3000, lab.one(client), "a statement afterwards")
      })
  ),
  row(
    "nobody listens for a while: those who wait are served as soon as somebody does again",
    (lab) =>
      Effect.gen(function*() {
        const { client, proxy } = yield* lab.openProxied({ maxConnections: 2 })
        yield* lab.one(client)
        yield* proxy.stop
        yield* proxy.cut
        const waiting = yield* Effect.replicateEffect(Effect.fork(Effect.exit(lab.one(client))), 10)
        yield* Effect.sleep("300 millis")
        yield* proxy.start
        const exits = yield* within(5000, Fiber.joinAll(waiting), "those who wait")
        const failed = exits.filter(Exit.isFailure)
        // the first may have found the connection dead in its hands
        for (const exit of failed) yield* failsWith(exit, lostOrUnsent, "a statement")
        yield* isTrue(failed.length <= 2, `${failed.length} of 10 failed`)
      })
  ),
  row("nobody listens for longer: callers get the cause at once, as ConnectFailed", (lab) =>
    Effect.gen(function*() {
      const { client, proxy } = yield* lab.openProxied({ maxConnections: 1, failFastAfter: "100 millis" })
      yield* proxy.stop
      yield* proxy.cut
      yield* Effect.exit(within(4000, lab.one(client), "the first statement"))
      const [took, exit] = yield* timed(within(2000, lab.one(client), "a statement in an outage"))
      yield* failsWith(exit, "ConnectFailed", "the statement")
      yield* isTrue(took < 500, `it took ${took} ms`)
      yield* proxy.start
      yield* eventually(Effect.exit(lab.one(client)), Exit.isSuccess, "it works again")
    }))
])
