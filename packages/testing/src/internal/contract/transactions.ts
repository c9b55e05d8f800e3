import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { equal, errorOf, fails, failsWith, isTrue, refusedAs, timed, within } from "./checks.js"
import type { Client, Lab, Table } from "./lab.js"
import { group, row } from "./row.js"

/** two transactions that each read both rows and change one, in an order in which only one of them can be right */
const conflicting = (lab: Lab, client: Client, table: Table) =>
  Effect.gen(function*() {
    yield* lab.insert(client, table, 1, "0")
    const { sql } = client
    const bothHaveRead = yield* Deferred.make<void>()
    let readers = 0
    let attempts = 0
    const increment = Effect.gen(function*() {
      attempts++
      const [row] = yield* sql<{ readonly name: string }>`select name from ${sql(table.name)} where id = ${1}`
      if (++readers === 2) yield* Deferred.succeed(bothHaveRead, undefined)
      yield* Deferred.await(bothHaveRead)
      yield* sql`update ${sql(table.name)} set name = ${String(Number(row!.name) + 1)} where id = ${1}`
    })
    return { increment, attempts: () => attempts }
  })

/** @internal */
export const transactions = group("transactions", ["transactions"], [
  row("what succeeds is committed, and seen by others only then", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable()
      yield* client.sql.withTransaction(Effect.gen(function*() {
        yield* lab.insert(client, table, 1)
        const inside = yield* client.sql`select name from ${client.sql(table.name)}`
        yield* equal(inside, [{ name: "n1" }], "seen inside")
        yield* equal(yield* table.names, [], "seen outside")
      }))
      yield* equal(yield* table.names, ["n1"], "seen afterwards")
    })),
  row("what fails is rolled back, and its own error passes through", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable()
      const error = yield* errorOf(
        client.sql.withTransaction(Effect.zipRight(lab.insert(client, table, 1), Effect.fail("changed my mind"))),
        "the transaction"
      )
      yield* equal(error, "changed my mind", "the error")
      yield* equal(yield* table.names, [], "the table")
    })),
  row("what dies is rolled back, and its own defect passes through", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable()
      const exit = yield* Effect.exit(
        client.sql.withTransaction(Effect.zipRight(lab.insert(client, table, 1), Effect.die("bug")))
      )
      const defect = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.dieOption(exit.cause)) : undefined
      yield* equal(defect, "bug", "the defect")
      yield* equal(yield* table.names, [], "the table")
    })),
  row("a transaction is over on the server when its caller goes on", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 2 })
      for (let i = 1; i <= 5; i++) {
        yield* client.sql.withTransaction(lab.insert(client, table, i))
        yield* equal((yield* table.names).length, i, "rows that others see")
      }
    })),
  row("every statement inside runs on the one connection", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
      const transaction = client.sql.withTransaction(Effect.gen(function*() {
        yield* lab.insert(client, table, 1)
        yield* lab.one(client).pipe(Effect.zipRight(lab.insert(client, table, 2)))
        yield* client.sql.unsafe(lab.syntax.one).values
        yield* client.sql.unsafe(lab.syntax.one).raw
      }))
      yield* within(2000, transaction, "a transaction on a pool of one connection")
      yield* equal(yield* table.names, ["n1", "n2"], "the table")
    })),
  row("concurrent statements inside take turns, and all are kept", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable()
      const ids = Array.from({ length: 20 }, (_, i) => i + 1)
      yield* client.sql.withTransaction(
        Effect.forEach(ids, (id) => lab.insert(client, table, id), { concurrency: "unbounded" })
      )
      yield* equal(yield* table.names, ids.map((id) => `n${id}`), "the table")
    })),
  row(
    "a COMMIT that the server refuses is CommitFailed, and nothing is kept",
    ["deferredConstraints"],
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open()
        const table = yield* lab.table(lab.syntax.createDeferred)
        const twice = Effect.zipRight(lab.insert(client, table, 1, "same"), lab.insert(client, table, 2, "same"))
        const error = yield* failsWith(client.sql.withTransaction(twice), "CommitFailed", "a COMMIT that is refused")
        yield* equal(error.reason, "UniqueViolation", "the reason")
        yield* equal(yield* table.names, [], "the table")
      })
  ),
  row(
    "a COMMIT that the server answers by rolling back is CommitFailed, never success",
    ["abortedTransactions"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable()
        const swallowed = Effect.zipRight(
          lab.insert(client, table, 1),
          Effect.ignore(client.sql.unsafe("this is not a statement"))
        )
        const error = yield* failsWith(client.sql.withTransaction(swallowed), "CommitFailed", "COMMIT after a failure")
        yield* equal(error.reason, "RolledBack", "the reason")
        yield* equal(yield* table.names, [], "the table")
      })
  ),
  row("a BEGIN that is never answered is given up with its caller", (lab) =>
    Effect.gen(function*() {
      const { client, proxy } = yield* lab.openProxied({ maxConnections: 1, resetTimeout: "300 millis" })
      yield* lab.one(client)
      yield* proxy.deaf("toClient")
      const [took] = yield* timed(
        within(3000, Effect.timeoutOption(client.sql.withTransaction(lab.one(client)), "150 millis"), "the timeout")
      )
      yield* isTrue(took < 1000, `a timeout of 150 ms took ${took} ms`)
      yield* proxy.hear
      yield* proxy.cut
      yield* within(3000, lab.one(client), "the next statement")
    })),
  row("a statement that a transaction leaves behind is never sent outside of it", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable()
      const late = yield* client.sql.withTransaction(
        Effect.forkDaemon(Effect.zipRight(Effect.sleep("50 millis"), lab.insert(client, table, 1)))
      )
      yield* failsWith(Fiber.join(late), "LeaseReleased", "the late statement")
      yield* equal(yield* table.names, [], "the table")
    })),
  row(
    "a raw COMMIT inside ends the transaction: what follows in its scope is not sent",
    ["rawTransactions"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable()
        const raw = Effect.gen(function*() {
          yield* lab.insert(client, table, 1)
          yield* client.sql.unsafe("COMMIT")
          yield* lab.insert(client, table, 2)
        })
        yield* failsWith(client.sql.withTransaction(raw), ["LeaseReleased", "CommitFailed"], "the transaction")
        yield* equal(yield* table.names, ["n1"], "the table")
      })
  ),
  row(
    "a BEGIN by hand that nobody ended is rolled back before the next borrower",
    ["rawTransactions"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
        yield* Effect.scoped(Effect.gen(function*() {
          const { connection } = yield* lab.hold(client)
          yield* connection.executeUnprepared(lab.syntax.begin, [], undefined)
          yield* connection.executeUnprepared(`insert into ${table.name} (id, name) values (1, 'left')`, [], undefined)
        }))
        yield* lab.insert(client, table, 2)
        yield* equal(yield* table.names, ["n2"], "the table")
      })
  ),
  row(
    "the isolation level reaches the server, and ends with the transaction",
    ["pool", "isolation"],
    (lab) =>
      Effect.gen(function*() {
        const { pool, sql } = yield* lab.open({ maxConnections: 1 })
        const level = Effect.map(sql.unsafe<{ readonly level: string }>(lab.syntax.isolation), ([row]) => row!.level)
        const before = yield* level
        yield* equal(yield* pool.transaction({ isolation: "serializable" })(level), "serializable", "inside")
        yield* equal(yield* level, before, "afterwards")
      })
  ),
  row(
    "a read-only transaction cannot write, and the next one can",
    ["pool", "readOnly"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
        const write = lab.insert(client, table, 1)
        yield* refusedAs(client.pool.transaction({ accessMode: "read only" })(write), "ReadOnly", "a write in it")
        yield* client.pool.withTransaction(write)
        yield* equal(yield* table.names, ["n1"], "the table")
      })
  ),
  row(
    "a transaction that takes longer than its own timeout is rolled back with TransactionTimeout",
    ["pool"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 1 })
        const slow = Effect.zipRight(lab.insert(client, table, 1), Effect.never)
        const [took, exit] = yield* timed(within(3000, client.pool.transaction({ timeout: "150 millis" })(slow), "it"))
        yield* failsWith(exit, "TransactionTimeout", "the transaction")
        yield* isTrue(took < 700, `a timeout of 150 ms took ${took} ms`)
        yield* lab.one(client)
        yield* equal(yield* table.names, [], "the table")
      })
  ),
  row("a conflict is told as one, and `retry` repeats the transaction until it is right", [
    "pool",
    "isolation",
    "rowLocks"
  ], (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 3 })
      const { attempts, increment } = yield* conflicting(lab, client, table)
      const increased = client.pool.transaction({
        isolation: "serializable",
        retry: Schedule.spaced("5 millis").pipe(Schedule.intersect(Schedule.recurs(20)))
      })(increment)
      yield* within(5000, Effect.all([increased, increased], { concurrency: "unbounded" }), "both")
      yield* equal(yield* table.names, ["2"], "the counter")
      yield* isTrue(attempts() >= 3, `only ${attempts()} attempts`)
    })),
  row(
    "without `retry` a conflict fails with an error that says it is one",
    ["pool", "isolation", "rowLocks"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 3 })
        const { increment } = yield* conflicting(lab, client, table)
        const once = Effect.exit(client.pool.transaction({ isolation: "serializable" })(increment))
        const exits = yield* within(5000, Effect.all([once, once], { concurrency: "unbounded" }), "both")
        const lost = exits.filter(Exit.isFailure)
        if (lost.length !== 1) return yield* fails("wrong result", `${lost.length} of two failed`)
        const error = yield* failsWith(lost[0]!, ["StatementError", "CommitFailed"], "the one that lost")
        yield* isTrue(error.reason === "SerializationFailure" || error.reason === "Deadlock", `it says ${error.reason}`)
        yield* equal(yield* table.names, ["1"], "the counter")
      })
  ),
  row("a caller's own error is not repeated by `retry`", ["pool"], (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open()
      let attempts = 0
      const failing = Effect.suspend(() => {
        attempts++
        return Effect.fail("no")
      })
      yield* Effect.exit(client.pool.transaction({ retry: Schedule.recurs(3) })(failing))
      yield* equal(attempts, 1, "attempts")
    })),
  row("options on a nested transaction are refused before anything is sent", ["pool"], (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable()
      const nested = client.pool.transaction({ timeout: "1 second" })(lab.insert(client, table, 1))
      yield* failsWith(client.pool.withTransaction(nested), "InvalidTransaction", "the nested one")
      yield* equal(yield* table.names, [], "the table")
    }))
])
