import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as gateway from "./gateway.js"
import { eventually, failsWith, makePool, shared } from "./support.js"

/** as many rows, with a number */
const series = (rows: number) => `select n from unnest(sequence_array(1, ${rows}, 1)) as t (n)`

const numbers = (rows: number) => Array.from({ length: rows }, (_, i) => i + 1)

const make = (options: Parameters<typeof makePool>[1] = {}) =>
  Effect.gen(function*() {
    const { url } = yield* shared
    const between = yield* gateway.make(url)
    return { url, between, ...yield* makePool(between.url, { maxConnections: 1, ...options }) }
  })

describe("the frames of a result", () => {
  it.scopedLive("come until the server says done: it caps the first at 100 rows, whatever is asked", () =>
    Effect.gen(function*() {
      const { between, sql } = yield* make({ frameSize: 200 })
      assert.deepStrictEqual((yield* sql.unsafe(series(450)).values).flat(), numbers(450))
      const offsets = between.log.filter(({ name }) => name === "Fetch").map(({ content }) => Number(content.offset))
      assert.deepStrictEqual(offsets, [100, 300])
    }))

  it.scopedLive("may end with one that is exactly full, which does not say done, and an empty one", () =>
    Effect.gen(function*() {
      const { between, sql } = yield* make({ frameSize: 50 })
      assert.deepStrictEqual((yield* sql.unsafe(series(100)).values).flat(), numbers(100))
      assert.strictEqual(between.count("Fetch"), 2)
      assert.deepStrictEqual((yield* sql.unsafe(series(50)).values).flat(), numbers(50))
      assert.strictEqual(between.count("Fetch"), 3)
    }))

  it.scopedLive("may be empty in between, when the server is slow", () =>
    Effect.gen(function*() {
      const { between, sql } = yield* make({ frameSize: 50 })
      between.on("Fetch", async () => gateway.answer("Fetch", { frame: { done: false, rows: [] } }), 2)
      assert.deepStrictEqual((yield* sql.unsafe(series(120)).values).flat(), numbers(120))
    }))

  it.scopedLive("are always asked for with a size: without one the server gives no rows, and says that this is all", () =>
    Effect.gen(function*() {
      const { between, sql, url } = yield* make()
      yield* sql.unsafe(series(600))
      yield* sql.unsafe(`${series(10)} where n > ?`, [3])
      const sizes = between.log.flatMap(({ content, name }) =>
        name === "Fetch" ? [content.frameMaxSize] : name.includes("Execute") ? [content.firstFrameMaxSize] : []
      )
      assert.deepStrictEqual(sizes, [500, 500, 500, 500])
      assert.isTrue(
        between.log.every(({ content, name }) =>
          !["Prepare", "PrepareAndExecute"].includes(name) || content.maxRowsTotal === -1n
        )
      )
      // what the real server does with none
      const connectionId = "sizes"
      const send = <K extends gateway.Name>(name: K, content: object) =>
        Effect.map(
          Effect.promise(() => gateway.ask(url, name, { connectionId, ...content } as never)),
          (reply) => gateway.contentOf(reply.body, name)
        )
      yield* send("OpenConnection", { info: [{ key: "user", value: "SA" }] })
      const { statementId } = yield* send("CreateStatement", {})
      const { results } = yield* send("PrepareAndExecute", { statementId, sql: series(10) })
      assert.deepInclude(results[0]!.firstFrame, { done: true, rows: [] })
      yield* send("CloseConnection", {})
    }))

  it.scopedLive("are never asked for twice: the server would answer with the rows after those that were lost", () =>
    Effect.gen(function*() {
      const { between, pool, sql } = yield* make({ frameSize: 50 })
      between.on("Fetch", gateway.lost, 1)
      const error = yield* failsWith(pool.use((connection) => connection.values(series(200))), "ConnectionLost")
      assert.isFalse(error.isRetryable)
      assert.strictEqual(between.count("Fetch"), 1)
      assert.strictEqual((yield* sql.unsafe(series(3))).length, 3)
    }))

  it.scopedLive("that are gone fail the statement: a missing result is no end", () =>
    Effect.gen(function*() {
      const { between, pool, url } = yield* make({ frameSize: 50 })
      between.on("Fetch", async (asked, pass) => {
        const reply = (await gateway.forgotten(url)(asked, pass))!
        assert.strictEqual(reply.status, 200)
        assert.isTrue(gateway.contentOf(reply.body, "Fetch").missingStatement)
        return reply
      }, 1)
      const error = yield* failsWith(pool.use((connection) => connection.values(series(200))), "ConnectionLost")
      assert.include(error.message, "the server had forgotten the statement")
    }))
})

describe("a stream", () => {
  it.scopedLive("fetches a frame when its consumer wants it, and none before", () =>
    Effect.gen(function*() {
      const { between, sql } = yield* make({ frameSize: 50 })
      let seen = 0
      yield* sql.unsafe<{ N: number }>(series(1000)).stream.pipe(
        Stream.tap(({ N }) =>
          Effect.sync(() => {
            assert.strictEqual(N, ++seen)
            // what has come, and at most one frame more
            assert.isAtMost(between.count("Fetch"), Math.ceil(seen / 50))
          })
        ),
        Stream.runDrain
      )
      assert.strictEqual(seen, 1000)
      yield* eventually(Effect.sync(() => between.count("CloseStatement")), (n) => n === 1, "its statement is closed")
    }))

  it.scopedLive("that ends early closes its statement, and its connection is free at once", () =>
    Effect.gen(function*() {
      const { between, pool, sql } = yield* make({ frameSize: 50 })
      const rows = yield* Stream.runCollect(Stream.take(sql.unsafe(series(1000)).stream, 60))
      assert.strictEqual(rows.length, 60)
      assert.strictEqual((yield* pool.stats).idle, 1)
      assert.strictEqual(between.count("Fetch"), 1)
      yield* eventually(Effect.sync(() => between.count("CloseStatement")), (n) => n === 1, "its statement is closed")
      assert.deepStrictEqual(yield* sql`values 1`.values, [[1]])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("that is interrupted while it waits for a frame gives its connection back when the frame has come", () =>
    Effect.gen(function*() {
      const { between, pool, sql } = yield* make({ frameSize: 50 })
      const go = between.hold("Fetch")
      const fiber = yield* Effect.fork(Stream.runDrain(sql.unsafe(series(1000)).stream))
      yield* eventually(Effect.sync(() => between.count("Fetch")), (n) => n === 1, "it waits")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* pool.stats).idle, 0)
      go()
      yield* eventually(pool.stats, ({ idle }) => idle === 1, "the connection is back")
      assert.strictEqual(between.count("Fetch"), 1)
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("has parameters, and fails as statements do", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* make()
      const rows = yield* Stream.runCollect(sql.unsafe(`${series(10)} where n > ?`, [8]).stream)
      assert.deepStrictEqual([...rows], [{ N: 9 }, { N: 10 }])
      const error = yield* failsWith(
        Stream.runDrain(pool.stream((connection) => connection.stream("selec 1"))),
        "StatementError"
      )
      assert.strictEqual(error.reason, "Syntax")
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})
