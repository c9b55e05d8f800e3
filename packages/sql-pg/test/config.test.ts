import * as PgPool from "@dbpool/sql-pg/PgPool"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import { resolve } from "../src/internal/config.js"
import { absent, failsWith, makeAdmin, makePool, server, unique } from "./support.js"

const secret = "s3cr3t-pa55"
const url = (text: string) => ({ url: Redacted.make(text) })

/** the environment of `pg`, for one effect */
const withEnv = <A, E, R>(env: Record<string, string>, self: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const before = Object.keys(env).map((name) => [name, process.env[name]] as const)
      Object.assign(process.env, env)
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

describe("the address of the server", () => {
  it.effect("is what the URL says", () =>
    Effect.gen(function*() {
      const { address, config } = yield* resolve(
        "p",
        url("postgresql://me:p%40ss@db.example:6543/shop?application_name=x&options=-c%20a%3Db")
      )
      assert.deepStrictEqual(address, { host: "db.example", port: 6543, database: "shop" })
      const { application_name, options, password, user } = config
      assert.deepStrictEqual({ application_name, options, password, user }, {
        application_name: "x",
        options: "-c a=b",
        password: "p@ss",
        user: "me"
      })
    }))

  it.effect("options come before the URL, the URL before the environment, and that before the defaults", () =>
    Effect.gen(function*() {
      const env = {
        PGHOST: "env.example",
        PGPORT: "1111",
        PGDATABASE: "env",
        PGUSER: "env",
        PGPASSWORD: "env",
        PGAPPNAME: "env"
      }
      yield* withEnv(
        env,
        Effect.gen(function*() {
          const { address: fromEnv } = yield* resolve("p", {})
          assert.deepStrictEqual(fromEnv, { host: "env.example", port: 1111, database: "env" })
          const { address: fromUrl } = yield* resolve("p", url("postgres://u:p@url.example/url"))
          assert.deepStrictEqual(fromUrl, { host: "url.example", port: 1111, database: "url" })
          const { address: fromOptions, config } = yield* resolve("p", {
            ...url("postgres://u:p@url.example:2222/url?application_name=url"),
            host: "option.example",
            port: 3333,
            database: "option",
            username: "option",
            password: Redacted.make("option"),
            applicationName: "option"
          })
          assert.deepStrictEqual(fromOptions, { host: "option.example", port: 3333, database: "option" })
          assert.deepStrictEqual([config.user, config.password, config.application_name], [
            "option",
            "option",
            "option"
          ])
        })
      )
      const { address: byDefault } = yield* resolve("p", { username: "me" })
      assert.deepStrictEqual(byDefault, { host: "localhost", port: 5432, database: "me" })
      const socket = yield* resolve("p", { path: "/var/run/postgresql", host: "ignored" })
      assert.strictEqual(socket.address.host, "/var/run/postgresql")
    }))

  it.effect("parameters that are not for connecting are ignored: none changes how pg talks to the server", () =>
    Effect.gen(function*() {
      const { config } = yield* resolve(
        "p",
        url("postgres://h/d?pipeline=true&query_timeout=1&connection=x&Promise=x&keepAlive=false&schema=public")
      )
      assert.deepStrictEqual(Object.keys(config).sort(), [
        "database",
        "fallback_application_name",
        "host",
        "keepAlive",
        "keepAliveInitialDelayMillis"
      ])
    }))

  it.effect("TLS can be asked for by the URL and refused by the option", () =>
    Effect.gen(function*() {
      const asked = yield* resolve("p", url("postgres://h/d?sslmode=no-verify"))
      assert.deepStrictEqual(asked.config.ssl, { rejectUnauthorized: false })
      const refused = yield* resolve("p", { ...url("postgres://h/d?sslmode=no-verify"), ssl: false })
      assert.isFalse(refused.config.ssl)
      const direct = yield* failsWith(resolve("p", url("postgres://h/d?sslnegotiation=sideways")), "InvalidPoolConfig")
      assert.strictEqual(direct.option, "url")
    }))

  it.effect("that is malformed fails with InvalidPoolConfig, which does not repeat it", () =>
    Effect.gen(function*() {
      const urls = [
        secret,
        "",
        `http://u:${secret}@h/d`,
        `postgres://u:${secret}@h:port/d`,
        `postgres://u:${secret}@[::1/d`,
        `postgres://u:${secret}@h:99999/d`,
        `postgres://u:${secret}@h:0/d`,
        `postgres://u:${secret}@h/d?port=many`,
        `postgres://u:${secret}@h/d?sslrootcert=/no/such/file`
      ]
      for (const text of urls) {
        const error = yield* failsWith(build(url(text)), "InvalidPoolConfig")
        assert.include(["url", "port"], error.option, text)
        const shown = [error.message, JSON.stringify(error), inspect(error, { depth: 20, showHidden: true })].join("\n")
        assert.notInclude(shown, secret)
      }
    }))

  it.effect("a port must be one, wherever it comes from", () =>
    Effect.gen(function*() {
      for (const port of [0, -1, 65536, 1.5, NaN]) {
        assert.strictEqual((yield* failsWith(build({ port }), "InvalidPoolConfig")).option, "port")
      }
      yield* withEnv({ PGPORT: "many" }, failsWith(build({}), "InvalidPoolConfig"))
    }))
})

const build = (options: PgPool.PgPoolOptions) => Effect.scoped(Layer.build(PgPool.layer(options)))

describe("application_name", () => {
  it.scopedLive("is what pg_stat_activity shows: the option, the URL's, the environment's, or dbpool", () =>
    Effect.gen(function*() {
      const { url: base } = yield* server
      const shown = (options: PgPool.PgPoolOptions) =>
        Effect.scoped(Effect.flatMap(
          makePool({ applicationName: undefined, ...options }),
          ({ sql }) =>
            Effect.map(sql<{ readonly name: string }>`select current_setting('application_name') as name`, (rows) =>
              rows[0]!.name)
        ))
      const [own, inUrl, inEnv] = [unique("own"), unique("url"), unique("env")]
      assert.strictEqual(yield* shown({ ...url(`${base}?application_name=${inUrl}`), applicationName: own }), own)
      assert.strictEqual(yield* shown(url(`${base}?application_name=${inUrl}`)), inUrl)
      assert.strictEqual(yield* withEnv({ PGAPPNAME: inEnv }, shown({})), inEnv)
      assert.strictEqual(yield* shown({}), "dbpool")
    }))
})

describe("the layer", () => {
  it.scopedLive("provides PgPool, SqlPool and SqlClient over one pool, and closes it with its scope", () =>
    Effect.gen(function*() {
      const { url: base } = yield* server
      const admin = yield* makeAdmin
      const app = unique("app")
      yield* Effect.gen(function*() {
        const pg = yield* PgPool.PgPool
        const pool = yield* SqlPool.SqlPool
        const sql = yield* SqlClient.SqlClient
        assert.strictEqual(pg.dialect, "pg")
        assert.strictEqual(pool, pg)
        assert.strictEqual(pool.client, sql)
        yield* sql`select 1`
        assert.strictEqual((yield* pool.stats).acquired, 2)
      }).pipe(Effect.provide(PgPool.layer({ ...url(base), applicationName: app })))
      yield* absent(admin, app)
    }))

  it.scopedLive("layerConfig takes values and Configs, mixed", () =>
    Effect.gen(function*() {
      const { url: base } = yield* server
      const DbLive = PgPool.layerConfig({
        url: Config.redacted("DATABASE_URL"),
        maxConnections: Config.integer("DB_MAX").pipe(Config.withDefault(3)),
        // all of them are there before anybody has to be quick
        minConnections: 3,
        initialize: "fill",
        acquireTimeout: Config.duration("DB_TIMEOUT"),
        idleTimeout: "10 minutes",
        applicationName: unique("app"),
        transformResultNames: (name) => name.toUpperCase()
      })
      const provider = ConfigProvider.fromMap(new Map([["DATABASE_URL", base], ["DB_TIMEOUT", "40 millis"]]))
      yield* Effect.gen(function*() {
        const pool = yield* SqlPool.SqlPool
        assert.deepStrictEqual(yield* pool.client`select 1 as one`, [{ ONE: 1 }])
        assert.strictEqual((yield* pool.stats).maxConnections, 3)
        yield* Effect.scoped(Effect.gen(function*() {
          yield* Effect.all([pool.acquire, pool.acquire, pool.acquire])
          yield* failsWith(pool.use(() => Effect.void), "AcquireTimeout")
        }))
      }).pipe(Effect.provide(DbLive), Effect.withConfigProvider(provider))
    }))

  it.effect("layerConfig fails with ConfigError when a value is missing, and with InvalidPoolConfig when it is wrong", () =>
    Effect.gen(function*() {
      const buildWith = (env: ReadonlyArray<readonly [string, string]>) =>
        Effect.scoped(Layer.build(PgPool.layerConfig({
          url: Config.redacted("DATABASE_URL"),
          maxConnections: Config.integer("DB_MAX")
        }))).pipe(Effect.withConfigProvider(ConfigProvider.fromMap(new Map(env))), Effect.flip)
      assert.include(String(yield* buildWith([["DB_MAX", "3"]])), "DATABASE_URL")
      const wrong = yield* buildWith([["DB_MAX", "0"], ["DATABASE_URL", `postgres://u:${secret}@h/d`]])
      assert.include(String(wrong), "maxConnections must be an integer of at least 1")
      assert.notInclude(inspect(wrong, { depth: 20 }), secret)
    }))

  it.effect("refuses options that are wrong before anything is opened", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [string, PgPool.PgPoolOptions]> = [
        ["minConnections", { minConnections: 5, maxConnections: 2 }],
        ["acquireTimeout", { acquireTimeout: -1 }],
        ["commitTimeout", { commitTimeout: 0 }],
        ["name", { name: "" }]
      ]
      for (const [option, options] of cases) {
        assert.strictEqual((yield* failsWith(build(options), "InvalidPoolConfig")).option, option)
      }
    }))
})
