import * as PoolError from "@dbpool/core/PoolError"
import type { Holder } from "@dbpool/core/PoolHolder"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import { hold, makePool } from "./support.js"

const errors = Effect.gen(function*() {
  const pool = yield* makePool(yield* SimulatedServer.make, { maxConnections: 2 })
  yield* hold(pool)
  const stats = yield* pool.stats
  const refused = new Error("connection refused")
  const many = (reason: PoolError.TooManyConnections["reason"]) =>
    new PoolError.TooManyConnections({ pool: "orders", reason, stats, cause: new Error("sorry, too many clients") })
  const [held] = yield* pool.holders
  const holder = (id: number, span?: string): Holder => ({
    fiberId: FiberId.make(id, 0) as FiberId.Runtime,
    span,
    heldMillis: 90_000 / id,
    connectionId: id
  })
  const timeout = { pool: "orders", phase: "queueing", waitedMillis: 30_000, stats, holders: [] } as const
  const failed = { pool: "orders", cause: refused, attempts: 1, fatal: false, ageMillis: 0, retryInMillis: undefined }
  const state = "1 of 2 open (1 leased, 0 idle, 0 connecting), 0 waiting"
  return [
    [many("Exhausted"), true, `Pool "orders" has no free connection and the caller would not wait: ${state}`],
    [many("WaitersFull"), true, `Pool "orders" lets no more callers wait: ${state}`],
    [many("ServerRefused"), true, `The server of pool "orders" accepts no more connections: sorry, too many clients`],
    [new PoolError.AcquireTimeout(timeout), true, `Pool "orders" had no connection within 30 s (queueing): ${state}`],
    [
      new PoolError.AcquireTimeout({ ...timeout, phase: "connecting", waitedMillis: 250, lastConnectError: refused }),
      true,
      `Pool "orders" had no connection within 250 ms (connecting): ${state}` +
      "; the last attempt to connect failed: connection refused"
    ],
    [
      new PoolError.AcquireTimeout({ ...timeout, holders: [1, 2, 3, 4, 5, 6, 7].map((id) => holder(id, "checkout")) }),
      true,
      `Pool "orders" had no connection within 30 s (queueing): ${state}` +
      `; held by fiber #1 in span "checkout" for 90 s (connection 1), fiber #2 in span "checkout" for 45 s ` +
      `(connection 2), fiber #3 in span "checkout" for 30 s (connection 3), fiber #4 in span "checkout" for 22.5 s ` +
      `(connection 4), fiber #5 in span "checkout" for 18 s (connection 5), and 2 more`
    ],
    [
      new PoolError.NestedAcquire({ pool: "orders", holder: { ...holder(7), heldMillis: held!.heldMillis } }),
      false,
      `Pool "orders" has no free connection, and the caller holds one already, taken by fiber #7 for 0 ms ` +
      "(connection 7): such callers can wait for each other for ever. Run both uses in one pool.session, or end the " +
      "first before the second"
    ],
    [
      new PoolError.SessionLost({ pool: "orders" }),
      false,
      `A session of pool "orders" has lost its connection and cannot go on: open another one`
    ],
    [new PoolError.ConnectFailed(failed), true, `Pool "orders" cannot connect: connection refused`],
    [
      new PoolError.ConnectFailed({ ...failed, attempts: 7, fatal: true, ageMillis: 2000, retryInMillis: 3000 }),
      false,
      `Pool "orders" cannot connect (7 attempts, the last one 2 s ago, the next one in 3 s): connection refused`
    ],
    [new PoolError.PoolClosed({ pool: "orders" }), false, `Pool "orders" is closed: its scope has ended`],
    [
      new PoolError.InvalidPoolConfig({
        pool: "orders",
        option: "maxWaiting",
        requirement: "must be a number, not -1"
      }),
      false,
      `Pool "orders": maxWaiting must be a number, not -1`
    ]
  ] as const
})

describe("every error", () => {
  it.scoped("says in one sentence what happened to which pool, and whether to try again", () =>
    Effect.gen(function*() {
      for (const [error, retryable, message] of yield* errors) {
        assert.strictEqual(error.message, message)
        assert.strictEqual(error.isRetryable, retryable, message)
        assert.notInclude(message, "\n")
      }
    }))

  it.scoped("is known as a pool's, and nothing else is", () =>
    Effect.gen(function*() {
      for (const [error] of yield* errors) assert.isTrue(PoolError.isPoolError(error), error._tag)
      for (const other of [new Error("x"), undefined, null, "PoolClosed", { _tag: "PoolClosed" }]) {
        assert.isFalse(PoolError.isPoolError(other))
      }
    }))

  it.scoped("shows what it carries and not how it is recognised", () =>
    Effect.gen(function*() {
      for (const [error] of yield* errors) {
        assert.notInclude(JSON.stringify(error), PoolError.TypeId)
        assert.include(JSON.stringify(error), `"_tag":"${error._tag}"`)
      }
    }))
})

describe("the cause of a failed connect", () => {
  const message = (cause: unknown) =>
    new PoolError.ConnectFailed({
      pool: "orders",
      cause,
      attempts: 1,
      fatal: false,
      ageMillis: 0,
      retryInMillis: undefined
    }).message

  it("is told whatever it is", () => {
    const prefix = "Pool \"orders\" cannot connect: "
    assert.strictEqual(message("no route"), `${prefix}no route`)
    assert.strictEqual(message({ code: 7 }), `${prefix}{"code":7}`)
    assert.strictEqual(message(new TypeError("")), `${prefix}TypeError`)
    assert.strictEqual(
      message(new PoolError.ConnectTimeout({ afterMillis: 1500 })),
      `${prefix}no answer within 1.5 s`
    )
    // Node, when a host has several addresses and all refuse
    assert.strictEqual(
      message(new AggregateError([new Error("refused ::1"), new Error("refused 127.0.0.1")], "")),
      `${prefix}refused ::1, refused 127.0.0.1`
    )
  })
})
