import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { equal, errorOf, isTrue, refusedAs, within } from "./checks.js"
import type { Client, Lab } from "./lab.js"
import { group, row } from "./row.js"

const series = (lab: Lab, { sql }: Client, rows: number) =>
  Stream.map(sql.unsafe<{ readonly n: number }>(lab.syntax.series(rows)).stream, ({ n }) => Number(n))

const numbers = (rows: number) => Array.from({ length: rows }, (_, i) => i + 1)

/** @internal */
export const streams = group("streams", ["streams"], [
  row("every row comes, in order", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      for (const rows of [0, 1, 127, 128, 129, 2000]) {
        const found = yield* Stream.runCollect(series(lab, client, rows))
        yield* equal(Chunk.toArray(found), numbers(rows), `a stream of ${rows} rows`)
      }
    })),
  row("one that is ended early gives its connection back", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      for (const taken of [1, 3, 200]) {
        const found = yield* Stream.runCollect(Stream.take(series(lab, client, 5000), taken))
        yield* equal(Chunk.toArray(found), numbers(taken), "what was taken")
        yield* within(2000, lab.one(client), "the next statement")
      }
    })),
  row("one whose consumer fails gives its connection back", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      const consumed = Stream.runForEach(
        series(lab, client, 5000),
        (n) => n === 300 ? Effect.fail("enough") : Effect.void
      )
      yield* equal(yield* errorOf(consumed, "the consumer"), "enough", "the error")
      yield* within(2000, lab.one(client), "the next statement")
    })),
  row("one that is interrupted gives its connection back", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      const fiber = yield* Effect.fork(
        Stream.runForEach(series(lab, client, 5000), (n) => n === 10 ? Effect.never : Effect.void)
      )
      yield* Effect.sleep("30 millis")
      yield* within(1000, Fiber.interrupt(fiber), "the interrupt")
      yield* within(2000, lab.one(client), "the next statement")
    })),
  row("a slow consumer does not have the whole result read into memory", (lab) =>
    Effect.gen(function*() {
      const { client, proxy } = yield* lab.openProxied({ maxConnections: 1 })
      yield* lab.one(client)
      const { toClient } = yield* proxy.counts
      yield* Stream.runForEach(
        Stream.take(client.sql.unsafe(lab.syntax.wideSeries(20_000)).stream, 10),
        () => Effect.sleep("20 millis")
      )
      const read = (yield* proxy.counts).toClient - toClient
      yield* isTrue(read < 10_000_000, `${read} bytes of about 20,000,000 were read for ten rows`)
    })),
  row("a statement that is refused fails the stream as it fails otherwise", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      const refused = Stream.runDrain(client.sql.unsafe("this is not a statement").stream)
      yield* refusedAs(refused, "Syntax", "the stream")
      yield* within(1000, lab.one(client), "the next statement")
    })),
  row("a failure half way comes after the rows before it", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1 })
      let seen = 0
      const consumed = Stream.runForEach(
        client.sql.unsafe(lab.syntax.failingSeries(1000, 500)).stream,
        () => Effect.sync(() => seen++)
      )
      const error = yield* errorOf(consumed, "the stream")
      yield* isTrue(typeof error === "object", "no error")
      yield* isTrue(seen > 0 && seen < 500, `${seen} rows came before the 500th failed`)
      yield* within(1000, lab.one(client), "the next statement")
    })),
  row(
    "one in a transaction sees what the transaction did, and other statements follow it",
    ["transactions"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
        const { sql } = client
        yield* sql.withTransaction(Effect.gen(function*() {
          yield* lab.insert(client, table, 1)
          const found = yield* Stream.runCollect(sql`select name from ${sql(table.name)}`.stream)
          yield* equal(Chunk.toArray(found), [{ name: "n1" }], "the stream")
          yield* lab.insert(client, table, 2)
        }))
        yield* equal(yield* table.names, ["n1", "n2"], "the table")
      })
  ),
  row(
    "one that is ended early in a transaction leaves the transaction whole",
    ["transactions"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
        yield* client.sql.withTransaction(Effect.gen(function*() {
          yield* lab.insert(client, table, 1)
          yield* Stream.runDrain(Stream.take(series(lab, client, 5000), 3))
          yield* lab.insert(client, table, 2)
        }))
        yield* equal(yield* table.names, ["n1", "n2"], "the table")
      })
  ),
  row("several at once have a connection each", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 3 })
      const sums = yield* within(
        3000,
        Effect.all(numbers(6).map(() => Stream.runSum(series(lab, client, 500))), { concurrency: "unbounded" }),
        "six streams on three connections"
      )
      yield* equal(sums, numbers(6).map(() => 125_250), "the sums")
    })),
  row("a stream of a lease ends with it", ["pool"], (lab) =>
    Effect.gen(function*() {
      const { pool } = yield* lab.open({ maxConnections: 1 })
      const rows = yield* Stream.runCollect(
        Stream.take(pool.stream((connection) => connection.stream(lab.syntax.series(5000))), 130)
      )
      yield* equal(rows.length, 130, "rows taken")
      yield* within(1000, pool.use((connection) => connection.query(lab.syntax.one)), "the next lease")
    }))
])
