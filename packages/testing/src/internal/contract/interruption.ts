import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { isTrue, timed, within } from "./checks.js"
import type { Client, Lab } from "./lab.js"
import { group, row } from "./row.js"

/** while the pool is busy: something waits, is interrupted, and must be gone at once */
const whileWaiting = (
  lab: Lab,
  what: string,
  waiting: (client: Client) => Effect.Effect<unknown, unknown>
) =>
  Effect.gen(function*() {
    const client = yield* lab.open({ maxConnections: 1 })
    const held = yield* lab.hold(client)
    for (let i = 0; i < 3; i++) {
      const fiber = yield* Effect.fork(waiting(client))
      yield* Effect.sleep("10 millis")
      const [took, exit] = yield* timed(within(2000, Fiber.interrupt(fiber), `interrupting ${what} that waits`))
      if (Exit.isFailure(exit)) yield* exit
      yield* isTrue(took < 500, `interrupting ${what} took ${took} ms`)
    }
    yield* held.release
  })

const reserved = ({ sql }: Client) => Effect.scoped(Effect.zipRight(sql.reserve, Effect.never))

/** @internal */
export const interruption = group("interruption", [], [
  row(
    "a statement that waits is gone at once, and leaks nothing",
    (lab) => whileWaiting(lab, "a statement", (client) => lab.one(client))
  ),
  row("`reserve` that waits is gone at once, and leaks nothing", (lab) => whileWaiting(lab, "`reserve`", reserved)),
  row(
    "a stream that waits is gone at once, and leaks nothing",
    ["streams"],
    (lab) => whileWaiting(lab, "a stream", ({ sql }) => Stream.runDrain(sql.unsafe(lab.syntax.series(3)).stream))
  ),
  row(
    "a transaction that waits is gone at once, and leaks nothing",
    ["transactions"],
    (lab) => whileWaiting(lab, "a transaction", (client) => client.sql.withTransaction(lab.one(client)))
  ),
  row("a timeout around a transaction that waits is kept", ["transactions"], (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      yield* lab.hold(client)
      const [took] = yield* timed(
        within(
          3000,
          Effect.timeoutOption(client.sql.withTransaction(lab.one(client)), "200 millis"),
          "a timeout of 200 ms"
        )
      )
      yield* isTrue(took < 700, `a timeout of 200 ms took ${took} ms`)
    })),
  row("a lease that is interrupted while its holder computes is given back", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      for (let i = 0; i < 3; i++) {
        const fiber = yield* Effect.fork(reserved(client))
        yield* Effect.sleep("10 millis")
        yield* within(1000, Fiber.interrupt(fiber), "interrupting a holder")
        yield* within(1000, lab.one(client), "a statement after it")
      }
    })),
  row("a transaction that is interrupted between two statements is rolled back, and its connection is back", [
    "transactions"
  ], (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
      const fiber = yield* Effect.fork(
        client.sql.withTransaction(Effect.zipRight(lab.insert(client, table, 1), Effect.never))
      )
      yield* Effect.sleep("30 millis")
      yield* within(1000, Fiber.interrupt(fiber), "interrupting a transaction")
      yield* within(1000, lab.one(client), "a statement after it")
      const names = yield* table.names
      yield* isTrue(names.length === 0, `${names.length} rows are there`)
    })),
  row(
    "a caller that is interrupted while connecting leaves its connection to the next",
    (lab) =>
      Effect.gen(function*() {
        const { client, proxy } = yield* lab.openProxied({ maxConnections: 1, initialize: "lazy" })
        yield* proxy.delay(40)
        const fiber = yield* Effect.fork(lab.one(client))
        yield* Effect.sleep("30 millis")
        const [took] = yield* timed(
          within(2000, Fiber.interrupt(fiber), "interrupting a caller that waits for a connect")
        )
        yield* isTrue(took < 300, `it took ${took} ms`)
        yield* within(2000, lab.one(client), "the next caller")
        yield* proxy.delay(0)
      })
  ),
  row(
    "interrupts at random moments, of statements, leases, streams and transactions, leak nothing",
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 3 })
        const { capabilities } = lab.dialect
        const ways = [
          lab.one(client),
          Effect.scoped(Effect.flatMap(client.sql.reserve, (c) => c.execute(lab.syntax.one, [], undefined))),
          ...(capabilities.transactions === true
            ? [client.sql.withTransaction(Effect.zipRight(lab.one(client), lab.one(client)))]
            : []),
          ...(capabilities.streams === true
            ? [Stream.runDrain(Stream.take(client.sql.unsafe(lab.syntax.series(300)).stream, 200))]
            : [])
        ] as ReadonlyArray<Effect.Effect<unknown, unknown>>
        const round = Effect.gen(function*() {
          const fiber = yield* Effect.fork(ways[yield* Random.nextIntBetween(0, ways.length)]!)
          yield* Effect.sleep(yield* Random.nextIntBetween(0, 9))
          yield* within(3000, Fiber.interrupt(fiber), "an interrupt")
        })
        yield* Effect.replicateEffect(round, 150, { concurrency: 6 })
      })
  )
])
