import * as AvaticaServer from "@dbpool/testing/AvaticaServer"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { execFileSync, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as ReadLine from "node:readline"
import { fileURLToPath } from "node:url"

/** a field of a protobuf message whose value is bytes */
const field = (number: number, value: Uint8Array | string): Buffer => {
  const bytes = Buffer.from(value)
  assert.isBelow(bytes.length, 128)
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes])
}

/** sends one request whose first field is the name of a connection; answers status and text */
const ask = (url: string, request: string, connection: string, rest = Buffer.of()) =>
  Effect.promise(async () => {
    const body = Buffer.concat([
      field(1, `org.apache.calcite.avatica.proto.Requests$${request}`),
      field(2, Buffer.concat([field(1, connection), rest]))
    ])
    const answer = await fetch(url, { method: "POST", body, headers: { connection: "close" } })
    return { status: answer.status, text: await answer.text() }
  })

const open = (url: string, connection: string, properties: Record<string, string> = {}) =>
  ask(
    url,
    "OpenConnectionRequest",
    connection,
    Buffer.concat(
      Object.entries(properties).map(([key, value]) => field(2, Buffer.concat([field(1, key), field(2, value)])))
    )
  )

const createStatement = (url: string, connection: string) => ask(url, "CreateStatementRequest", connection)

const isRunning = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "dbpool-test-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

/** the environment is the process's, so these must not overlap */
const withEnvironment = <A, E, R>(variables: Record<string, string>, self: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const before = Object.keys(variables).map((name) => [name, process.env[name]] as const)
      Object.assign(process.env, variables)
      return before
    }),
    () => self,
    (before) =>
      Effect.sync(() => {
        for (const [name, value] of before) {
          if (value === undefined) delete process.env[name]
          else process.env[name] = value
        }
      })
  )

describe("AvaticaServer", () => {
  it.scopedLive("remembers what is opened and tells what", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make()
      const { remembered } = Option.getOrThrow(server.started)
      assert.strictEqual((yield* open(server.url, "a")).status, 200)
      assert.strictEqual((yield* open(server.url, "b")).status, 200)
      assert.strictEqual((yield* createStatement(server.url, "b")).status, 200)
      const { connections, statements } = yield* remembered
      assert.sameMembers([...connections], ["a", "b"])
      assert.strictEqual(statements, 1)
    }))

  it.scopedLive("forgets a connection that was not used for so long", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ engine: "h2", connectionExpiry: "300 millis" })
      yield* open(server.url, "a")
      assert.strictEqual((yield* createStatement(server.url, "a")).status, 200)
      yield* Effect.sleep("400 millis")
      const late = yield* createStatement(server.url, "a")
      assert.strictEqual(late.status, 500)
      assert.include(late.text, "NoSuchConnection")
    }))

  it.scopedLive("forgets the connection used least when it has too many", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ connectionCapacity: 2 })
      for (const connection of ["a", "b", "c"]) yield* open(server.url, connection)
      assert.include((yield* createStatement(server.url, "a")).text, "NoSuchConnection")
      assert.strictEqual((yield* createStatement(server.url, "c")).status, 200)
    }))

  it.scopedLive("as LindormTable wants its login, under either name, and one of its databases", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ lindorm: { user: "root", password: "pw", databases: ["test"] } })
      const login = { lindorm_user: "root", lindorm_password: "pw", database: "test" }
      assert.strictEqual((yield* open(server.url, "a", login)).status, 200)
      assert.strictEqual(
        (yield* open(server.url, "b", { user: "root", password: "pw", database: "test" })).status,
        200
      )
      assert.include((yield* open(server.url, "c", { ...login, lindorm_password: "no" })).text, "Access denied")
      assert.include((yield* open(server.url, "d", { ...login, database: "other" })).text, "Unknown database 'other'")
    }))

  it.scopedLive("lets only the named user in", () =>
    Effect.gen(function*() {
      for (const scheme of ["basic", "digest"] as const) {
        const server = yield* AvaticaServer.make({ authentication: { scheme, user: "bob", password: "pw" } })
        const refused = yield* open(server.url, "a")
        assert.strictEqual(refused.status, 401)
        assert.include(refused.text, "<html>")
      }
    }))

  it.scopedLive("is gone with everything it made when the scope closes, or when interrupted while it starts", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* withEnvironment(
        { TMPDIR: directory },
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const options = { tls: true, authentication: { scheme: "basic", user: "bob", password: "pw" } } as const
          const server = yield* Scope.extend(AvaticaServer.make(options), scope)
          const { certificate, pid } = Option.getOrThrow(server.started)
          assert.include(Option.getOrThrow(certificate), "BEGIN CERTIFICATE")
          assert.deepStrictEqual(Fs.readdirSync(directory), [])
          yield* Scope.close(scope, Exit.void)
          assert.isFalse(isRunning(pid))
          const starting = yield* Effect.fork(Effect.scoped(AvaticaServer.make(options)))
          yield* Effect.sync(() => Fs.readdirSync(directory).length).pipe(
            Effect.repeat({ until: (n) => n > 0, schedule: Schedule.spaced("5 millis") })
          )
          yield* Fiber.interrupt(starting)
        })
      )
      assert.deepStrictEqual(Fs.readdirSync(directory), [])
    }))

  it.scopedLive("is gone when its owner is killed", () =>
    Effect.gen(function*() {
      const child = yield* Effect.acquireRelease(
        Effect.sync(() =>
          spawn(
            process.execPath,
            ["--import", "tsx", fileURLToPath(new URL("./fixtures/holdAvaticaServer.ts", import.meta.url))],
            { cwd: fileURLToPath(new URL("..", import.meta.url)), stdio: ["ignore", "pipe", "inherit"] }
          )
        ),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      const pid = yield* Effect.async<number>((resume) => {
        ReadLine.createInterface({ input: child.stdout }).once(
          "line",
          (line) => resume(Effect.succeed(JSON.parse(line).pid))
        )
      })
      assert.isTrue(isRunning(pid))
      child.kill("SIGKILL")
      yield* Effect.sync(() => isRunning(pid)).pipe(
        Effect.repeat({ until: (running) => !running, schedule: Schedule.spaced("20 millis") }),
        Effect.timeout("8 seconds")
      )
    }))

  it.scopedLive("says what is missing", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const javac = execFileSync("sh", ["-c", "command -v javac"], { encoding: "utf8" }).trim()
      const attempt = (PATH: string) =>
        Effect.flip(withEnvironment({ PATH, XDG_CACHE_HOME: directory }, Effect.scoped(AvaticaServer.make())))
      const noJava = yield* attempt(directory)
      assert.strictEqual(noJava.reason, "JavaMissing")
      assert.include(noJava.message, "DBPOOL_AVATICA_URL")
      Fs.symlinkSync(Fs.realpathSync(javac), Path.join(directory, "javac"))
      const noMaven = yield* attempt(directory)
      assert.strictEqual(noMaven.reason, "MavenMissing")
      assert.include(noMaven.message, "apt-get install")
      // what was begun is not taken for something finished
      assert.deepStrictEqual(Fs.readdirSync(Path.join(directory, "dbpool")), [])
    }))

  it.scopedLive("makeTest uses the server at DBPOOL_AVATICA_URL", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.makeTest()
      assert.strictEqual(server.url, "https://lindorm.example:30060")
      assert.strictEqual(server.host, "lindorm.example")
      assert.strictEqual(server.port, 30060)
      assert.isTrue(Option.isNone(server.started))
    }).pipe(
      Effect.withConfigProvider(
        ConfigProvider.fromMap(new Map([["DBPOOL_AVATICA_URL", "https://lindorm.example:30060"]]))
      )
    ))

  it.live("refuses a URL that is not of HTTP, without repeating it", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(AvaticaServer.fromUrl("jdbc://root:secret@localhost"))
      assert.strictEqual(error.reason, "InvalidUrl")
      assert.notInclude(error.message, "secret")
    }))
})
