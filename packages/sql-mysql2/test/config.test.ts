import * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
import type * as MysqlPoolConfig from "@dbpool/sql-mysql2/MysqlPoolConfig"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import { resolve } from "../src/internal/config.js"
import { failsWith, makeAdmin, server, sessions, timed } from "./support.js"

const secret = "s3cr3t-pa55"
const url = (text: string) => ({ url: Redacted.make(text) })
const build = (options: MysqlPool.MysqlPoolOptions) => Effect.scoped(Layer.build(MysqlPool.layer(options)))

describe("the address of the server", () => {
  it.effect("is what the URL says; options come before it, and it before the defaults", () =>
    Effect.gen(function*() {
      const shown = (options: MysqlPool.MysqlPoolOptions) =>
        Effect.map(
          resolve("p", options),
          ({ charset, database, host, password, port, username }) => [host, port, database, username, password, charset]
        )
      assert.deepStrictEqual(yield* shown({}), ["localhost", 3306, undefined, undefined, undefined, "utf8mb4"])
      const text = "mysql://me:p%40ss@db.example:3307/shop?charset=latin1&multipleStatements=true"
      assert.deepStrictEqual(yield* shown(url(text)), ["db.example", 3307, "shop", "me", "p@ss", "latin1"])
      assert.deepStrictEqual(
        yield* shown({
          ...url(text),
          host: "other.example",
          port: 1,
          database: "x",
          username: "you",
          password: Redacted.make("q"),
          charset: "utf8mb4_bin"
        }),
        ["other.example", 1, "x", "you", "q", "utf8mb4"]
      )
      assert.deepStrictEqual((yield* shown(url("mariadb://u@[::1]/d"))).slice(0, 4), ["::1", 3306, "d", "u"])
    }))

  it.effect("parameters that are not for connecting are ignored: none changes how mysql2 talks to the server", () =>
    Effect.gen(function*() {
      const plain = yield* resolve("p", url("mysql://h/d"))
      const odd = yield* resolve("p", url("mysql://h/d?rowsAsArray=true&debug=true&flags=FOUND_ROWS&connectTimeout=1"))
      assert.deepStrictEqual(odd.config, plain.config)
      assert.deepStrictEqual(plain.config.flags, ["-LOCAL_FILES"])
    }))

  it.effect("TLS can be asked for by the URL and refused by the option", () =>
    Effect.gen(function*() {
      const ssl = (options: MysqlPool.MysqlPoolOptions) => Effect.map(resolve("p", options), ({ config }) => config.ssl)
      assert.deepStrictEqual(yield* ssl(url("mysql://h/d?ssl-mode=required")), { rejectUnauthorized: false })
      assert.deepStrictEqual(yield* ssl(url("mysql://h/d?ssl-mode=VERIFY_IDENTITY")), {
        rejectUnauthorized: true,
        verifyIdentity: true
      })
      assert.deepStrictEqual(yield* ssl({ ssl: true }), { rejectUnauthorized: true, verifyIdentity: true })
      assert.isUndefined(yield* ssl({ ...url("mysql://h/d?ssl-mode=VERIFY_CA"), ssl: false }))
      assert.isUndefined(yield* ssl(url("mysql://h/d?ssl-mode=DISABLED")))
    }))

  it.effect("that is malformed fails with InvalidPoolConfig, which does not repeat it", () =>
    Effect.gen(function*() {
      const urls = [
        secret,
        "",
        `http://u:${secret}@h/d`,
        `mysql://u:${secret}@h:port/d`,
        `mysql://u:${secret}@[::1/d`,
        `mysql://u:${secret}%zz@h/d`,
        `mysql://u:${secret}@h:0/d`,
        `mysql://u:${secret}@h/d?ssl-mode=PREFERRED`,
        `mysql://u:${secret}@h/d?charset=klingon`
      ]
      for (const text of urls) {
        const error = yield* failsWith(build(url(text)), "InvalidPoolConfig")
        assert.include(["url", "port", "charset"], error.option, text)
        const shown = [error.message, JSON.stringify(error), inspect(error, { depth: 20, showHidden: true })].join("\n")
        assert.notInclude(shown, secret)
      }
    }))
})

describe("an option that is wrong", () => {
  const wrong: ReadonlyArray<readonly [option: string, options: object]> = [
    ["port", { port: 0 }],
    ["port", { port: 1.5 }],
    ["charset", { charset: "klingon" }],
    ["ssl", { ssl: "yes" }],
    ["readTimeout", { readTimeout: 0 }],
    ["writeTimeout", { writeTimeout: "no duration" }],
    ["keepAliveInitialDelay", { keepAliveInitialDelay: -1 }],
    ["preparedStatements", { preparedStatements: 0 }],
    ["poolConfig.timezone", { poolConfig: { timezone: "Europe/Berlin" } }],
    ["poolConfig.queueLimit", { poolConfig: { queueLimit: 5 } }],
    ["poolConfig.connectionLimit", { poolConfig: { connectionLimit: 5 } }],
    ["poolConfig.multipleStatements", { poolConfig: { multipleStatements: true } }],
    ["idleTimeout", { connectionTTL: -1 }],
    ["maxConnections", { maxConnections: 0 }]
  ]
  for (const [option, options] of wrong) {
    it.effect(`is refused by its name: ${option} ${inspect(Object.values(options)[0])}`, () =>
      Effect.gen(function*() {
        const error = yield* failsWith(build({ initialize: "lazy", ...options }), "InvalidPoolConfig")
        assert.strictEqual(error.option, option)
      }))
  }
})

describe("the layer", () => {
  it.scopedLive("provides the pool and its client under all four tags, with values and Configs mixed", () =>
    Effect.gen(function*() {
      const { url } = yield* server
      const config: MysqlPoolConfig.MysqlPoolConfig = {
        url: Config.redacted("DATABASE_URL"),
        maxConnections: Config.integer("DB_MAX"),
        name: "configured"
      }
      const context = yield* Layer.build(MysqlPool.layerConfig(config)).pipe(
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["DATABASE_URL", url], ["DB_MAX", "3"]])))
      )
      yield* Effect.gen(function*() {
        const pool = yield* MysqlPool.MysqlPool
        assert.strictEqual(pool.dialect, "mysql")
        assert.strictEqual((yield* pool.stats).maxConnections, 3)
        assert.strictEqual(yield* SqlPool.SqlPool, pool)
        assert.strictEqual(yield* SqlClient.SqlClient, pool.client)
        const client = yield* MysqlClient.MysqlClient
        assert.strictEqual(client as unknown, pool.client)
        assert.strictEqual(client.config.maxConnections, 3)
        assert.deepStrictEqual<unknown>(yield* client`select 1 as one`, [{ one: 1 }])
      }).pipe(Effect.provide(context))
    }))

  it.scopedLive("of a second database provides its own tag alone", () =>
    Effect.gen(function*() {
      class Orders extends MysqlPool.Tag("test/Orders")<Orders>() {}
      const { url } = yield* server
      const layers = Layer.merge(
        MysqlPool.layer({ url: Redacted.make(url), name: "first" }),
        MysqlPool.layerOf(Orders, { url: Redacted.make(url), name: "second", maxConnections: 2 })
      )
      yield* Effect.gen(function*() {
        const { client: sql, stats } = yield* Orders
        assert.deepStrictEqual<unknown>(yield* sql`select 2 as two`, [{ two: 2 }])
        assert.strictEqual((yield* stats).maxConnections, 2)
        assert.notStrictEqual<unknown>(yield* SqlClient.SqlClient, sql)
      }).pipe(Effect.provide(layers))
    }))
})

describe("idle connections", () => {
  for (const way of ["url", "host"] as const) {
    it.scopedLive(`are kept for connectionTTL and no longer, whether the server is given by ${way}`, () =>
      Effect.gen(function*() {
        const target = yield* server
        const { database, host, password, port, user } = target
        const admin = yield* makeAdmin(target)
        const app = `idle_${way}_${process.pid}`
        yield* admin(`create user ${app} identified by '${app}'`)
        yield* admin(`grant all on *.* to ${app}`)
        yield* Effect.addFinalizer(() => admin(`drop user ${app}`))
        const address = way === "url"
          ? { url: Redacted.make(target.url.replace(user, app).replace(password, app)) }
          : { host, port, database, username: app, password: Redacted.make(app) }
        const layer = MysqlPool.layer({ ...address, maxConnections: 5, connectionTTL: "1500 millis" })
        yield* Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          yield* Effect.replicateEffect(sql`select sleep(0.1)`, 5, { concurrency: "unbounded" })
          const open = Effect.map(sessions(admin, app), (all) => all.length)
          yield* Effect.sleep("1100 millis")
          const kept = yield* open
          assert.isAtLeast(kept, 2)
          const [took] = yield* timed(Effect.repeat(Effect.delay(open, "20 millis"), { until: (n) => n === 0 }))
          assert.isBelow(took, 1500)
        }).pipe(Effect.provide(layer), Effect.scoped)
      }))
  }
})
