import * as PoolSchedule from "@dbpool/core/PoolSchedule"
import { connectionOf } from "@dbpool/sql/Driver"
import type { SqlConnection } from "@dbpool/sql/SqlConnection"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { PgConnection } from "../src/internal/connection.js"
import { PreparedStatements } from "../src/internal/prepared.js"
import { failsWith, makePool, makeTable } from "./support.js"

const one = { maxConnections: 1 }

/** what the server has prepared for a connection */
const prepared = (connection: SqlConnection) =>
  Effect.map(
    connection.query<{ readonly statement: string }>("select statement from pg_prepared_statements order by name"),
    (rows) => rows.map(({ statement }) => statement)
  )

const twice = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.zipRight(self, self)

describe("a statement with parameters", () => {
  it.scopedLive("is prepared the second time it is run on a connection, whatever becomes of its rows", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool(one)
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          const text = "select $1::int as n"
          yield* connection.query(text, [1])
          assert.deepStrictEqual(yield* prepared(connection), [])
          assert.deepStrictEqual(yield* connection.values(text, [2]), [[2]])
          assert.deepStrictEqual(yield* prepared(connection), [text])
          assert.deepStrictEqual(yield* connection.query(text, [3]), [{ n: 3 }])
          assert.deepInclude(yield* connection.raw(text, [4]), { command: "SELECT", rows: [{ n: 4 }] })
          assert.deepStrictEqual(yield* prepared(connection), [text])
        })
      )
    }))

  it.scopedLive("is not when it is unprepared or a stream; nor is one without parameters", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool(one)
      yield* twice(sql`select ${1}::int`.unprepared)
      yield* twice(Stream.runDrain(sql`select ${2}::int`.stream))
      yield* twice(sql`select 3`)
      assert.deepStrictEqual(yield* pool.use(prepared), [])
      yield* twice(sql`select ${4}::int`)
      assert.deepStrictEqual(yield* pool.use(prepared), ["select $1::int"])
    }))

  it.scopedLive("is never prepared with `preparedStatements: 0`, nor behind a transaction pooler", () =>
    Effect.gen(function*() {
      for (const options of [{ preparedStatements: 0 }, { transactionPooling: true }]) {
        const { pool } = yield* makePool({ ...one, ...options })
        yield* pool.use((connection) =>
          Effect.gen(function*() {
            yield* Effect.repeatN(connection.query("select $1::int", [1]), 4)
            assert.deepStrictEqual(yield* prepared(connection), [])
          })
        )
      }
    }))

  it.scopedLive("one by one they stay within the bound: those used last are kept, and the server drops the others", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool({ ...one, preparedStatements: 3 })
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          for (let n = 0; n < 50; n++) {
            yield* twice(connection.query(`select $1::int as n${n}`, [n]))
            yield* connection.query("select $1::int as often", [n])
            assert.isAtMost((yield* prepared(connection)).length, 3)
          }
          assert.sameMembers([...yield* prepared(connection)], [
            "select $1::int as often",
            "select $1::int as n49",
            "select $1::int as n48"
          ])
        })
      )
    }))

  it.scopedLive("costs one round trip, even where another one is dropped for it", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool({ ...one, preparedStatements: 1 })
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          let trips = 0
          const { client } = connectionOf(connection) as PgConnection
          const wire = (client as unknown as { readonly connection: NodeJS.EventEmitter }).connection
          wire.on("readyForQuery", () => trips++)
          for (let n = 0; n < 10; n++) yield* twice(connection.query(`select $1::int as n${n}`, [n]))
          assert.strictEqual(trips, 20)
        })
      )
    }))
})

describe("a prepared statement", () => {
  it.scopedLive("survives changes of its table", () =>
    Effect.gen(function*() {
      const { admin, pool, sql, table } = yield* makeTable(one)
      yield* admin(`insert into ${table} values (1, 'one')`)
      const select = sql`select * from ${sql(table)} where id = ${1}`
      yield* twice(select)
      yield* admin(`alter table ${table} add column more int default 5`)
      assert.deepStrictEqual(yield* select, [{ id: 1, name: "one", more: 5 }] as never)
      yield* admin(`alter table ${table} alter column more type text`)
      assert.deepStrictEqual(yield* select, [{ id: 1, name: "one", more: "5" }] as never)
      assert.deepStrictEqual((yield* pool.use(prepared)).length, 1)
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("that became stale inside a transaction fails it, typed; repeated as a whole it succeeds", () =>
    Effect.gen(function*() {
      const { admin, pool, sql, table } = yield* makeTable(one)
      const select = sql`select * from ${sql(table)} where id = ${1}`
      const change = admin(`alter table ${table} add column if not exists more int`)
      yield* twice(select)
      yield* change
      const error = yield* failsWith(pool.withTransaction(select), "StatementError")
      assert.deepStrictEqual([error.reason, error.code, error.isRetryable], ["StalePlan", "0A000", false])
      assert.deepStrictEqual(yield* pool.withTransaction(select), [])
      yield* admin(`alter table ${table} drop column more`)
      let attempts = 0
      yield* Effect.zipRight(Effect.sync(() => attempts++), select).pipe(
        pool.transaction({ retry: PoolSchedule.conflict })
      )
      assert.strictEqual(attempts, 2)
    }))

  it.scopedLive("that the user's own DISCARD ALL or DEALLOCATE ALL has dropped is prepared anew, in transactions too", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool(one)
      for (const discard of ["DISCARD ALL", "deallocate all", "select 1; deallocate all"]) {
        yield* pool.use((connection) =>
          Effect.gen(function*() {
            const select = connection.query("select $1::int as n", [1])
            yield* twice(select)
            yield* connection.query(discard)
            yield* connection.query("begin")
            assert.deepStrictEqual(yield* twice(select), [{ n: 1 }])
            yield* connection.query("commit")
            assert.strictEqual((yield* prepared(connection)).length, 1)
          })
        )
      }
    }))

  it.scopedLive("that vanished without a sign is prepared anew", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool(one)
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          const select = connection.query("select $1::int as n", [1])
          yield* twice(select)
          yield* connection.query("do $$ begin execute 'deallocate all'; end $$")
          assert.deepStrictEqual(yield* select, [{ n: 1 }])
          assert.strictEqual((yield* prepared(connection)).length, 1)
        })
      )
    }))

  it.scopedLive("gives way to a name that is taken already", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool(one)
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          yield* connection.query("prepare dbpool_1 as select 'mine'")
          assert.deepStrictEqual(yield* twice(connection.query("select $1::int as n", [1])), [{ n: 1 }])
          assert.deepStrictEqual(yield* connection.values("execute dbpool_1"), [["mine"]])
        })
      )
    }))

  it.scopedLive("goes on after a parameter that cannot be serialised, in transactions too", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool(one)
      const unserialisable = {
        toPostgres: () => {
          throw new Error("no")
        }
      }
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          const select = (value: unknown) => connection.query("select $1::text as t", [value])
          yield* twice(select("a"))
          yield* connection.query("begin")
          yield* failsWith(select(unserialisable), "StatementError")
          assert.deepStrictEqual(yield* twice(select("b")), [{ t: "b" }])
          yield* connection.query("commit")
        })
      )
    }))

  it.scopedLive("that the server refuses for what it says is not run twice", () =>
    Effect.gen(function*() {
      const { names, pool, table } = yield* makeTable(one)
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          const insert = connection.query(`insert into ${table} values ($1, 'a')`, [1])
          yield* insert
          const error = yield* failsWith(insert, "StatementError")
          assert.strictEqual(error.reason, "UniqueViolation")
        })
      )
      assert.deepStrictEqual(yield* names, ["a"])
    }))
})

describe("the names of a connection", () => {
  it("are bounded, and so are the texts that were seen once", () => {
    const names = new PreparedStatements(100)
    for (let n = 0; n < 10_000; n++) {
      names.nameOf(`select ${n}`)
      if (n % 2 === 0) names.nameOf(`select ${n}`)
      names.takeObsolete()
    }
    assert.deepStrictEqual(names.size, [100, 100])
  })

  it("are not given to texts so long that a program must have made them", () => {
    const names = new PreparedStatements(100)
    const text = `select ${"x".repeat(20_000)}`
    assert.deepStrictEqual([names.nameOf(text), names.nameOf(text), names.size], [undefined, undefined, [0, 0]])
  })

  it("stay with what is run often, however much is run once", () => {
    const names = new PreparedStatements(2)
    names.nameOf("often")
    const name = names.nameOf("often")
    for (let n = 0; n < 100; n++) names.nameOf(`once ${n}`)
    assert.isDefined(name)
    assert.strictEqual(names.nameOf("often"), name)
  })
})
