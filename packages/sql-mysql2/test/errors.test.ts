import type { StatementReason } from "@dbpool/sql/StatementError"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { classify, ClientError, connectFault, Unsent } from "../src/internal/errors.js"
import { failsWith, isMysql, makeTable, server } from "./support.js"

describe("what the server refuses is a StatementError with the reason", () => {
  const refused = (statements: ReadonlyArray<string>, reason: StatementReason, code: string, constraint?: string) =>
    Effect.gen(function*() {
      const { admin, pool, table } = yield* makeTable({ maxConnections: 1 })
      yield* admin(`insert into ${table} values (1, 'a')`)
      const error = yield* failsWith(
        pool.use((connection) =>
          Effect.forEach(statements, (text) => connection.query(text.replaceAll("TABLE", table)), { discard: true })
        ),
        "StatementError"
      )
      assert.deepStrictEqual([error.reason, error.code, error.constraint], [reason, code, constraint])
      yield* pool.client`select 1`
      assert.strictEqual((yield* pool.stats).opened, 1)
    })

  it.scopedLive("UniqueViolation", () =>
    Effect.all([
      refused(["insert into TABLE values (1, 'b')"], "UniqueViolation", "1062", "PRIMARY"),
      refused(
        ["alter table TABLE add unique key by_name (name(20))", "insert into TABLE values (2, 'a')"],
        "UniqueViolation",
        "1062",
        "by_name"
      )
    ]))

  it.scopedLive("ForeignKeyViolation, of a child without a parent and of a parent with children", () =>
    Effect.gen(function*() {
      const { admin, pool, table } = yield* makeTable()
      yield* admin(
        `create table ${table}_child (p int, constraint ${table}_fk foreign key (p) references ${table} (id))`
      )
      yield* Effect.addFinalizer(() => admin(`drop table ${table}_child`))
      yield* admin(`insert into ${table} values (1, 'a')`)
      yield* admin(`insert into ${table}_child values (1)`)
      for (
        const [text, code] of [[`insert into ${table}_child values (9)`, "1452"], [`delete from ${table}`, "1451"]]
      ) {
        const error = yield* failsWith(pool.use((connection) => connection.query(text!)), "StatementError")
        assert.deepStrictEqual([error.reason, error.code, error.constraint], [
          "ForeignKeyViolation",
          code,
          `${table}_fk`
        ])
      }
    }))

  it.scopedLive("NotNullViolation, of a NULL and of nothing at all", () =>
    Effect.all([
      refused(["insert into TABLE values (null, 'a')"], "NotNullViolation", "1048"),
      refused(["insert into TABLE (name) values ('a')"], "NotNullViolation", "1364")
    ]))

  it.scopedLive("CheckViolation", () =>
    Effect.flatMap(isMysql, (isMysql) =>
      refused(
        ["alter table TABLE add constraint low check (id < 5)", "insert into TABLE values (5, 'e')"],
        "CheckViolation",
        isMysql ? "3819" : "4025",
        "low"
      )))

  it.scopedLive("StatementTimeout", () =>
    Effect.flatMap(isMysql, (isMysql) =>
      refused(
        [
          `set ${isMysql ? "max_execution_time = 20" : "max_statement_time = 0.02"}`,
          "select 1 from TABLE where sleep(5)"
        ],
        "StatementTimeout",
        isMysql ? "3024" : "1969"
      )))

  it.scopedLive("Syntax, unknown tables and columns too", () =>
    Effect.all([
      refused(["selec 1"], "Syntax", "1064"),
      refused(["select * from no_such_table"], "Syntax", "1146"),
      refused(["select no_such_column from TABLE"], "Syntax", "1054")
    ]))

  it.scopedLive("ReadOnly, of a transaction that the program itself made so: the connection goes on", () =>
    refused(["start transaction read only", "delete from TABLE"], "ReadOnly", "1792"))

  it.scopedLive("Unknown, with the code, for all else", () =>
    refused(["select (select 1 union select 2)"], "Unknown", "1242"))

  it.scopedLive("Permission", () =>
    Effect.gen(function*() {
      const { admin, app, pool, table } = yield* makeTable({ maxConnections: 1 })
      yield* admin(`revoke all on *.* from ${app}`)
      yield* admin(`grant create on ${(yield* server).database}.* to ${app}`)
      yield* pool.drain({ over: 0, hard: true })
      const error = yield* failsWith(
        pool.use((connection) => connection.query(`select * from ${table}`)),
        "StatementError"
      )
      assert.deepStrictEqual([error.reason, error.code], ["Permission", "1142"])
    }))

  it.scopedLive("LockTimeout, which undoes the statement alone: the transaction can go on", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable()
      yield* sql`insert into ${sql(table)} values (1, 'a')`
      const lock = `select * from ${table} where id = 1 for update`
      yield* pool.use((holder) =>
        Effect.gen(function*() {
          yield* holder.query("begin")
          yield* holder.query(lock)
          yield* pool.withTransaction(Effect.gen(function*() {
            yield* sql`insert into ${sql(table)} values (2, 'b')`
            const { cause } = yield* Effect.flip(sql.unsafe(`${lock} nowait`))
            assert.strictEqual((cause as { readonly reason: string }).reason, "LockTimeout")
            yield* sql`insert into ${sql(table)} values (3, 'c')`
          }))
        })
      )
      assert.deepStrictEqual(yield* names, ["a", "b", "c"])
    }))

  it.scopedLive("Deadlock, after which nothing of the transaction is sent any more", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable()
      yield* sql`insert into ${sql(table)} values (1, 'a'), (2, 'b')`
      let refused = 0
      const both = deadlock(2, (first, second, meet) =>
        Effect.gen(function*() {
          yield* sql`update ${sql(table)} set name = concat(name, 'x') where id = ${first}`
          yield* meet
          yield* Effect.ignore(sql`update ${sql(table)} set name = concat(name, 'y') where id = ${second}`)
          // the victim's would commit at once, and for good
          yield* Effect.tapError(
            sql`insert into ${sql(table)} values (${100 + first}, 'late')`,
            () => Effect.sync(() => refused++)
          )
        }).pipe(pool.withTransaction))
      const exits = yield* Effect.map(both, (all) => all.map((exit) => exit._tag).sort())
      assert.deepStrictEqual(exits, ["Failure", "Success"])
      assert.strictEqual(refused, 1)
      const all = yield* names
      assert.strictEqual(all.filter((name) => name === "late").length, 1)
      assert.deepStrictEqual(all.slice(0, 2).map((name) => name.length), [2, 2])
    }))

  it.scopedLive("Deadlock, which `retry` repeats: both transactions end well", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable()
      yield* sql`insert into ${sql(table)} values (1, ''), (2, '')`
      let attempts = 0
      const exits = yield* deadlock(2, (first, second, meet) =>
        Effect.suspend(() => {
          attempts++
          return Effect.all([
            sql`update ${sql(table)} set name = concat(name, 'a') where id = ${first}`,
            meet,
            sql`update ${sql(table)} set name = concat(name, 'b') where id = ${second}`
          ])
        }).pipe(pool.transaction({ retry: Schedule.recurs(5) })))
      assert.deepStrictEqual(exits.map((exit) => exit._tag), ["Success", "Success"])
      assert.isAtLeast(attempts, 3)
      for (const name of yield* names) assert.strictEqual([...name].sort().join(""), "ab")
    }))
})

/** as many as that, each of which takes its own row first and the next one's after all have theirs */
const deadlock = <A, E>(
  many: number,
  transaction: (first: number, second: number, meet: Effect.Effect<unknown>) => Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    const all = yield* Deferred.make<void>()
    let arrived = 0
    const meet = Effect.suspend(() => ++arrived === many ? Deferred.succeed(all, undefined) : Deferred.await(all))
    return yield* Effect.forEach(
      Array.from({ length: many }, (_, i) => i),
      (i) => Effect.exit(transaction(i + 1, (i + 1) % many + 1, meet)),
      { concurrency: "unbounded" }
    )
  })

describe("a server that has become read-only", () => {
  it.scopedLive("fails the statement as ReadOnly, and its connection is replaced: the next may lead to the primary", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql, table } = yield* makeTable({ maxConnections: 1 })
      yield* admin(`revoke super, ${(yield* isMysql) ? "connection_admin" : "read_only admin"} on *.* from ${app}`)
      yield* pool.drain({ over: 0 })
      yield* sql`select 1`
      const before = (yield* pool.stats).opened
      yield* Effect.acquireUseRelease(
        admin("set global read_only = 1"),
        () =>
          Effect.gen(function*() {
            const error = yield* failsWith(
              pool.use((connection) => connection.query(`delete from ${table}`)),
              "StatementError"
            )
            assert.deepStrictEqual([error.reason, error.code], ["ReadOnly", "1290"])
          }),
        () => admin("set global read_only = 0")
      )
      yield* sql`delete from ${sql(table)}`
      assert.strictEqual((yield* pool.stats).opened, before + 1)
    }))
})

describe("what an error means", () => {
  const serverError = (errno: number, sqlState = "HY000", message = "text") =>
    Object.assign(new Error(message), { errno, sqlState })

  it("a server that closes the connection does not say what became of the statement", () => {
    for (const errno of [1053, 1927, 1080, 1158]) assert.deepStrictEqual(classify(serverError(errno)), { _tag: "lost" })
    assert.deepStrictEqual(classify(new Error("read ECONNRESET")), { _tag: "lost" })
    assert.deepStrictEqual(classify(Object.assign(new Error("connect"), { errno: -111 })), { _tag: "lost" })
    assert.deepStrictEqual(classify(undefined), { _tag: "lost" })
    assert.deepStrictEqual(classify(new Unsent(new Error("gone"))), { _tag: "unsent" })
  })

  it("what a statement is refused for has one word in every dialect", () => {
    const reasons: ReadonlyArray<readonly [Error, StatementReason]> = [
      [serverError(3819, "HY000", "Check constraint 'low' is violated."), "CheckViolation"],
      [serverError(3024), "StatementTimeout"],
      [serverError(3572), "LockTimeout"],
      [serverError(1205), "LockTimeout"],
      [serverError(1020), "SerializationFailure"],
      [serverError(3101, "40000"), "SerializationFailure"],
      [serverError(1836), "ReadOnly"],
      [serverError(1290, "HY000", "running with the --read-only option"), "ReadOnly"],
      [serverError(1290, "HY000", "running with the --secure-file-priv option"), "Permission"],
      [serverError(1142, "42000"), "Permission"],
      [serverError(1045, "28000"), "Authentication"],
      [serverError(1226, "42000"), "Unknown"],
      [new ClientError(new Error("unsendable")), "Unknown"]
    ]
    for (const [error, reason] of reasons) {
      const failure = classify(error)
      assert.strictEqual(failure._tag === "refused" && failure.reason, reason, String(error))
    }
    const failure = classify(reasons[0]![0])
    assert.strictEqual(failure._tag === "refused" && failure.constraint, "low")
  })

  it("a refused connect is fatal when trying again cannot help", () => {
    const faults: ReadonlyArray<readonly [object, string]> = [
      [serverError(1040, "08004"), "refused"],
      [serverError(1203, "42000"), "refused"],
      [serverError(1226, "42000"), "refused"],
      [serverError(1045, "28000"), "fatal"],
      [serverError(1044, "42000"), "fatal"],
      [serverError(1049, "42000"), "fatal"],
      [serverError(1698, "28000"), "fatal"],
      [{ code: "HANDSHAKE_NO_SSL_SUPPORT", message: "Server does not support secure connection" }, "fatal"],
      [{ code: "HANDSHAKE_SSL_ERROR", message: "self-signed certificate" }, "fatal"],
      [serverError(1053), "transient"],
      [{ code: "ECONNREFUSED" }, "transient"],
      [{ code: "ENOTFOUND" }, "transient"],
      [new Error("the server closed the connection"), "transient"]
    ]
    for (const [error, fault] of faults) assert.strictEqual(connectFault(error), fault, JSON.stringify(error))
  })
})
