/** What MySQL 8 does and MariaDB does not. All else is promised of both by the contract, which runs on both. */
import * as MariaServer from "@dbpool/testing/MariaServer"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { eventually, failsWith, idOf, makePool, makeTable, quiet, running } from "./support.js"

describe("MySQL 8", () => {
  const scope = Effect.runSync(Scope.make())
  let server: MariaServer.MariaServer
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.extend(MariaServer.makeTest({ product: "MySQL" }), scope))
    // it may have to be fetched first
  }, 120_000)
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  it.scopedLive("logs accounts in by caching_sha2_password, the connection that cancels too", () =>
    Effect.gen(function*() {
      const { admin, app, sql } = yield* makePool({ maxConnections: 1 }, server)
      yield* admin(`alter user ${app} identified with caching_sha2_password by '${app}'`)
      const [before] = yield* sql.unsafe(idOf)
      const fiber = yield* Effect.fork(sql`select sleep(30)`)
      yield* running(admin, app, "sleep")
      yield* Fiber.interrupt(fiber)
      yield* quiet(admin, app)
      assert.deepStrictEqual<unknown>(yield* sql.unsafe(idOf), [before])
    }))

  for (const reset of ["rollback-if-needed", "session"] as const) {
    it.scopedLive(
      `commits every statement though it is configured not to, and says of new sessions that it does: reset "${reset}"`,
      () =>
        Effect.gen(function*() {
          const { admin, app: _, names, pool, sql, table } = yield* makeTable({ maxConnections: 1, reset }, server)
          yield* Effect.acquireRelease(admin("set global autocommit = 0"), () => admin("set global autocommit = 1"))
          yield* pool.drain({ over: 0, hard: true })
          for (const id of [1, 2]) {
            yield* sql`insert into ${sql(table)} values (${id}, ${`n${id}`})`
            assert.deepStrictEqual<unknown>(yield* sql`select @@autocommit as a`, [{ a: 1 }])
          }
          yield* pool.drain({ over: 0, hard: true })
          assert.deepStrictEqual(yield* names, ["n1", "n2"])
        })
    )
  }

  it.scopedLive("has the character set of the login after COM_RESET_CONNECTION, which takes the server's own", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool({ maxConnections: 1, reset: "session", charset: "latin1" }, server)
      const [before] = yield* sql.unsafe(idOf)
      for (let i = 0; i < 2; i++) {
        const [row] = yield* sql`select @@character_set_client as c, hex(${"ü"}) as h`
        assert.deepStrictEqual<unknown>(row, { c: "latin1", h: "FC" })
      }
      assert.deepStrictEqual<unknown>(yield* sql.unsafe(idOf), [before])
    }))

  it.scopedLive("ends an idle connection with 4031: what is sent on it was not executed", () =>
    Effect.gen(function*() {
      const { admin, app, pool } = yield* makePool({ maxConnections: 1, setup: ["set wait_timeout = 1"] }, server)
      yield* failsWith(
        pool.use((connection) =>
          Effect.all([connection.query("select 1"), Effect.sleep("1500 millis"), connection.query("select 2")])
        ),
        "NoSuchConnection"
      )
      const { opened } = yield* pool.stats
      yield* Effect.sleep("1200 millis")
      yield* eventually(pool.stats, ({ open }) => open === 0, "the pool notices")
      yield* pool.client`select 1`
      assert.strictEqual((yield* pool.stats).opened, opened + 1)
      yield* quiet(admin, app)
    }))

  it.scopedLive("says StatementTimeout (3024), LockTimeout (3572) and CheckViolation (3819) in its own numbers", () =>
    Effect.gen(function*() {
      const { admin, pool, table } = yield* makeTable({ maxConnections: 1 }, server)
      yield* admin(`insert into ${table} values (1, 'a')`)
      yield* admin(`alter table ${table} add constraint low check (id < 5)`)
      const other = yield* makePool({ maxConnections: 1 }, server)
      const refused = (text: string) =>
        Effect.map(
          failsWith(pool.use((connection) => connection.query(text)), "StatementError"),
          ({ code, constraint, reason }) => [reason, code, constraint]
        )
      assert.deepStrictEqual(
        yield* refused(`select /*+ max_execution_time(20) */ 1 from ${table} where sleep(5)`),
        ["StatementTimeout", "3024", undefined]
      )
      assert.deepStrictEqual(yield* refused(`insert into ${table} values (5, 'e')`), ["CheckViolation", "3819", "low"])
      const locked = yield* Deferred.make<void>()
      const done = yield* Deferred.make<void>()
      const holder = yield* Effect.fork(other.pool.withTransaction(
        other.sql.unsafe(`update ${table} set name = 'b'`).pipe(
          Effect.zipRight(Deferred.succeed(locked, undefined)),
          Effect.zipRight(Deferred.await(done))
        )
      ))
      yield* Deferred.await(locked)
      assert.deepStrictEqual(
        yield* refused(`select * from ${table} for update nowait`),
        ["LockTimeout", "3572", undefined]
      )
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(holder)
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))

  it.scopedLive("names a key without its table, as MariaDB does", () =>
    Effect.gen(function*() {
      const { admin, pool, table } = yield* makeTable({}, server)
      yield* admin(`insert into ${table} values (1, 'a')`)
      const error = yield* failsWith(
        pool.use((connection) => connection.query(`insert into ${table} values (1, 'b')`)),
        "StatementError"
      )
      assert.deepStrictEqual([error.reason, error.code, error.constraint], ["UniqueViolation", "1062", "PRIMARY"])
    }))

  it.scopedLive("takes a killed sleep for done: the caller that was interrupted does not, nor does statementTimeout", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1, statementTimeout: "100 millis" }, server)
      const error = yield* failsWith(
        pool.use((connection) => connection.query("select sleep(30) as s")),
        "StatementError"
      )
      assert.strictEqual(error.reason, "StatementTimeout")
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})
