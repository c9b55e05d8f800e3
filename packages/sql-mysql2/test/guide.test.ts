/** What the guide of ApsaraDB RDS to DBUtils sets, by its names there; its timeouts are in files of their own. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { failsWith, idOf, makePool, makeTable, unique } from "./support.js"

/** how often the server was asked for something on the one connection of a pool */
const asked = (pool: Effect.Effect.Success<ReturnType<typeof makePool>>["pool"], what: string) =>
  Effect.map(
    pool.use((connection) =>
      connection.query<{ readonly Value: string }>(`show session status like '${what}'`, [], { unprepared: true })
    ),
    ([row]) => Number(row!.Value)
  )

describe("the guide's", () => {
  it.scopedLive("program: insert without and with parameters, one row, all rows", () =>
    Effect.gen(function*() {
      const { admin, pool, sql } = yield* makePool({
        charset: "utf8",
        connectTimeout: "3 seconds",
        readTimeout: "10 seconds",
        writeTimeout: "10 seconds",
        maxConnections: 100,
        maxIdle: 20,
        maxStatements: 20,
        whenExhausted: "fail"
      })
      const table = unique("tb")
      yield* admin(`create table ${table} (id varchar(20) primary key, name text, address text)`)
      yield* Effect.addFinalizer(() => admin(`drop table ${table}`))
      const [first, second] = [
        { id: "i001", name: "n001", address: "a001" },
        { id: "i002", name: "n002", address: "a002" }
      ]
      yield* sql.unsafe(`insert into ${table}(id,name,address) values ('i001','n001','a001')`)
      yield* sql`insert into ${sql(table)} ${sql.insert(second)}`
      assert.deepStrictEqual<unknown>(yield* sql`select * from ${sql(table)} where id = 'i001' limit 1`, [first])
      assert.deepStrictEqual<unknown>(yield* sql`select * from ${sql(table)} order by id`, [first, second])
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("ping: each connection is asked by COM_PING before it is lent, or not at all", () =>
    Effect.gen(function*() {
      for (const [validateOn, pings] of [[["acquire"], 3], [[], 0]] as const) {
        const { pool, sql } = yield* makePool({ maxConnections: 1, validateOn, validateAfterIdle: 0 })
        const before = yield* asked(pool, "Com_admin_commands")
        yield* sql`select 1`.unprepared
        yield* sql`select 1`.unprepared
        assert.strictEqual((yield* asked(pool, "Com_admin_commands")) - before, pings)
      }
    }))

  it.scopedLive("reset: ROLLBACK after every lease, or only where something is open", () =>
    Effect.gen(function*() {
      for (const [reset, rollbacks] of [["always-rollback", 3], ["rollback-if-needed", 1]] as const) {
        const { names, pool, sql, table } = yield* makeTable({ maxConnections: 1, reset })
        const before = yield* asked(pool, "Com_rollback")
        yield* sql`select 1`
        yield* pool.use((connection) =>
          Effect.zipRight(connection.query("begin"), connection.query(`insert into ${table} values (1, 'a')`))
        )
        assert.strictEqual((yield* asked(pool, "Com_rollback")) - before, rollbacks)
        assert.deepStrictEqual(yield* names, [])
      }
    }))

  for (const option of ["maxStatements", "maxUses"] as const) {
    it.scopedLive(`maxusage: after so many a connection is replaced: ${option}`, () =>
      Effect.gen(function*() {
        const { pool, sql } = yield* makePool({ maxConnections: 1, initialize: "lazy", [option]: 3 })
        const ids: Array<unknown> = []
        for (let i = 0; i < 9; i++) {
          const [row] = yield* sql.unsafe<{ readonly id: number }>(idOf)
          ids.push(row!.id)
          // a replacement waits for a moment in which nobody needs the connection
          yield* Effect.sleep("20 millis")
        }
        assert.deepStrictEqual(ids.map((id) => ids.indexOf(id)), [0, 0, 0, 3, 3, 3, 6, 6, 6])
        assert.strictEqual((yield* pool.stats).retired.lost, 0)
      }))
  }

  it.scopedLive("blocking = False: who finds no connection is told at once", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool({ maxConnections: 1, whenExhausted: "fail" })
      yield* pool.use(() => failsWith(pool.use((connection) => connection.query("select 1")), "TooManyConnections"))
    }))
})
