import type * as PoolError from "@dbpool/core/PoolError"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as SqlPoolError from "@dbpool/sql/SqlPoolError"
import * as StatementError from "@dbpool/sql/StatementError"
import { SqlError } from "@effect/sql/SqlError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { refuse } from "./server.js"
import { failsWith, failure, makeOne } from "./support.js"

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
/** a statement about types, checked by the compiler; the values it is about need not run */
const holds = <T extends true>(_about: ReadonlyArray<unknown>): T | undefined => undefined

const pool = "test"
const cause = new Error("the driver's own words")
const statementError = (reason: StatementError.StatementReason, inTransaction = false) =>
  new StatementError.StatementError({ pool, reason, code: "X", constraint: undefined, inTransaction, cause })

describe("refineErrors", () => {
  it.scoped("brings the typed error back from a SqlError", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      server.on("insert a", refuse("UniqueViolation"))
      const wrapped = yield* failsWith(sql`insert a`, "SqlError")
      const refined = yield* failsWith(SqlPool.refineErrors(sql`insert a`), "StatementError")
      assert.strictEqual(refined.reason, "UniqueViolation")
      assert.strictEqual(wrapped.message, refined.message)
      yield* failsWith(Stream.runDrain(SqlPool.refineStreamErrors(sql`insert a`.stream)), "StatementError")
    }))

  it.effect("leaves every other error alone", () =>
    Effect.gen(function*() {
      const foreign = new SqlError({ cause, message: "of another client" })
      assert.deepStrictEqual(yield* Effect.exit(SqlPool.refineErrors(Effect.fail(foreign))), Exit.fail(foreign))
      assert.deepStrictEqual(yield* Effect.exit(SqlPool.refineErrors(Effect.fail("mine"))), Exit.fail("mine"))
    }))

  it("adds the pool's errors to the type where there was a SqlError, and nowhere else", () => {
    const refined = (self: Effect.Effect<number, SqlError | "mine", "service">) => SqlPool.refineErrors(self)
    const stream = (self: Stream.Stream<number, SqlError, "service">) => SqlPool.refineStreamErrors(self)
    const other = (self: Effect.Effect<void, "mine">) => SqlPool.refineErrors(self)
    type Refined = Effect.Effect<number, SqlPoolError.SqlPoolError | SqlError | "mine", "service">
    holds<Same<ReturnType<typeof refined>, Refined>>([refined])
    holds<Same<ReturnType<typeof stream>, Stream.Stream<number, SqlPoolError.SqlPoolError | SqlError, "service">>>([
      stream
    ])
    holds<Same<ReturnType<typeof other>, Effect.Effect<void, "mine">>>([other])
  })

  it("gives transactions their types: errors of the body, of the pool, and the body's needs", () => {
    const run = (pool: SqlPool.SqlPool, body: Effect.Effect<number, "mine", "service">) => pool.withTransaction(body)
    type Run = Effect.Effect<number, "mine" | SqlPoolError.TransactionError, "service">
    holds<Same<ReturnType<typeof run>, Run>>([run])
    holds<PoolError.AcquireError extends SqlPoolError.TransactionError ? true : false>([])
  })
})

describe("catchReason", () => {
  it.effect("handles the one reason and lets all else pass, in both styles", () =>
    Effect.gen(function*() {
      const handler = (error: StatementError.StatementError) => Effect.succeed(`handled ${error.reason}`)
      const unique = Effect.fail(statementError("UniqueViolation"))
      const syntax = Effect.fail(statementError("Syntax"))
      assert.strictEqual(
        yield* unique.pipe(StatementError.catchReason("UniqueViolation", handler)),
        "handled UniqueViolation"
      )
      assert.strictEqual(
        yield* StatementError.catchReason(unique, "UniqueViolation", handler),
        "handled UniqueViolation"
      )
      const passed = StatementError.catchReason(syntax, "UniqueViolation", handler)
      yield* failsWith(passed, "StatementError")
      const wrapped = Effect.fail(new SqlError({ cause: statementError("UniqueViolation"), message: "wrapped" }))
      assert.strictEqual(
        yield* StatementError.catchReason(wrapped, "UniqueViolation", handler),
        "handled UniqueViolation"
      )
      const passedOn = StatementError.catchReason(wrapped, "Syntax", handler)
      yield* failsWith(passedOn, "SqlError")
      const mine = StatementError.catchReason(Effect.fail("mine" as const), "UniqueViolation", handler)
      assert.strictEqual(failure(yield* Effect.exit(mine)), "mine")
    }))
})

describe("isRetryable", () => {
  it("of a StatementError: conflicts outside of transactions", () => {
    const reasons: ReadonlyArray<StatementError.StatementReason> = [
      "UniqueViolation",
      "ForeignKeyViolation",
      "NotNullViolation",
      "CheckViolation",
      "SerializationFailure",
      "Deadlock",
      "StalePlan",
      "LockTimeout",
      "StatementTimeout",
      "Cancelled",
      "Syntax",
      "Authentication",
      "Permission",
      "ReadOnly",
      "Unknown"
    ]
    const retryable = reasons.filter((reason) => statementError(reason).isRetryable)
    assert.deepStrictEqual(retryable, ["SerializationFailure", "Deadlock", "StalePlan", "LockTimeout"])
    assert.deepStrictEqual(reasons.filter((reason) => statementError(reason, true).isRetryable), [])
    assert.deepStrictEqual(reasons.filter(StatementError.isConflict), retryable)
  })

  it("of the others: where nothing was executed, or everything was rolled back", () => {
    const commitFailed = (reason: SqlPoolError.CommitFailed["reason"]) =>
      new SqlPoolError.CommitFailed({ pool, reason, cause })
    const errors = [
      [new SqlPoolError.NoSuchConnection({ pool, cause }), true],
      [new SqlPoolError.ConnectionLost({ pool, inTransaction: true, cause }), false],
      [new SqlPoolError.ConnectionLost({ pool, inTransaction: false, cause }), false],
      [new SqlPoolError.LeaseReleased({ pool, what: "lease" }), false],
      [commitFailed("SerializationFailure"), true],
      [commitFailed("Deadlock"), true],
      [commitFailed("UniqueViolation"), false],
      [commitFailed("RolledBack"), false],
      [new SqlPoolError.CommitUnknown({ pool, cause }), false],
      [new SqlPoolError.TransactionTimeout({ pool, afterMillis: 5 }), true],
      [new SqlPoolError.InvalidTransaction({ pool, option: "timeout", requirement: "must be" }), false]
    ] as const
    for (const [error, expected] of errors) {
      assert.strictEqual(error.isRetryable, expected, error.message)
      assert.isTrue(SqlPoolError.isSqlPoolError(error))
      assert.include(error.message, pool, error._tag)
    }
    assert.isTrue(SqlPoolError.isSqlPoolError(statementError("Syntax")))
    assert.isFalse(SqlPoolError.isSqlPoolError(new SqlError({ cause })))
    assert.isFalse(SqlPoolError.isSqlPoolError(undefined))
  })

  it("the message holds the driver's own words and says what became of the work", () => {
    assert.strictEqual(statementError("Syntax").message, "Syntax (X): the driver's own words")
    const lost = (inTransaction: boolean) => new SqlPoolError.ConnectionLost({ pool, inTransaction, cause }).message
    assert.include(lost(true), "rolled back")
    assert.include(lost(false), "may have been executed")
    assert.include(lost(false), cause.message)
  })
})
