import * as PgBouncer from "@dbpool/testing/PgBouncer"
import * as PgServer from "@dbpool/testing/PgServer"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Pg from "pg"

const connect = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Pg.default.Client({ connectionString: url })
      client.on("error", () => {})
      await client.connect()
      return client
    }),
    (client) => Effect.promise(() => client.end())
  )

const isRunning = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe("PgBouncer", () => {
  it.scopedLive("leads to the server behind it, by transaction, and is gone with its scope", () =>
    Effect.gen(function*() {
      const server = yield* PgServer.makeTest()
      const scope = yield* Scope.make()
      const bouncer = yield* Scope.extend(PgBouncer.make(server, { poolSize: 1 }), scope)
      assert.match(bouncer.version, /^\d+\.\d+/)
      const clients = yield* Effect.all([connect(bouncer.url), connect(bouncer.url)])
      const pids = yield* Effect.forEach(
        clients,
        (client) =>
          Effect.promise(async () => (await client.query("select pg_backend_pid() as pid")).rows[0].pid as number)
      )
      assert.strictEqual(pids[0], pids[1])
      assert.isTrue(isRunning(bouncer.pid))
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(isRunning(bouncer.pid))
    }))

  it.scopedLive("says what is wrong when it cannot be had", () =>
    Effect.gen(function*() {
      const server = yield* PgServer.makeTest()
      const missing = ConfigProvider.fromMap(new Map([["DBPOOL_PGBOUNCER", "/no/such/pgbouncer"]]))
      const error = yield* Effect.flip(Effect.withConfigProvider(PgBouncer.make(server), missing))
      assert.include(error.message, "/no/such/pgbouncer")
      const refused = yield* Effect.flip(PgBouncer.make(server, { settings: { pool_mode: "sometimes" } }))
      assert.include(refused.message, "sometimes")
      assert.include(refused.message, "DBPOOL_PGBOUNCER")
      assert.notInclude(refused.message, server.password)
    }))
})
