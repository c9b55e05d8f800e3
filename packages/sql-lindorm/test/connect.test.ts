import * as LindormPool from "@dbpool/sql-lindorm/LindormPool"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as AvaticaServer from "@dbpool/testing/AvaticaServer"
import * as BlackHole from "@dbpool/testing/BlackHole"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as internalConfig from "../src/internal/config.js"
import * as gateway from "./gateway.js"
import { asLindorm, counts, eventually, failsWith, lindormLogin, makePool, makeTable, shared } from "./support.js"

const password = (text: string) => Redacted.make(text)

describe("the HTTP server's login", () => {
  for (const scheme of ["basic", "digest"] as const) {
    it.scopedLive(`is given by ${scheme} authentication, and a wrong one is fatal`, () =>
      Effect.gen(function*() {
        const login = { scheme, user: "bo\"b", password: "pa ss:wörd" }
        const server = yield* AvaticaServer.make({ authentication: login })
        const authentication = { scheme, username: login.user, password: password(login.password) }
        const { pool, sql } = yield* makePool(server.url, { authentication, maxConnections: 1 })
        for (let i = 0; i < 5; i++) assert.deepStrictEqual(yield* sql.unsafe(`values ${i}`).values, [[i]])
        assert.strictEqual((yield* pool.stats).opened, 1)
        const wrong = { ...authentication, password: password("guess") }
        for (const options of [{ authentication: wrong }, {}]) {
          const error = yield* failsWith(makePool(server.url, options), "ConnectFailed")
          assert.isTrue(error.fatal)
          assert.include(error.message, "the login is refused")
          assert.notInclude(String(error), "guess")
        }
      }))
  }

  it.scopedLive("by digest is told again when the server has forgotten its challenge", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ authentication: { scheme: "digest", user: "bob", password: "pw" } })
      const between = yield* gateway.make(server.url)
      const authentication = { scheme: "digest", username: "bob", password: password("pw") } as const
      const { pool, sql } = yield* makePool(between.url, { authentication, maxConnections: 1 })
      const challenge = `Digest realm="Avatica", domain="", nonce="stale", algorithm=MD5, qop="auth", stale=true`
      between.on("PrepareAndExecute", async () => ({
        ...gateway.html(401, "Unauthorized"),
        headers: { "content-type": "text/html", "www-authenticate": challenge }
      }), 1)
      // the gateway's challenge is answered, and the server's own after it refuses that answer: one try each
      yield* failsWith(pool.use((connection) => connection.query("values 1")), "ConnectionLost")
      assert.deepStrictEqual(yield* sql`values 2`.values, [[2]])
    }))
})

describe("TLS", () => {
  it.scopedLive("checks the server's certificate", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ tls: true })
      const ca = Option.getOrThrow(Option.getOrThrow(server.started).certificate)
      const { sql } = yield* makePool(server.url, { ssl: { ca } })
      assert.deepStrictEqual(yield* sql`values 1`.values, [[1]])
      const byName = yield* makePool(server.url.replace("127.0.0.1", "localhost"), { ssl: { ca } })
      assert.deepStrictEqual(yield* byName.sql`values 1`.values, [[1]])
      const error = yield* failsWith(makePool(server.url), "ConnectFailed")
      assert.isTrue(error.fatal)
    }))
})

describe("connecting", () => {
  it.scopedLive("opens with autocommit, and tells the database's login under plain Avatica's names", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const between = yield* gateway.make(url)
      yield* makePool(between.url, { user: "SA", password: password(""), properties: { Consistency: "8" } })
      const [open, sync] = between.log
      assert.strictEqual(open!.name, "OpenConnection")
      assert.deepStrictEqual(
        Object.fromEntries(open!.content.info.map(({ key, value }: { key: string; value: string }) => [key, value])),
        { Consistency: "8", user: "SA", password: "" }
      )
      assert.match(open!.connectionId, /^[0-9a-f-]{36}$/)
      assert.deepInclude(sync!.content.properties, { autoCommit: true, hasAutoCommit: true, hasReadOnly: false })
      const error = yield* failsWith(makePool(url, { user: "nobody" }), "ConnectFailed")
      assert.isTrue(error.fatal)
    }))

  it.scopedLive("is bounded by connectTimeout, and leaves nothing", () =>
    Effect.gen(function*() {
      const hole = yield* BlackHole.make
      const options = { connectTimeout: "200 millis", initializeTimeout: "300 millis" } as const
      const error = yield* failsWith(makePool(`http://${hole.host}:${hole.port}`, options), "ConnectFailed")
      assert.isFalse(error.fatal)
      yield* eventually(hole.open, (open) => open === 0, "its sockets are closed")
    }))

  it.scopedLive("asks for the password each time, and once more when it is refused", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ lindorm: lindormLogin })
      let asked = 0
      const rotating = (right: (n: number) => boolean) =>
        Effect.sync(() => password(right(++asked) ? lindormLogin.password : "old"))
      const { pool } = yield* makePool(server.url, { ...asLindorm, password: rotating((n) => n !== 1) })
      assert.strictEqual(asked, 2)
      yield* pool.use(() => pool.use((connection) => connection.query("select 1")))
      assert.strictEqual(asked, 3)
      asked = 0
      const error = yield* failsWith(
        makePool(server.url, { ...asLindorm, password: rotating(() => false) }),
        "ConnectFailed"
      )
      assert.isTrue(error.fatal)
      assert.strictEqual(asked, 2)
    }))
})

describe("a password that is not to be had", () => {
  for (const how of ["fail", "die"] as const) {
    it.scopedLive(`fails the connect, which says why, and is tried again: by Effect.${how}`, () =>
      Effect.gen(function*() {
        const server = yield* AvaticaServer.make({ lindorm: lindormLogin })
        const error = yield* failsWith(
          makePool(server.url, {
            ...asLindorm,
            password: Effect[how](new Error("the vault is sealed")),
            initializeTimeout: "400 millis"
          }),
          "ConnectFailed"
        )
        assert.isFalse(error.fatal)
        assert.include(error.message, "the vault is sealed")
      }))
  }
})

describe("closing", () => {
  it.scopedLive("leaves nothing on the server", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make()
      const { close, sql } = yield* makePool(server.url, { maxConnections: 3 })
      yield* Effect.forEach([1, 2, 3, 4, 5], (i) => sql.unsafe(`values ${i}`), { concurrency: 5 })
      assert.isAbove((yield* counts(server)).connections, 0)
      yield* close
      assert.deepStrictEqual(yield* counts(server), { connections: 0, statements: 0 })
    }))

  it.scopedLive("of a connection whose socket was cut tells the server by another: its locks must not live on", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make()
      const between = yield* gateway.make(server.url)
      const { names, pool, sql, table } = yield* makeTable(server.url, { maxConnections: 1 }, between.url)
      between.on("Execute", gateway.lost, 1)
      yield* failsWith(
        pool.withTransaction(sql.unsafe(`insert into ${table} values (?, ?)`, [1, "one"])),
        "ConnectionLost"
      )
      // the pool's next one, and the observer's
      yield* sql`values 1`
      yield* eventually(counts(server), ({ connections }) => connections === 2, "the lost one is closed")
      assert.deepStrictEqual(yield* names, [])
      yield* sql.unsafe(`insert into ${table} values (?, ?)`, [1, "uno"])
    }))

  it.scopedLive("of a connection in the middle of a statement tells the server, too", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make()
      const between = yield* gateway.make(server.url)
      const { close, sql } = yield* makePool(between.url, { shutdownTimeout: "50 millis" })
      between.on("PrepareAndExecute", () => new Promise((resolve) => setTimeout(() => resolve(undefined), 2000)))
      const fiber = yield* Effect.fork(sql`values 1`)
      yield* eventually(Effect.sync(() => between.count("PrepareAndExecute")), (n) => n === 1, "it is sent")
      yield* close
      assert.strictEqual((yield* counts(server)).connections, 0)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
    }))
})

describe("a session", () => {
  it.scopedLive("is forgotten by reset: \"session\", on the same socket and under another id", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ engine: "h2" })
      const between = yield* gateway.make(server.url)
      const { pool } = yield* makePool(between.url, {
        user: "",
        maxConnections: 1,
        reset: "session",
        setup: ["set @tenant = 7"]
      })
      const tenant = "select @tenant, @visitor"
      yield* pool.use((connection) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* connection.values(tenant), [[7, null]] as never)
          yield* connection.query("set @tenant = 8")
          yield* connection.query("set @visitor = 9")
        })
      )
      assert.deepStrictEqual(yield* pool.use((connection) => connection.values(tenant)), [[7, null]] as never)
      assert.strictEqual((yield* pool.stats).opened, 1)
      assert.strictEqual(between.sockets(), 1)
      assert.isAbove(new Set(between.log.map(({ connectionId }) => connectionId)).size, 1)
      yield* eventually(counts(server), ({ connections }) => connections === 1, "the last reset is over")
    }))
})

describe("the options", () => {
  it.effect("have defaults below what the server forgets", () =>
    Effect.gen(function*() {
      const presets = (serverExpiry?: Duration.DurationInput) =>
        Effect.map(
          internalConfig.resolve("test", { url: "http://lindorm.example:30060", serverExpiry }),
          ({ presets: { idleTimeout, keepaliveInterval } }) => [idleTimeout, keepaliveInterval].map(Duration.format)
        )
      assert.deepStrictEqual(yield* presets(), ["8m", "30s"])
      assert.deepStrictEqual(yield* presets("10 seconds"), ["8s", "4s"])
    }))

  it.scopedLive("close an idle connection before the server forgets it, unless they say otherwise", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const early = yield* makePool(url, { serverExpiry: "200 millis" })
      const late = yield* makePool(url, { serverExpiry: "200 millis", idleTimeout: "1 minute" })
      yield* early.sql`values 1`
      yield* late.sql`values 1`
      yield* eventually(early.pool.stats, ({ open }) => open === 0, "it is closed")
      assert.strictEqual((yield* early.pool.stats).retired.idleTimeout, 1)
      assert.strictEqual((yield* late.pool.stats).open, 1)
    }))

  it.effect("are refused by name when they are wrong, and secrets are not repeated", () =>
    Effect.gen(function*() {
      const url = "http://lindorm.example:30060"
      const cases: ReadonlyArray<readonly [Partial<LindormPool.LindormPoolOptions>, string]> = [
        [{ url: "lindorm.example:30060" }, "url"],
        [{ url: "not a url, secret" }, "url"],
        [{ url: "http://root:secret@lindorm.example" }, "url"],
        [{ server: "hbase" as never }, "server"],
        [{ frameSize: 0 }, "frameSize"],
        [{ frameSize: 1.5 }, "frameSize"],
        [{ readTimeout: 0 }, "readTimeout"],
        [{ serverExpiry: -1 }, "serverExpiry"],
        [{ ssl: {} }, "ssl"],
        [
          { authentication: { scheme: "spnego" as never, username: "x", password: password("secret") } },
          "authentication"
        ],
        [{ maxConnections: 0 }, "maxConnections"]
      ]
      for (const [options, culprit] of cases) {
        const error = yield* failsWith(Effect.scoped(makePool(url, options)), "InvalidPoolConfig")
        assert.strictEqual(error.option, culprit)
        assert.notInclude(error.message, "secret")
      }
    }))

  it.scopedLive("may come from the configuration; the URL may be the console's; the layer provides pool and client", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ lindorm: lindormLogin })
      class Other extends LindormPool.Tag("test/Other")<Other>() {}
      const layer = Layer.merge(
        LindormPool.layerConfig({
          url: Config.string("LINDORM_URL"),
          user: "root",
          password: Config.redacted("LINDORM_PASSWORD"),
          database: "test",
          maxConnections: Config.integer("MAX").pipe(Config.withDefault(7))
        }),
        LindormPool.layerOf(Other, { ...asLindorm, url: server.url, database: "other", name: "other" })
      )
      const program = Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const pool = yield* LindormPool.LindormPool
        assert.strictEqual(yield* SqlPool.SqlPool, pool)
        assert.strictEqual(pool.dialect, "lindorm")
        assert.deepStrictEqual(yield* sql`select 1 as one`, [{ one: 1 }])
        assert.strictEqual((yield* pool.stats).maxConnections, 7)
        const other = yield* Other
        assert.deepStrictEqual(yield* other.client`select schema() as name`, [{ name: "other" }])
      })
      const config = new Map([
        ["LINDORM_URL", `jdbc:lindorm:table:url=${server.url}`],
        ["LINDORM_PASSWORD", lindormLogin.password]
      ])
      yield* program.pipe(
        Effect.provide(layer),
        Effect.withConfigProvider(ConfigProvider.fromMap(config))
      )
    }))
})
