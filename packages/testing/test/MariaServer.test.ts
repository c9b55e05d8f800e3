import * as MariaServer from "@dbpool/testing/MariaServer"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Mysql from "mysql2/promise"
import { eventuallyGone, holdServer, isGone, isRunning } from "./processes.js"

const query = (url: string, text: string) =>
  Effect.acquireUseRelease(
    Effect.tryPromise(() => Mysql.createConnection(url)),
    (client) => Effect.tryPromise(() => client.query(text)),
    (client) => Effect.promise(() => client.end())
  ).pipe(Effect.map(([rows]) => rows as ReadonlyArray<any>))

describe("MariaServer", () => {
  it.scopedLive("starts MariaDB with the settings asked for", () =>
    Effect.gen(function*() {
      const server = yield* MariaServer.make({ maxConnections: 17, settings: { wait_timeout: "23" } })
      const [row] = yield* query(
        server.url,
        `select substring_index(current_user(), '@', 1) as account, database() as db,
           @@global.character_set_server as charset, @@global.max_connections as max, @@global.wait_timeout as wait`
      )
      assert.deepStrictEqual(row, { account: server.user, db: server.database, charset: "utf8mb4", max: 17, wait: 23 })
      assert.match(Option.getOrThrow(server.started).version, /^\d+\.\d+\.\d+-MariaDB/)
    }))

  it.scopedLive("lets nobody in without the password, root neither", () =>
    Effect.gen(function*() {
      const server = yield* MariaServer.make()
      const guesses = [
        server.url.replace(server.password, "guess"),
        server.url.replace(`${server.user}:${server.password}`, "root:")
      ]
      for (const url of guesses) {
        const { cause } = yield* Effect.flip(query(url, "select 1"))
        assert.include(String(cause), "Access denied")
      }
    }))

  it.scopedLive("is killed and started again: same port, and what was committed is there", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* Scope.extend(MariaServer.make(), scope)
      const started = Option.getOrThrow(server.started)
      const client = yield* Effect.promise(() => Mysql.createConnection(server.url))
      const lost = new Promise((resolve) => client.on("error", resolve))
      yield* Effect.promise(() => client.query("create table kept as select 7 as n"))
      const { pid } = started
      yield* started.kill
      yield* Effect.promise(() => lost)
      assert.isFalse(isRunning(pid))
      assert.include(String((yield* Effect.flip(query(server.url, "select 1"))).cause), "ECONNREFUSED")
      yield* started.start
      assert.notStrictEqual(started.pid, pid)
      assert.deepStrictEqual(yield* query(server.url, "select n from kept"), [{ n: 7 }])
      assert.include((yield* Effect.flip(started.start)).message, "runs already")
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(isGone(started))
    }))

  it.scopedLive("starts MySQL 8, too: with the settings asked for, for nobody else, and again after a kill", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const options = { product: "MySQL", settings: { wait_timeout: "23" } } as const
      const server = yield* Scope.extend(MariaServer.make(options), scope)
      const started = Option.getOrThrow(server.started)
      assert.match(started.version, /^8\./)
      yield* query(server.url, "create table kept as select @@global.wait_timeout as n")
      const root = server.url.replace(`${server.user}:${server.password}`, "root:")
      assert.include(String((yield* Effect.flip(query(root, "select 1"))).cause), "Access denied")
      yield* started.kill
      yield* started.start
      assert.deepStrictEqual(yield* query(server.url, "select n from kept"), [{ n: 23 }])
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(isGone(started))
    }))

  it.scopedLive("is gone with its directory when its process is killed", () =>
    Effect.gen(function*() {
      const { child, started } = yield* holdServer("MariaServer")
      assert.isTrue(isRunning(started.pid))
      child.kill("SIGKILL")
      yield* eventuallyGone(started)
    }))

  it.scopedLive("fails in one clear sentence when a setting is refused", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(MariaServer.make({ settings: { no_such_setting: "1" } }))
      assert.strictEqual(error._tag, "MariaServerError")
      assert.strictEqual(error.reason, "StartFailed")
      assert.match(error.message, /^MariaDB did not start: \S*mariadbd: unknown variable 'no_such_setting=1'/)
    }))

  it.scopedLive("makeTest uses the server at DBPOOL_MYSQL_URL", () =>
    Effect.gen(function*() {
      const { database, host, password, port, started, user } = yield* MariaServer.makeTest()
      assert.deepStrictEqual([host, port, user, password, database], ["db.example", 3306, "me@home", "p/w", "shop"])
      assert.isTrue(Option.isNone(started))
    }).pipe(
      Effect.withConfigProvider(
        ConfigProvider.fromMap(new Map([["DBPOOL_MYSQL_URL", "mysql://me%40home:p%2Fw@db.example/shop"]]))
      )
    ))

  it.scopedLive("makeTest uses the MySQL 8 at DBPOOL_MYSQL8_URL", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* MariaServer.makeTest({ product: "MySQL" })).host, "eight.example")
    }).pipe(
      Effect.withConfigProvider(ConfigProvider.fromMap(
        new Map([["DBPOOL_MYSQL_URL", "mysql://me@any.example/shop"], [
          "DBPOOL_MYSQL8_URL",
          "mysql://me@eight.example/shop"
        ]])
      ))
    ))

  it.live("refuses a URL that is not MySQL's, without repeating it", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(MariaServer.fromUrl("postgres://root:secret@localhost/shop"))
      assert.strictEqual(error.reason, "InvalidUrl")
      assert.include(error.message, "DBPOOL_MYSQL_URL")
      assert.notInclude(error.message, "secret")
    }))
})
