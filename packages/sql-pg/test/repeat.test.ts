import * as SqlPool from "@dbpool/sql/SqlPool"
import { refineErrors } from "@dbpool/sql/SqlPoolError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { failsWith, makeTable, pidOf } from "./support.js"

/** Stops this process for so long: what the server says meanwhile is read only after the next statement was sent. */
const stop = (millis: number) =>
  Effect.sync(() => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)
  })

const makeStopped = (options: SqlPool.Options = {}) =>
  Effect.gen(function*() {
    const made = yield* makeTable({ maxConnections: 1, ...options })
    const { admin, names, sql, table } = made
    const insert = refineErrors(sql`insert into ${sql(table)} values (1, 'a')`)
    /** the server kills the connection while this process does not look */
    const killed = Effect.gen(function*() {
      const [row] = yield* sql.unsafe<{ readonly pid: number }>(pidOf)
      yield* Effect.forkDaemon(admin("select pg_sleep(0.05), pg_terminate_backend($1)", [row!.pid]))
      yield* Effect.sleep("10 millis")
      yield* stop(400)
    })
    return { ...made, insert, killed, names }
  })

describe("a connection that the server has closed, and nobody has noticed", () => {
  it.scopedLive("because it was idle for too long: a single statement was not executed, and is sent once more", () =>
    Effect.gen(function*() {
      const { insert, names, pool, sql } = yield* makeStopped({ setup: ["set idle_session_timeout = 100"] })
      yield* sql`select 1`
      yield* stop(400)
      yield* insert
      assert.deepStrictEqual(yield* names, ["a"])
      assert.strictEqual((yield* pool.stats).opened, 2)
    }))

  it.scopedLive("with `retryUnsent: false` it fails with NoSuchConnection instead", () =>
    Effect.gen(function*() {
      const setup = ["set idle_session_timeout = 100"]
      const { insert, names, sql } = yield* makeStopped({ setup, retryUnsent: false })
      yield* sql`select 1`
      yield* stop(400)
      const error = yield* failsWith(insert, "NoSuchConnection")
      assert.isTrue(error.isRetryable)
      assert.deepStrictEqual(yield* names, [])
    }))

  it.scopedLive("because it was killed: nobody knows whether the statement was executed, and it is not repeated", () =>
    Effect.gen(function*() {
      const { insert, killed } = yield* makeStopped()
      yield* killed
      yield* failsWith(insert, "ConnectionLost")
    }))

  it.scopedLive("unless it may be executed twice", () =>
    Effect.gen(function*() {
      const { insert, killed, names } = yield* makeStopped()
      yield* killed
      yield* SqlPool.idempotent(insert)
      assert.deepStrictEqual(yield* names, ["a"])
    }))

  it.scopedLive("`validateOn: statement` finds out first, and `transaction` before BEGIN", () =>
    Effect.gen(function*() {
      const { insert, killed, names, pool, sql, table } = yield* makeStopped({
        validateOn: ["statement", "transaction"],
        validateAfterIdle: 0
      })
      yield* killed
      yield* insert
      yield* killed
      yield* pool.withTransaction(sql`insert into ${sql(table)} values (2, 'b')`)
      assert.deepStrictEqual(yield* names, ["a", "b"])
      assert.strictEqual((yield* pool.stats).opened, 3)
    }))
})
