import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import { equal, failsWith, isTrue, timed, within } from "./checks.js"
import type { Client, Lab } from "./lab.js"
import { group, row } from "./row.js"

/** a statement runs on the server, is interrupted, and ends there; the caller does not wait for that */
const interrupted = (lab: Lab, client: Client, running: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(running)
    yield* lab.running(client)
    const [took, exit] = yield* timed(within(8000, Fiber.interrupt(fiber), "an interrupt"))
    if (Exit.isFailure(exit)) yield* exit
    yield* isTrue(took < 1500, `the interrupt took ${took} ms`)
    yield* lab.quiet(client)
  })

/** @internal */
export const cancellation = group("cancellation", ["cancel", "sessions"], [
  row("an interrupted statement returns at once and ends on the server", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 3 })
      yield* interrupted(lab, client, lab.sleep(client))
      yield* interrupted(lab, client, client.sql.unsafe(lab.syntax.sleep(30)).values)
    })),
  row("so it does when no other connection is to be had", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      yield* interrupted(lab, client, lab.sleep(client))
      yield* within(1000, lab.one(client), "the next statement")
    })),
  row("a timeout around a statement is kept, and the next statement is not hit", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      const [took] = yield* timed(
        within(2000, Effect.timeoutOption(lab.sleep(client), "150 millis"), "a timeout of 150 ms")
      )
      yield* isTrue(took < 700, `a timeout of 150 ms took ${took} ms`)
      yield* within(1000, lab.one(client), "the next statement")
    })),
  row(
    "a cancel never hits the next statement on its connection, 100 times out of 100",
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 1 })
        const turn = Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))
        const round = Effect.gen(function*() {
          const fiber = yield* Effect.fork(lab.one(client))
          yield* Effect.repeatN(turn, yield* Random.nextIntBetween(0, 4))
          yield* within(2000, Fiber.interrupt(fiber), "an interrupt")
          yield* lab.sleep(client, 0.003)
        })
        yield* Effect.repeatN(round, 99)
      })
  ),
  row("an interrupted statement in a lease ends, and the lease goes on", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      const held = yield* lab.hold(client)
      yield* interrupted(lab, client, held.connection.execute(lab.syntax.sleep(30), [], undefined))
      yield* equal(yield* held.connection.executeValues(lab.syntax.one, []), [[1]], "the next statement")
    })),
  row(
    "an interrupted statement ends its transaction, of which nothing is kept",
    ["transactions"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
        const transaction = client.sql.withTransaction(Effect.zipRight(lab.insert(client, table, 1), lab.sleep(client)))
        yield* interrupted(lab, client, transaction)
        yield* within(1000, lab.one(client), "the next statement")
        yield* equal(yield* table.names, [], "the table")
      })
  ),
  row(
    "an interrupted nested transaction is undone, and the outer one goes on",
    ["savepoints"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
        yield* client.sql.withTransaction(Effect.gen(function*() {
          yield* lab.insert(client, table, 1)
          const nested = client.sql.withTransaction(Effect.zipRight(lab.insert(client, table, 2), lab.sleep(client)))
          yield* interrupted(lab, client, nested)
          yield* lab.insert(client, table, 3)
        }))
        yield* equal(yield* table.names, ["n1", "n3"], "the table")
      })
  ),
  row("interrupting a statement that is queued behind another of its transaction leaves that one alone", [
    "transactions"
  ], (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 2 })
      yield* client.sql.withTransaction(Effect.gen(function*() {
        const running = yield* Effect.fork(lab.sleep(client, 0.3))
        yield* lab.running(client)
        const queued = yield* Effect.fork(lab.insert(client, table, 1))
        yield* Effect.sleep("20 millis")
        yield* within(2000, Fiber.interrupt(queued), "interrupting the queued one")
        yield* Fiber.join(running)
        yield* lab.insert(client, table, 2)
      }))
      yield* equal(yield* table.names, ["n2"], "the table")
    })),
  row("many cancels at once: every connection is lent again", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 5 })
      const fibers = yield* Effect.replicateEffect(Effect.fork(lab.sleep(client)), 15)
      yield* lab.running(client)
      yield* within(3000, Fiber.interruptAll(fibers), "interrupting all")
      yield* within(
        3000,
        Effect.replicateEffect(lab.one(client), 10, { concurrency: "unbounded" }),
        "the next statements"
      )
      yield* lab.quiet(client)
    })),
  row(
    "a cancel that cannot be delivered costs its connection, and no later statement",
    (lab) =>
      Effect.gen(function*() {
        const { client, proxy } = yield* lab.openProxied({ maxConnections: 1, resetTimeout: "300 millis" })
        const fiber = yield* Effect.fork(lab.sleep(client, 1))
        yield* lab.running(client)
        yield* proxy.stop
        const [took] = yield* timed(within(3000, Fiber.interrupt(fiber), "the interrupt"))
        yield* isTrue(took < 700, `the interrupt took ${took} ms`)
        yield* proxy.start
        yield* within(3000, lab.one(client), "the next statement")
      })
  ),
  row("a backend that dies while its statement is cancelled is no defect", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      const fiber = yield* Effect.fork(lab.sleep(client))
      yield* lab.running(client)
      yield* Effect.all([within(3000, Fiber.interrupt(fiber), "the interrupt"), lab.killAll(client)], {
        concurrency: "unbounded"
      })
      yield* within(3000, lab.one(client), "the next statement")
    })),
  row(
    "a lease that ends with a statement running in another fiber is not lent before that has ended",
    ["pool"],
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 1 })
        const late = yield* client.pool.use((connection) =>
          Effect.zipLeft(Effect.forkDaemon(connection.query(lab.syntax.sleep(30))), lab.running(client))
        )
        yield* within(2000, lab.one(client), "the next statement")
        yield* lab.quiet(client)
        yield* failsWith(Fiber.join(late), ["StatementError", "LeaseReleased", "ConnectionLost"], "the one left behind")
      })
  )
])
