import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { Admin } from "./support.js"
import { backends, eventually, failsWith, kill, makePool, makeTable, pidOf, running, unique } from "./support.js"

/** the COMMIT of a transaction that wrote to the table takes so many seconds: a deferred trigger sleeps in it */
const slowCommit = (admin: Admin, table: string, seconds: number) =>
  Effect.gen(function*() {
    const name = unique("slow_commit")
    yield* admin(`create function ${name}() returns trigger language plpgsql as
      $$ begin perform pg_sleep(${seconds}); return null; end $$`)
    yield* Effect.addFinalizer(() => admin(`drop function ${name} cascade`))
    yield* admin(`create constraint trigger ${name} after insert on ${table}
      deferrable initially deferred for each row execute function ${name}()`)
  })

describe("a backend that is killed", () => {
  it.scopedLive("while its connection is idle: the next use gets another, and the process goes on", () =>
    Effect.gen(function*() {
      const { admin, pool, sql } = yield* makePool({ maxConnections: 1 })
      for (let i = 0; i < 3; i++) {
        const [row] = yield* sql<{ readonly pid: number }>`select pg_backend_pid() as pid`
        yield* kill(admin, row!.pid)
        yield* eventually(pool.stats, ({ open }) => open === 0, "the pool notices")
      }
      assert.deepStrictEqual(yield* sql`select 1 as one`, [{ one: 1 }] as never)
      assert.strictEqual((yield* pool.stats).retired.lost, 3)
    }))

  it.scopedLive("in the middle of a statement: ConnectionLost, it may have been executed", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool({ maxConnections: 1 })
      yield* sql`select 1`
      const fiber = yield* Effect.fork(Effect.exit(pool.use((connection) => connection.query("select pg_sleep(30)"))))
      yield* kill(admin, yield* running(admin, app, "pg_sleep"))
      const error = yield* failsWith(Effect.flatten(Fiber.join(fiber)), "ConnectionLost")
      assert.isFalse(error.inTransaction)
      assert.include(error.message, "terminating connection")
      yield* sql`select 1`
    }))

  it.scopedLive("in the middle of a stream: ConnectionLost", () =>
    Effect.gen(function*() {
      const { admin, pool, sql } = yield* makePool({ maxConnections: 1 })
      yield* sql`select 1`
      const rows = pool.stream((connection) =>
        connection.stream<{ readonly pid: number }>("select pg_backend_pid() as pid from generate_series(1, 1000)")
      )
      const consumed = Stream.runForEach(rows, ({ pid }) => kill(admin, pid))
      yield* failsWith(consumed, "ConnectionLost")
      yield* sql`select 1`
    }))

  it.scopedLive("in a lease, between two statements: the next is NoSuchConnection, and was not sent", () =>
    Effect.gen(function*() {
      const { admin, pool } = yield* makePool()
      const error = yield* failsWith(
        pool.use((connection) =>
          Effect.gen(function*() {
            const [row] = yield* connection.query<{ readonly pid: number }>(pidOf)
            yield* kill(admin, row!.pid)
            yield* eventually(pool.stats, ({ retired }) => retired.lost === 1, "the pool notices")
            yield* connection.query("select 1")
          })
        ),
        "NoSuchConnection"
      )
      assert.include(error.message, "terminating connection")
    }))

  for (const [when, waits] of [["noticed", true], ["not noticed yet", false]] as const) {
    it.scopedLive(`in a transaction, ${when}: ConnectionLost, nothing is kept and nothing runs elsewhere`, () =>
      Effect.gen(function*() {
        const { admin, names, pool, sql, table } = yield* makeTable({ maxConnections: 2 })
        const exit = yield* Effect.exit(pool.withTransaction(Effect.gen(function*() {
          yield* sql`insert into ${sql(table)} values (1, 'a')`
          const [row] = yield* sql<{ readonly pid: number }>`select pg_backend_pid() as pid`
          yield* kill(admin, row!.pid)
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
        const [row] = yield* sql<{ readonly pid: number }>`select pg_backend_pid() as pid`
        yield* kill(admin, row!.pid)
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
        const [row] = yield* sql<{ readonly pid: number }>`select pg_backend_pid() as pid`
        yield* kill(admin, row!.pid)
        yield* eventually(pool.stats, ({ retired }) => retired.lost === 1, "the pool notices")
      })))
      yield* failsWith(exit, "ConnectionLost")
      assert.deepStrictEqual(yield* names, [])
    }))

  it.scopedLive("in its COMMIT: CommitUnknown, and `retry` does not repeat it", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql, table } = yield* makeTable()
      yield* slowCommit(admin, table, 30)
      let attempts = 0
      const fiber = yield* Effect.fork(Effect.exit(
        Effect.suspend(() => {
          attempts++
          return sql`insert into ${sql(table)} values (1, 'a')`
        }).pipe(pool.transaction({ retry: Schedule.recurs(3) }))
      ))
      yield* kill(admin, yield* running(admin, app, "COMMIT"))
      const error = yield* failsWith(Effect.flatten(Fiber.join(fiber)), "CommitUnknown")
      assert.isFalse(error.isRetryable)
      assert.strictEqual(attempts, 1)
    }))
})

describe("COMMIT", () => {
  it.scopedLive("that is not answered within commitTimeout is CommitUnknown, and its connection is given up", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql, table } = yield* makeTable({ commitTimeout: "150 millis" })
      yield* slowCommit(admin, table, 30)
      yield* failsWith(pool.withTransaction(sql`insert into ${sql(table)} values (1, 'a')`), "CommitUnknown")
      assert.strictEqual((yield* pool.stats).retired.lost, 1)
      yield* sql`select 1`
      // the server does not look at its socket while it sleeps
      for (const { pid, query } of yield* backends(admin, app)) if (query === "COMMIT") yield* kill(admin, pid)
    }))

  it.scopedLive("is not cancelled when its fiber is interrupted: the answer is waited for", () =>
    Effect.gen(function*() {
      const { admin, app, names, pool, sql, table } = yield* makeTable()
      yield* slowCommit(admin, table, 0.3)
      const fiber = yield* Effect.fork(pool.withTransaction(sql`insert into ${sql(table)} values (1, 'a')`))
      yield* running(admin, app, "COMMIT")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* names, ["a"])
    }))

  it.scopedLive("is not cancelled when the pool is closed: it gets until closeTimeout", () =>
    Effect.gen(function*() {
      const { admin, app, close, names, pool, sql, table } = yield* makeTable({
        shutdownTimeout: "20 millis",
        closeTimeout: "5 seconds"
      })
      yield* slowCommit(admin, table, 0.3)
      const fiber = yield* Effect.fork(pool.withTransaction(sql`insert into ${sql(table)} values (1, 'a')`))
      yield* running(admin, app, "COMMIT")
      yield* close
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* names, ["a"])
    }))

  it.scopedLive("that violates a deferred constraint is CommitFailed with the reason", () =>
    Effect.gen(function*() {
      const { admin, names, pool, sql, table } = yield* makeTable({ maxConnections: 1 })
      yield* admin(`alter table ${table} add constraint ${table}_name unique (name) deferrable initially deferred`)
      const error = yield* failsWith(
        pool.withTransaction(sql`insert into ${sql(table)} values (1, 'a'), (2, 'a')`),
        "CommitFailed"
      )
      assert.strictEqual(error.reason, "UniqueViolation")
      assert.deepStrictEqual(yield* names, [])
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("of a transaction that has failed, and whose error was swallowed, is CommitFailed: RolledBack", () =>
    Effect.gen(function*() {
      const { names, pool, sql, table } = yield* makeTable()
      const insert = sql`insert into ${sql(table)} values (1, 'a')`
      const error = yield* failsWith(
        pool.withTransaction(Effect.zipRight(insert, Effect.ignore(insert))),
        "CommitFailed"
      )
      assert.strictEqual(error.reason, "RolledBack")
      assert.deepStrictEqual(yield* names, [])
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
      const [row] = yield* sql<{ readonly same: boolean }>`select now() = statement_timestamp() as same`
      assert.isTrue(row!.same)
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
