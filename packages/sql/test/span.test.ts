import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Tracer from "effect/Tracer"
import { FakeServer, refuse } from "./server.js"
import { makeOne, makePool, start } from "./support.js"

/** a tracer that keeps what it is told, in the order in which the spans end: `child < parent` */
const record = () => {
  const ended: Array<{ readonly span: string; readonly millis: number; readonly failed: boolean }> = []
  const attributes: Array<ReadonlyMap<string, unknown>> = []
  const tracer = Tracer.make({
    context: (f) => f(),
    span: (name, parent, context, links, startTime, kind, options) => {
      const own = new Map(Object.entries(options?.attributes ?? {}))
      const nameOf = Option.match(parent, {
        onNone: () => "",
        onSome: (parent) => ` < ${(parent as Tracer.Span).name}`
      })
      return {
        _tag: "Span",
        name,
        spanId: "span",
        traceId: "trace",
        parent,
        context,
        status: { _tag: "Started", startTime },
        attributes: own,
        links,
        sampled: true,
        kind,
        end: (endTime, exit) => {
          ended.push({ span: name + nameOf, millis: Number(endTime - startTime) / 1e6, failed: Exit.isFailure(exit) })
          attributes.push(own)
        },
        attribute: (key, value) => own.set(key, value),
        event: () => {},
        addLinks: () => {}
      }
    }
  })
  return {
    ended,
    attributes,
    spans: () => ended.splice(0).map(({ span }) => span),
    traced: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.withTracer(self, tracer)
  }
}

describe("spans", () => {
  it.scoped("a statement that has its connection at once has one span, with the official attributes", () =>
    Effect.gen(function*() {
      const { sql } = yield* makeOne()
      const { attributes, spans, traced } = record()
      yield* traced(sql`select ${1}`)
      yield* traced(Stream.runDrain(sql`select 2`.stream))
      assert.deepStrictEqual(spans(), ["sql.execute", "sql.execute"])
      assert.deepStrictEqual([...attributes[0]!], [
        ["db.system.name", "fake"],
        ["db.client.connection.pool.name", "test"],
        ["db.operation.name", "execute"],
        ["db.query.text", "select ?"]
      ])
    }))

  it.scoped("one that waits has a `pool.acquire` inside, as long as the wait", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makeOne()
      const { attributes, ended, traced } = record()
      const waiting = [sql`select 1`, Stream.runDrain(sql`select 2`.stream)]
      for (const statement of waiting) {
        const holder = yield* start(pool.use(() => Effect.sleep("3 seconds")))
        const fiber = yield* start(traced(statement))
        yield* TestClock.adjust("3 seconds")
        yield* Fiber.join(holder)
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(ended.splice(0), [
          { span: "pool.acquire < sql.execute", millis: 3000, failed: false },
          { span: "sql.execute", millis: 3000, failed: false }
        ])
      }
      assert.deepStrictEqual([...attributes[0]!], [["db.client.connection.pool.name", "test"]])
    }))

  it.scoped("so have one that connects, a lease, and a transaction, but no statement inside it", () =>
    Effect.gen(function*() {
      const pool = yield* makePool(new FakeServer(), { maxConnections: 3 })
      const { spans, traced } = record()
      yield* traced(pool.client`select 1`)
      assert.deepStrictEqual(spans(), ["pool.acquire < sql.execute", "sql.execute"])
      const inside = Effect.withSpan(traced(pool.use(() => Effect.void)), "mine").pipe(traced)
      yield* pool.use(() => inside)
      assert.deepStrictEqual(spans(), ["pool.acquire < mine", "mine"])
      yield* pool.use(() => pool.use(() => traced(pool.withTransaction(pool.client`select 1`))))
      assert.deepStrictEqual(spans(), [
        "pool.acquire < sql.transaction",
        "sql.execute < sql.transaction",
        "sql.transaction"
      ])
    }))

  it.scoped("a transaction and a savepoint have one each, with the official attributes, and fail as they do", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      server.on("bad", refuse("Syntax"))
      const { attributes, ended, traced } = record()
      yield* traced(pool.withTransaction(Effect.ignore(pool.withTransaction(Effect.zipRight(sql`select 1`, sql`bad`)))))
        .pipe(Effect.ignore)
      assert.deepStrictEqual(ended.map(({ failed, span }) => [span, failed]), [
        ["sql.execute < sql.transaction", false],
        ["sql.execute < sql.transaction", true],
        ["sql.transaction < sql.transaction", true],
        ["sql.transaction", false]
      ])
      assert.deepStrictEqual([...attributes.at(-1)!], [
        ["db.system.name", "fake"],
        ["db.client.connection.pool.name", "test"]
      ])
    }))

  it.scoped("every attempt to connect has one of its own, which fails as the attempt does", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      const { attributes, ended, traced } = record()
      yield* traced(Effect.flatMap(makePool(server, { name: "test" }), ({ client }) => client`select 1`))
      assert.deepStrictEqual(ended.map(({ failed, span }) => [span, failed]), [
        ["pool.connect", false],
        ["pool.acquire < sql.execute", false],
        ["sql.execute", false]
      ])
      assert.deepStrictEqual([...attributes[0]!], [
        ["db.client.connection.pool.name", "test"],
        ["dbpool.connection.id", 1],
        ["db.system.name", "fake"]
      ])
    }))

  it.scoped("a wait that is in vain fails its span", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makeOne({ whenExhausted: "fail" })
      const { ended, traced } = record()
      yield* pool.use(() => traced(Effect.ignore(sql`select 1`)))
      assert.deepStrictEqual(ended.map(({ failed, span }) => [span, failed]), [
        ["pool.acquire < sql.execute", true],
        ["sql.execute", true]
      ])
    }))

  it.scoped("a wait for one's turn in a session is a wait too", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      const { spans, traced } = record()
      server.on("slow", { _tag: "hang" })
      yield* pool.session(Effect.gen(function*() {
        const first = yield* start(sql`slow`)
        const second = yield* start(traced(sql`select 1`))
        server.last.finish()
        yield* Fiber.join(first)
        yield* Fiber.join(second)
      }))
      assert.deepStrictEqual(spans(), ["pool.acquire < sql.execute", "sql.execute"])
    }))

  it.scoped("are not made for nobody", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makeOne()
      const { spans, traced } = record()
      const fiber = yield* pool.use(() => start(Effect.withTracerEnabled(traced(sql`select 1`), false)))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(spans(), [])
    }))
})
