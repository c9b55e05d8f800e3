import * as PgServer from "@dbpool/testing/PgServer"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Pg from "pg"
import * as pgBinaries from "../src/internal/pgBinaries.js"
import * as pgServer from "../src/internal/pgServer.js"
import { eventuallyGone, holdServer, isGone, isRunning, parentOf } from "./processes.js"

const query = (url: string, text: string) =>
  Effect.acquireUseRelease(
    Effect.tryPromise(async () => {
      const client = new Pg.default.Client({ connectionString: url })
      client.on("error", () => {})
      await client.connect()
      return client
    }),
    (client) => Effect.tryPromise(() => client.query(text)),
    (client) => Effect.promise(() => client.end())
  ).pipe(Effect.map((result) => result.rows))

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "dbpool-test-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

const withTmpdir = <A, E, R>(path: string, self: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const before = process.env.TMPDIR
      process.env.TMPDIR = path
      return before
    }),
    () => self,
    (before) =>
      Effect.sync(() => {
        if (before === undefined) {
          delete process.env.TMPDIR
        } else {
          process.env.TMPDIR = before
        }
      })
  )

describe("PgServer", () => {
  it.scopedLive("starts PostgreSQL 18 with the settings asked for", () =>
    Effect.gen(function*() {
      const server = yield* PgServer.make({ maxConnections: 17, settings: { work_mem: "5MB", fsync: "on" } })
      const [row] = yield* query(
        server.url,
        `select current_user, current_database(), current_setting('server_encoding') as encoding,
           current_setting('max_connections') as max, current_setting('work_mem') as work_mem,
           current_setting('fsync') as fsync, current_setting('synchronous_commit') as synchronous_commit`
      )
      assert.deepStrictEqual(row, {
        current_user: server.user,
        current_database: server.database,
        encoding: "UTF8",
        max: "17",
        work_mem: "5MB",
        fsync: "on",
        synchronous_commit: "off"
      })
      assert.match(Option.getOrThrow(server.started).version, /^18\./)
    }))

  it.scopedLive("starts another version from Debian's packages", () =>
    Effect.gen(function*() {
      const server = yield* PgServer.make({ version: "15" })
      assert.match(Option.getOrThrow(server.started).version, /^15\./)
      assert.deepStrictEqual(yield* query(server.url, "select 1 as one"), [{ one: 1 }])
    }))

  it.effect("says what is wrong with a version that cannot be had", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped(PgServer.make({ version: "fifteen" })))
      assert.include(error.message, "must be a number such as 15, not \"fifteen\"")
      assert.include(error.message, "DBPOOL_PG_URL")
    }))

  it.scopedLive("lets nobody in without the password", () =>
    Effect.gen(function*() {
      const server = yield* PgServer.make()
      const { cause } = yield* Effect.flip(query(server.url.replace(server.password, "guess"), "select 1"))
      assert.include(String(cause), "password authentication failed")
    }))

  it.scopedLive("is gone with its directory when the scope closes, with clients connected", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* Scope.extend(PgServer.make(), scope)
      const started = Option.getOrThrow(server.started)
      const client = new Pg.default.Client({ connectionString: server.url })
      client.on("error", () => {})
      yield* Effect.promise(() => client.connect())
      const sleeping = yield* Effect.fork(Effect.tryPromise(() => client.query("select pg_sleep(60)")))
      yield* Effect.sleep("50 millis")
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(isGone(started))
      assert.isTrue(Exit.isFailure(yield* Fiber.await(sleeping)))
    }))

  it.scopedLive("is killed and started again: same port, and what was committed durably is there", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* Scope.extend(PgServer.make({ settings: { synchronous_commit: "on" } }), scope)
      const started = Option.getOrThrow(server.started)
      const client = new Pg.default.Client({ connectionString: server.url })
      const lost = new Promise((resolve) => client.on("error", resolve))
      yield* Effect.promise(() => client.connect())
      yield* Effect.promise(() => client.query("create table kept as select 7 as n"))
      const { pid } = started
      yield* started.kill
      yield* Effect.promise(() => lost)
      assert.isFalse(isRunning(pid))
      assert.include(String((yield* Effect.flip(query(server.url, "select 1"))).cause), "ECONNREFUSED")
      yield* started.kill
      yield* started.start
      assert.notStrictEqual(started.pid, pid)
      assert.deepStrictEqual(yield* query(server.url, "select n from kept"), [{ n: 7 }])
      assert.include((yield* Effect.flip(started.start)).message, "runs already")
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(isGone(started))
    }))

  it.scopedLive("killed when its scope closes, it is gone with its directory", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const started = Option.getOrThrow((yield* Scope.extend(PgServer.make(), scope)).started)
      yield* started.kill
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(isGone(started))
    }))

  it.scopedLive("leaves nothing behind when it is interrupted while it starts", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      Fs.chmodSync(directory, 0o755)
      yield* withTmpdir(
        directory,
        Effect.gen(function*() {
          const starting = yield* Effect.fork(Effect.scoped(PgServer.make()))
          yield* Effect.sync(() => Fs.readdirSync(directory).length).pipe(
            Effect.repeat({ until: (n) => n > 0, schedule: Schedule.spaced("5 millis") })
          )
          yield* Fiber.interrupt(starting)
        })
      )
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
    }))

  it.scopedLive("is gone with its directory when its process is killed", () =>
    Effect.gen(function*() {
      const { child, started } = yield* holdServer("PgServer")
      assert.isTrue(isRunning(started.pid))
      child.kill("SIGKILL")
      yield* eventuallyGone(started)
    }))

  it.scopedLive("is gone with its directory when the process that guards it was killed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* Scope.extend(PgServer.make(), scope)
      const started = Option.getOrThrow(server.started)
      process.kill(parentOf(started.pid), "SIGKILL")
      yield* Scope.close(scope, Exit.void)
      yield* eventuallyGone(started)
    }))

  it.scopedLive("fails in one clear sentence when a setting is refused", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(PgServer.make({ settings: { no_such_setting: "1" } }))
      assert.strictEqual(error._tag, "PgServerError")
      assert.strictEqual(error.reason, "StartFailed")
      assert.include(error.message, "no_such_setting")
    }))

  it.scopedLive("copies binaries that the server's user cannot run where they are", () =>
    Effect.gen(function*() {
      const binaries = yield* pgBinaries.resolve(process.platform, process.arch)
      const directory = yield* temporaryDirectory
      const native = Path.dirname(Path.dirname(binaries.postgres))
      Fs.cpSync(native, Path.join(directory, "native"), { recursive: true, verbatimSymlinks: true })
      const moved = {
        initdb: Path.join(directory, "native", "bin", Path.basename(binaries.initdb)),
        postgres: Path.join(directory, "native", "bin", Path.basename(binaries.postgres))
      }
      Object.values(moved).forEach((path) => Fs.chmodSync(path, 0o600))
      const server = yield* pgServer.startFrom(moved, { settings: {} })
      assert.deepStrictEqual(yield* query(server.url, "select 1 as one"), [{ one: 1 }])
    }))

  it.scopedLive("starts where only its owner may enter the directory for temporary files", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const server = yield* withTmpdir(directory, PgServer.make())
      assert.deepStrictEqual(yield* query(server.url, "select 1 as one"), [{ one: 1 }])
    }))

  it.live("says which platform has no binaries", () =>
    Effect.gen(function*() {
      assert.include(yield* Effect.flip(pgBinaries.resolve("plan9", "mips")), "plan9 mips")
    }))

  it.scopedLive("makeTest uses the server at DBPOOL_PG_URL", () =>
    Effect.gen(function*() {
      const server = yield* PgServer.makeTest()
      assert.strictEqual(server.host, "db.example")
      assert.strictEqual(server.port, 5432)
      assert.strictEqual(server.user, "me@home")
      assert.strictEqual(server.password, "p/w")
      assert.strictEqual(server.database, "shop")
      assert.isTrue(Option.isNone(server.started))
    }).pipe(
      Effect.withConfigProvider(
        ConfigProvider.fromMap(new Map([["DBPOOL_PG_URL", "postgres://me%40home:p%2Fw@db.example/shop"]]))
      )
    ))

  it.live("refuses a URL that is not PostgreSQL's, without repeating it", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(PgServer.fromUrl("mysql://root:secret@localhost/shop"))
      assert.strictEqual(error.reason, "InvalidUrl")
      assert.notInclude(error.message, "secret")
    }))
})
