import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { eventually, failsWith, idOf, kill, makePool, makeTable, running } from "./support.js"

describe("a connection that is killed on the server", () => {
  it.scopedLive("while it is idle: the next use gets another, and the process goes on", () =>
    Effect.gen(function*() {
      const { admin, pool, sql } = yield* makePool({ maxConnections: 1 })
      for (let i = 0; i < 3; i++) {
        const [row] = yield* sql.unsafe<{ readonly id: number }>(idOf)
        yield* kill(admin, row!.id)
        yield* eventually(pool.stats, ({ open }) => open === 0, "the pool notices")
      }
      assert.deepStrictEqual<unknown>(yield* sql`select 1 as one`, [{ one: 1 }])
      assert.strictEqual((yield* pool.stats).retired.lost, 3)
    }))

  it.scopedLive("in the middle of a statement: ConnectionLost, it may have been executed", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool({ maxConnections: 1 })
      const fiber = yield* Effect.fork(Effect.exit(pool.use((connection) => connection.query("select sleep(30)"))))
      yield* kill(admin, yield* running(admin, app, "sleep"))
      const error = yield* failsWith(Effect.flatten(Fiber.join(fiber)), "ConnectionLost")
      assert.isFalse(error.inTransaction)
      yield* sql`select 1`
    }))

  it.scopedLive("in the middle of a stream: ConnectionLost", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool({ maxConnections: 1 })
      yield* sql`select 1`
      const rows = pool.stream((connection) => connection.stream("select sleep(30)"))
      const fiber = yield* Effect.fork(Effect.exit(Stream.runDrain(rows)))
      yield* kill(admin, yield* running(admin, app, "sleep"))
      yield* failsWith(Effect.flatten(Fiber.join(fiber)), "ConnectionLost")
      yield* sql`select 1`
    }))

  it.scopedLive("in a lease, between two statements: the next is NoSuchConnection, and was not sent", () =>
    Effect.gen(function*() {
      const { admin, pool } = yield* makePool()
      yield* failsWith(
        pool.use((connection) =>
          Effect.gen(function*() {
            const [row] = yield* connection.query<{ readonly id: number }>(idOf)
            yield* kill(admin, row!.id)
            yield* eventually(pool.stats, ({ retired }) => retired.lost === 1, "the pool notices")
            yield* connection.query("select 1")
          })
        ),
        "NoSuchConnection"
      )
    }))

  for (const [when, waits] of [["noticed", true], ["not noticed yet", false]] as const) {
    it.scopedLive(`in a transaction, ${when}: ConnectionLost and no defect, nothing is kept, nothing runs elsewhere`, () =>
      Effect.gen(function*() {
        const { admin, names, pool, sql, table } = yield* makeTable({ maxConnections: 2 })
        const exit = yield* Effect.exit(pool.withTransaction(Effect.gen(function*() {
          yield* sql`insert into ${sql(table)} values (1, 'a')`
          const [row] = yield* sql.unsafe<{ readonly id: number }>(idOf)
          yield* kill(admin, row!.id)
          if (waits) yield* eventually(pool.stats, ({ retired }) => retired.lost === 1, "the pool notices")
          yield* Effect.ignore(sql`insert into ${sql(table)} values (2, 'b')`)
          yield* sql`insert into ${sql(table)} values (3, 'c')`
        })))
        const error = yield* failsWith(exit, "ConnectionLost")
        assert.isTrue(error.inTransaction)
        assert.include(error.message, "rolled back")
        assert.deepStrictEqual(yield* names, [])
      }))
  }

  it.scopedLive("in a nested transaction: ConnectionLost, typed, through every level", () =>
    Effect.gen(function*() {
      const { admin, names, pool, sql, table } = yield* makeTable()
      const exit = yield* Effect.exit(pool.withTransaction(pool.withTransaction(Effect.gen(function*() {
        yield* sql`insert into ${sql(table)} values (1, 'a')`
        const [row] = yield* sql.unsafe<{ readonly id: number }>(idOf)
        yield* kill(admin, row!.id)
        yield* sql`insert into ${sql(table)} values (2, 'b')`
      }))))
      yield* failsWith(exit, "ConnectionLost")
      assert.deepStrictEqual(yield* names, [])
    }))

  it.scopedLive("while a transaction computes, with nothing more to send: the COMMIT is not sent", () =>
    Effect.gen(function*() {
      const { admin, names, pool, sql, table } = yield* makeTable()
      const exit = yield* Effect.exit(pool.withTransaction(Effect.gen(function*() {
        yield* sql`insert into ${sql(table)} values (1, 'a')`
        const [row] = yield* sql.unsafe<{ readonly id: number }>(idOf)
        yield* kill(admin, row!.id)
        yield* eventually(pool.stats, ({ retired }) => retired.lost === 1, "the pool notices")
      })))
      yield* failsWith(exit, "ConnectionLost")
      assert.deepStrictEqual(yield* names, [])
    }))
})

describe("COMMIT", () => {
  /** `hold` holds back every commit of the server, until `release` or the end of the scope */
  const heldCommits = Effect.gen(function*() {
    const { admin } = yield* makePool()
    const release = admin("unlock tables")
    yield* Effect.addFinalizer(() => release)
    return { hold: admin("flush tables with read lock"), release }
  })

  it.scopedLive("whose connection is lost is CommitUnknown, and `retry` does not repeat it", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql, table } = yield* makeTable()
      let attempts = 0
      const error = yield* Effect.scoped(Effect.gen(function*() {
        const { hold } = yield* heldCommits
        const transaction = Effect.suspend(() => {
          attempts++
          return Effect.zipRight(sql`insert into ${sql(table)} values (1, 'a')`, hold)
        }).pipe(pool.transaction({ retry: Schedule.recurs(3) }))
        const fiber = yield* Effect.fork(Effect.exit(transaction))
        yield* kill(admin, yield* running(admin, app, "COMMIT"))
        return yield* failsWith(Effect.flatten(Fiber.join(fiber)), "CommitUnknown")
      }))
      assert.isFalse(error.isRetryable)
      assert.strictEqual(attempts, 1)
    }))

  it.scopedLive("that is not answered within commitTimeout is CommitUnknown, and its connection is given up", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql, table } = yield* makeTable({ commitTimeout: "150 millis" })
      yield* Effect.scoped(Effect.gen(function*() {
        const { hold } = yield* heldCommits
        const insert = sql`insert into ${sql(table)} values (1, 'a')`
        yield* failsWith(pool.withTransaction(Effect.zipRight(insert, hold)), "CommitUnknown")
        yield* kill(admin, yield* running(admin, app, "COMMIT"))
      }))
      assert.strictEqual((yield* pool.stats).retired.lost, 1)
      yield* sql`select 1`
    }))

  it.scopedLive("is not cancelled when its fiber is interrupted: the answer is waited for", () =>
    Effect.gen(function*() {
      const { admin, app, names, pool, sql, table } = yield* makeTable()
      yield* Effect.scoped(Effect.gen(function*() {
        const { hold, release } = yield* heldCommits
        const insert = sql`insert into ${sql(table)} values (1, 'a')`
        const fiber = yield* Effect.fork(pool.withTransaction(Effect.zipRight(insert, hold)))
        yield* running(admin, app, "COMMIT")
        const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* Effect.sleep("50 millis")
        yield* release
        assert.isTrue(Exit.isExit(yield* Fiber.join(interrupting)))
      }))
      assert.deepStrictEqual(yield* names, ["a"])
    }))

  it.scopedLive("by hand inside withTransaction: what follows is LeaseReleased and not sent", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable()
      yield* failsWith(
        pool.withTransaction(Effect.gen(function*() {
          yield* sql`insert into ${sql(table)} values (1, 'a')`
          yield* sql`commit`
          yield* sql`insert into ${sql(table)} values (2, 'b')`
        })),
        "LeaseReleased"
      )
      assert.deepStrictEqual(yield* names, ["a"])
    }))
})

/** the server knows better than its flags */
const refusedInTransaction = "set transaction isolation level repeatable read"

describe("a session", () => {
  it.scopedLive("with a transaction begun by hand and left open is rolled back before the next borrower", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable({ maxConnections: 1 })
      const insert = `insert into ${table} values (1, 'a')`
      yield* pool.use((connection) => Effect.zipRight(connection.query("begin"), connection.query(insert)))
      yield* sql`begin`
      yield* Effect.exit(
        pool.use((connection) =>
          Effect.all([connection.query("begin"), connection.query(insert), Effect.exit(connection.query("selec"))])
        )
      )
      yield* sql.unsafe(refusedInTransaction).unprepared
      assert.deepStrictEqual(yield* names, [])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("in which a failed statement has begun a transaction unseen is rolled back all the same", () =>
    Effect.gen(function*() {
      const { admin, names, pool, sql, table } = yield* makeTable({ maxConnections: 1 })
      yield* admin(`create procedure ${table}_p() begin
        start transaction; insert into ${table} values (1, 'a'); signal sqlstate '45000'; end`)
      yield* Effect.addFinalizer(() => admin(`drop procedure ${table}_p`))
      yield* Effect.exit(sql.unsafe(`call ${table}_p()`))
      yield* sql.unsafe(refusedInTransaction).unprepared
      assert.deepStrictEqual(yield* names, [])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("of a transaction that was interrupted is rolled back before the next borrower", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable({ maxConnections: 1 })
      const fiber = yield* Effect.fork(
        pool.withTransaction(Effect.zipRight(sql`insert into ${sql(table)} values (1, 'a')`, Effect.never))
      )
      yield* eventually(pool.stats, ({ leased }) => leased === 1, "it runs")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      yield* sql`insert into ${sql(table)} values (1, 'b')`
      assert.deepStrictEqual(yield* names, ["b"])
    }))

  it.scopedLive("that comes back clean costs no round trip", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      const questions = Effect.map(
        sql.unsafe<{ readonly Value: string }>("show session status like 'Questions'").unprepared,
        ([row]) => Number(row!.Value)
      )
      const before = yield* questions
      for (let i = 0; i < 10; i++) yield* sql`select 1`.unprepared
      yield* pool.withTransaction(sql`select 1`.unprepared)
      assert.strictEqual(yield* questions, before + 1 + 10 + 3)
    }))
})

describe("concurrent transactions", () => {
  it.scopedLive("nested in one another at the same time lose nothing", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable()
      const insert = (id: number) => sql`insert into ${sql(table)} values (${id}, ${`n${id}`})`
      yield* pool.withTransaction(Effect.forEach(
        [1, 2, 3, 4],
        (id) =>
          Effect.exit(pool.withTransaction(id === 2 ? Effect.zipRight(insert(id), Effect.fail("no")) : insert(id))),
        { concurrency: "unbounded" }
      ))
      assert.deepStrictEqual(yield* names, ["n1", "n3", "n4"])
    }))

  it.scopedLive("of two pools run on their own connections", () =>
    Effect.gen(function*() {
      const { names, sql: a, table } = yield* makeTable()
      const { sql: b } = yield* makePool()
      const insert = (sql: typeof a, id: number) => sql`insert into ${sql(table)} values (${id}, ${`n${id}`})`
      yield* a.withTransaction(Effect.gen(function*() {
        yield* insert(a, 1)
        yield* Effect.exit(b.withTransaction(Effect.all([insert(b, 2), insert(a, 3), Effect.fail("no")])))
      }))
      assert.deepStrictEqual(yield* names, ["n1", "n3"])
    }))
})
