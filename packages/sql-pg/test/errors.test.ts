import type { StatementReason } from "@dbpool/sql/StatementError"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import pg from "pg"
import { classify, connectFault } from "../src/internal/errors.js"
import { failsWith, makePool, makeTable, running, server, unique } from "./support.js"

describe("what the server refuses is a StatementError with the reason", () => {
  /** what a statement is refused for, in a transaction so that nothing is left of what comes before it */
  const refused = (statements: ReadonlyArray<string>, reason: StatementReason, code: string, constraint?: string) =>
    Effect.gen(function*() {
      const { admin, pool, table } = yield* makeTable({ maxConnections: 1 })
      yield* admin(`insert into ${table} values (1, 'a')`)
      const error = yield* failsWith(
        pool.use((connection) =>
          Effect.forEach(
            ["begin", ...statements],
            (text) => connection.query(text.replaceAll("TABLE", table)),
            { discard: true }
          )
        ),
        "StatementError"
      )
      assert.deepStrictEqual([error.reason, error.code], [reason, code])
      assert.isTrue(error.inTransaction)
      if (constraint !== undefined) assert.strictEqual(error.constraint, constraint.replace("TABLE", table))
      assert.instanceOf(error.cause, pg.DatabaseError)
      yield* pool.client`select 1`
      assert.strictEqual((yield* pool.stats).opened, 1)
    })

  it.scopedLive("UniqueViolation", () =>
    refused(["insert into TABLE values (1)"], "UniqueViolation", "23505", "TABLE_pkey"))

  it.scopedLive("ForeignKeyViolation", () =>
    refused(
      [
        "create temp table parent (id int primary key)",
        "create temp table child (p int constraint fk references parent)",
        "insert into child values (9)"
      ],
      "ForeignKeyViolation",
      "23503",
      "fk"
    ))

  it.scopedLive("ForeignKeyViolation of ON DELETE RESTRICT, which has a code of its own since PostgreSQL 18", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool()
      const error = yield* failsWith(
        pool.use((connection) =>
          Effect.forEach([
            "begin",
            "create temp table parent (id int primary key)",
            "create temp table child (p int references parent on delete restrict)",
            "insert into parent values (1)",
            "insert into child values (1)",
            "delete from parent"
          ], (text) => connection.query(text))
        ),
        "StatementError"
      )
      assert.strictEqual(error.reason, "ForeignKeyViolation")
    }))

  it.scopedLive("NotNullViolation", () => refused(["insert into TABLE values (null)"], "NotNullViolation", "23502"))

  it.scopedLive("CheckViolation", () =>
    refused(
      ["alter table TABLE add constraint low check (id < 5)", "insert into TABLE values (5)"],
      "CheckViolation",
      "23514",
      "low"
    ))

  it.scopedLive("CheckViolation of an exclusion constraint", () =>
    refused(
      [
        "create temp table spans (r int4range, exclude using gist (r with &&))",
        "insert into spans values ('[1,3)'), ('[2,4)')"
      ],
      "CheckViolation",
      "23P01"
    ))

  it.scopedLive("StatementTimeout", () =>
    refused(["set local statement_timeout = '20ms'", "select pg_sleep(5)"], "StatementTimeout", "57014"))

  it.scopedLive("Syntax, unknown tables and columns too", () =>
    Effect.all([
      refused(["selec 1"], "Syntax", "42601"),
      refused(["select * from no_such_table"], "Syntax", "42P01"),
      refused(["select no_such_column from TABLE"], "Syntax", "42703")
    ]))

  it.scopedLive("ReadOnly", () => refused(["set transaction read only", "delete from TABLE"], "ReadOnly", "25006"))

  it.scopedLive("Unknown, with the code, for all else", () => refused(["select 1 / 0"], "Unknown", "22012"))

  it.scopedLive("Permission", () =>
    Effect.gen(function*() {
      const { admin, pool, table } = yield* makeTable()
      const role = unique("role")
      yield* admin(`create role ${role}`)
      yield* Effect.addFinalizer(() => admin(`drop role ${role}`))
      const error = yield* failsWith(
        pool.use((connection) =>
          Effect.zipRight(
            connection.query(`begin; set local role ${role}`),
            connection.query(`select * from ${table}`)
          )
        ),
        "StatementError"
      )
      assert.deepStrictEqual([error.reason, error.code], ["Permission", "42501"])
    }))

  it.scopedLive("LockTimeout, and Cancelled by somebody else", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql, table } = yield* makeTable()
      yield* sql`insert into ${sql(table)} values (1, 'a')`
      const lock = `select * from ${table} for update`
      yield* pool.use((holder) =>
        Effect.gen(function*() {
          yield* holder.query("begin")
          yield* holder.query(lock)
          const busy = yield* failsWith(pool.use((other) => other.query(`${lock} nowait`)), "StatementError")
          assert.deepStrictEqual([busy.reason, busy.isRetryable], ["LockTimeout", true])
          const waiter = yield* Effect.fork(Effect.exit(pool.use((other) => other.query(`/* waiter */ ${lock}`))))
          const pid = yield* running(admin, app, "waiter")
          yield* admin("select pg_cancel_backend($1)", [pid])
          const cancelled = yield* failsWith(Effect.flatten(Fiber.join(waiter)), "StatementError")
          assert.strictEqual(cancelled.reason, "Cancelled")
        })
      )
    }))

  it.scopedLive("SerializationFailure, which `retry` repeats until it succeeds", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable()
      yield* sql`insert into ${sql(table)} values (1, '')`
      const append = (letter: string) => sql`update ${sql(table)} set name = name || ${letter} where id = 1`
      let attempts = 0
      yield* Effect.gen(function*() {
        yield* sql`select * from ${sql(table)}`
        // somebody else gets in between, the first time
        if (++attempts === 1) yield* pool.use((other) => other.query(`update ${table} set name = name || 'x'`))
        yield* append("y")
      }).pipe(pool.transaction({ isolation: "repeatable read", retry: Schedule.recurs(3) }))
      assert.strictEqual(attempts, 2)
      assert.deepStrictEqual(yield* names, ["xy"])
    }))

  it.scopedLive("Deadlock, which `retry` repeats: both transactions end well", () =>
    Effect.gen(function*() {
      const { url } = yield* server
      const { names, pool, sql, table } = yield* makeTable({
        url: Redacted.make(`${url}?options=-c%20deadlock_timeout%3D20ms`)
      })
      yield* sql`insert into ${sql(table)} values (1, ''), (2, '')`
      const touch = (id: number, letter: string) =>
        sql`update ${sql(table)} set name = name || ${letter} where id = ${id}`
      let [attempts, holding] = [0, 0]
      const bothHold = yield* Deferred.make<void>()
      const meet = Effect.suspend(() =>
        ++holding === 2 ? Deferred.succeed(bothHold, undefined) : Deferred.await(bothHold)
      )
      const both = (first: number, second: number, letter: string) =>
        Effect.suspend(() => {
          attempts++
          return Effect.all([touch(first, letter), meet, touch(second, letter)])
        }).pipe(pool.transaction({ retry: Schedule.recurs(5) }))
      yield* Effect.all([both(1, 2, "a"), both(2, 1, "b")], { concurrency: 2 })
      assert.isAtLeast(attempts, 3)
      for (const name of yield* names) assert.strictEqual([...name].sort().join(""), "ab")
    }))
})

describe("what an error means", () => {
  const serverError = (code: string, severity = "ERROR", text = "text") =>
    Object.assign(new pg.DatabaseError(text, 4, "error"), { code, severity })

  it("after FATAL nobody knows what became of the statement, but for a session that was idle", () => {
    assert.deepStrictEqual(classify(serverError("57P01", "FATAL")), { _tag: "lost" })
    assert.deepStrictEqual(classify(serverError("25P03", "FATAL")), { _tag: "lost" })
    assert.deepStrictEqual(classify(serverError("25P04", "FATAL")), { _tag: "lost" })
    assert.deepStrictEqual(classify(serverError("57P05", "FATAL")), { _tag: "unsent" })
    assert.deepStrictEqual(classify(serverError("XX000", "PANIC")), { _tag: "lost" })
    assert.deepStrictEqual(classify(new Error("read ECONNRESET")), { _tag: "lost" })
    assert.deepStrictEqual(classify(undefined), { _tag: "lost" })
  })

  it("a session that the server ends is known by the code, in whatever language it says FATAL", () => {
    for (const code of ["57P01", "57P02", "57P03", "57P04", "25P03", "25P04"]) {
      assert.deepStrictEqual(classify(serverError(code, "ВАЖНО")), { _tag: "lost" }, code)
    }
    assert.deepStrictEqual(classify(serverError("57P05", "致命错误")), { _tag: "unsent" })
  })

  it("an Authentication error of a statement is one", () => {
    const failure = classify(serverError("28000"))
    assert.strictEqual(failure._tag === "refused" && failure.reason, "Authentication")
  })

  it("a refused connect is fatal when trying again cannot help", () => {
    const faults = {
      "28P01": "fatal",
      "28000": "fatal",
      "3D000": "fatal",
      "42501": "fatal",
      "42704": "fatal",
      "22023": "fatal",
      DEPTH_ZERO_SELF_SIGNED_CERT: "fatal",
      UNABLE_TO_VERIFY_LEAF_SIGNATURE: "fatal",
      ERR_TLS_CERT_ALTNAME_INVALID: "fatal",
      "53300": "refused",
      "57P03": "transient",
      ECONNREFUSED: "transient",
      ENOTFOUND: "transient"
    }
    for (const [code, fault] of Object.entries(faults)) assert.strictEqual(connectFault({ code }), fault, code)
    assert.strictEqual(connectFault(new Error("SASL: client password must be a string")), "fatal")
    assert.strictEqual(connectFault(new Error("Connection terminated unexpectedly")), "transient")
  })
})
