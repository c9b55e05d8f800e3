/** `mysql2` tells what it executes on channels of Node.js, to which monitoring listens. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { channel } from "node:diagnostics_channel"
import { failsWith, makePool } from "./support.js"

const listen = (event: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const heard: Array<any> = []
        const hear = (message: unknown) => void heard.push(message)
        channel(`tracing:mysql2:execute:${event}`).subscribe(hear)
        return { heard, hear }
      }),
      ({ hear }) => Effect.sync(() => channel(`tracing:mysql2:execute:${event}`).unsubscribe(hear))
    ),
    ({ heard }) => heard
  )

describe("the channels of mysql2", () => {
  it.scopedLive("hear of every statement, prepared before or not, and of its end", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool({ maxConnections: 1 })
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          yield* connection.query("select ? as n", [0])
          const starts = yield* listen("start")
          const ends = yield* listen("asyncEnd")
          const errors = yield* listen("error")
          for (const n of [1, 2]) assert.deepStrictEqual(yield* connection.query("select ? as n", [n]), [{ n }])
          assert.deepStrictEqual(yield* connection.values("select ? as m", [3]), [[3]])
          yield* failsWith(connection.query("select * from not_there where n = ?", [4]), "StatementError")
          assert.deepStrictEqual(starts.map(({ query, values }) => [query, values]), [
            ["select ? as n", [1]],
            ["select ? as n", [2]],
            ["select ? as m", [3]],
            ["select * from not_there where n = ?", [4]]
          ])
          yield* Effect.yieldNow()
          assert.lengthOf(ends, 4)
          assert.lengthOf(errors, 1)
        })
      )
    }))

  it.scopedLive("heard by nobody, a statement that fails says what it was all the same", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool({ maxConnections: 1 })
      const text = "select 1 div cast(? as signed) as n, exp(?) as e"
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          yield* connection.query(text, [1, 1])
          const error = yield* failsWith(connection.query(text, [1, 1000]), "StatementError")
          assert.strictEqual((error.cause as { readonly sql: string }).sql, text)
        })
      )
    }))
})
