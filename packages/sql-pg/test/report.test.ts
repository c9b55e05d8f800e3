import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import { failsWith, makePool } from "./support.js"

/** a pool that reports what is held for half a second, and what it logs */
const reporting = Effect.gen(function*() {
  const lines: Array<string> = []
  const logger = Logger.make(({ message }) => {
    lines.push(String(message))
  })
  const { pool, sql } = yield* makePool({
    name: "main",
    maxConnections: 1,
    leakDetectionThreshold: "500 millis"
  }).pipe(Effect.provide(Logger.add(logger)))
  return { lines, pool, sql }
})

describe("the reports on a pool that keeps its callers waiting", () => {
  it.scopedLive("name a slow statement, and who runs it", () =>
    Effect.gen(function*() {
      const { lines, pool, sql } = yield* reporting
      const slow = yield* Effect.fork(Effect.withSpan(sql`select pg_sleep(${30})`, "checkout"))
      yield* Effect.sleep("1 second")
      const { message } = yield* failsWith(pool.use(() => Effect.void, { timeout: "100 millis" }), "AcquireTimeout")
      const id = slow.id().id
      const held =
        `fiber #${id} in span "checkout" for \\S+ m?s \\(connection 1, running "select pg_sleep\\(\\$1\\)"\\)`
      assert.match(message, new RegExp(held))
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, new RegExp(`^Pool "main" may have a leak: a connection is held by ${held}$`))
      yield* Fiber.interrupt(slow)
    }))

  it.scopedLive("name a leak, and what it did last", () =>
    Effect.gen(function*() {
      const { lines, pool } = yield* reporting
      const leak = yield* Effect.fork(Effect.withSpan(
        pool.use((connection) => Effect.zipRight(connection.query("select 'secret' as word"), Effect.never)),
        "forgotten"
      ))
      yield* Effect.sleep("1 second")
      const held =
        `fiber #${leak.id().id} in span "forgotten" for \\S+ m?s \\(connection 1, last ran "select '…' as word"\\)`
      assert.match(lines.join("\n"), new RegExp(`^Pool "main" may have a leak: a connection is held by ${held}$`))
      yield* Fiber.interrupt(leak)
    }))
})
