/** `@effect/sql-pg`'s own tag: programs that ask for it run unchanged. */
import * as PgPool from "@dbpool/sql-pg/PgPool"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { failsWith, makeAdmin, server, unique } from "./support.js"

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
const camel = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

const options = Effect.map(server, ({ url }) => ({
  url: Redacted.make(url),
  applicationName: unique("app"),
  maxConnections: 3,
  idleTimeout: "1 minute" as const,
  spanAttributes: { team: "blue" },
  transformQueryNames: snake,
  transformResultNames: camel
}))

describe("PgClient", () => {
  /** nothing in here knows of dbpool */
  const program = Effect.gen(function*() {
    const sql = yield* PgClient.PgClient
    const plain = sql.withoutTransforms()
    const json = { someKey: [1, { otherKey: null }] }
    const reserved = yield* Effect.scoped(
      Effect.flatMap(sql.reserve, (connection) => connection.executeValues("select 1", []))
    )
    const channel = unique("channel")
    const heard = yield* Effect.fork(Stream.runCollect(Stream.take(sql.listen(channel), 2)))
    const speak = sql`select pg_notify(${channel}, 'hello')`
    yield* Effect.repeat(speak, { until: () => Effect.map(Fiber.poll(heard), (exit) => exit._tag === "Some") })
    return {
      transformed: yield* sql`select ${sql.json(json)}::jsonb as some_value`,
      plain: yield* plain`select ${plain.json(json)}::jsonb as some_value`,
      sent: yield* sql`select ${sql.json(json)}::jsonb::text as t`.values,
      reserved,
      inTransaction: yield* sql.withTransaction(sql`select ${sql.in("a", ["a"])} from (select 'a' as a) x`.values),
      heard: Chunk.toReadonlyArray(yield* Fiber.join(heard)),
      config: {
        ...sql.config,
        url: undefined,
        applicationName: undefined,
        password: Redacted.value(sql.config.password!)
      },
      same: (yield* SqlClient.SqlClient) === sql
    }
  })

  it.scopedLive("of a pool does all that the official one does", () =>
    Effect.gen(function*() {
      const ours = yield* Effect.provide(program, PgPool.layer(yield* options))
      const theirs = yield* Effect.provide(program, PgClient.layer(yield* options))
      const known = Object.fromEntries(
        Object.entries(ours.config).filter(([option, value]) => value !== undefined || option in theirs.config)
      )
      const { ssl: _, ...config } = known
      assert.deepStrictEqual({ ...ours, config: { ...config, url: undefined } }, theirs as never)
    }))

  it.scopedLive("can notify, which the official one of 0.53 cannot", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        const sql = yield* PgClient.PgClient
        const channel = unique("It's a \"channel\"")
        const heard = yield* Effect.fork(Stream.runHead(sql.listen(channel)))
        yield* Effect.repeat(sql.notify(channel, "it's me"), {
          until: () => Effect.map(Fiber.poll(heard), (exit) => exit._tag === "Some")
        })
        assert.deepStrictEqual(yield* Effect.flatten(Fiber.join(heard)), "it's me")
      }).pipe(Effect.provide(PgPool.layer(yield* options)))
      const error = yield* Effect.flatMap(PgClient.PgClient, (sql) => sql.notify("c", "p")).pipe(
        Effect.provide(PgClient.layer(yield* options)),
        Effect.flip
      )
      assert.strictEqual(error._tag, "SqlError")
    }))

  it.scopedLive("wraps the pool's errors, which refineErrors brings back", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        const sql = yield* PgClient.PgClient
        const error = yield* Effect.flip(sql.notify("c", "x".repeat(8000)))
        assert.strictEqual(error._tag, "SqlError")
        yield* failsWith(SqlPool.refineErrors(sql.notify("c", "x".repeat(8000))), "StatementError")
        const stream = sql.listen("x".repeat(64))
        assert.strictEqual((yield* Effect.flip(Stream.runDrain(stream)))._tag, "SqlError")
        yield* failsWith(Stream.runDrain(SqlPool.refineStreamErrors(stream)), "StatementError")
      }).pipe(Effect.provide(PgPool.layer(yield* options)))
    }))
})

/** what the official layers take, ours take */
const unknown: Exclude<keyof PgClient.PgClientConfig, keyof PgPool.PgPoolOptions> extends never ? true : false = true
const layerOf = (config: PgClient.PgClientConfig) => PgPool.layer(config)
const layerConfigOf = (config: Config.Config.Wrap<PgClient.PgClientConfig>) => PgPool.layerConfig(config)

describe("the configuration of @effect/sql-pg", () => {
  const settings = Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ readonly app: string }>`select current_setting('application_name') as app`
    const { config } = yield* PgClient.PgClient
    return { ...row, team: config.spanAttributes?.team, max: config.maxConnections }
  })
  const env = ConfigProvider.fromMap(new Map([["APP", "from_env"], ["TEAM", "blue"], ["MAX", "2"], ["PASSWORD", "x"]]))

  it.scopedLive("is taken as it is, as one Config, and with Configs inside", () =>
    Effect.gen(function*() {
      assert.isTrue(unknown)
      const { url } = yield* server
      const [app, team, max] = [Config.string("APP"), Config.string("TEAM"), Config.integer("MAX")]
      const secret = Config.succeed(Redacted.make(url))
      const ways = [
        layerOf({
          url: Redacted.make(url),
          applicationName: "from_env",
          spanAttributes: { team: "blue" },
          maxConnections: 2
        }),
        layerConfigOf(
          Config.all({ url: secret, applicationName: app, spanAttributes: Config.all({ team }), maxConnections: max })
        ),
        layerConfigOf({ url: secret, applicationName: app, spanAttributes: { team }, maxConnections: max }),
        PgPool.layerConfig({
          url: Redacted.make(url),
          applicationName: app,
          spanAttributes: { team, size: 2 },
          parameters: { TimeZone: "UTC", search_path: app },
          setup: () => Effect.void,
          // no Config, though there is one in it
          password: Effect.map(Config.string("PASSWORD"), () => Redacted.make(new URL(url).password)),
          maxConnections: 2
        })
      ]
      for (const way of ways) {
        assert.deepStrictEqual(yield* Effect.provide(settings, way).pipe(Effect.withConfigProvider(env)), {
          app: "from_env",
          team: "blue",
          max: 2
        })
      }
    }))
})

class Orders extends PgPool.Tag("test/Orders")<Orders>() {}
class Reports extends SqlPool.Tag("test/Reports")<Reports>() {}

describe("a second database", () => {
  const where = (sql: SqlClient.SqlClient) =>
    Effect.map(sql<{ readonly name: string }>`select current_database() as name`, ([row]) => row!.name)

  it.scopedLive("is a pool under a tag of its own, beside the main one", () =>
    Effect.gen(function*() {
      const { database } = yield* server
      const admin = yield* makeAdmin
      const second = unique("second")
      yield* admin(`create database ${second}`)
      yield* Effect.addFinalizer(() => admin(`drop database ${second} with (force)`))
      const main = yield* options
      const provider = ConfigProvider.fromMap(new Map([["SECOND", second]]))
      const DbLive = Layer.mergeAll(
        PgPool.layer(main),
        PgPool.layerOf(Orders, { ...main, database: second, maxConnections: 2 }),
        PgPool.layerOfConfig(Reports, { ...main, database: Config.string("SECOND"), maxConnections: 1 })
      ).pipe(Layer.provide(Layer.setConfigProvider(provider)))
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const orders = yield* Orders
        const reports = yield* Reports
        assert.deepStrictEqual(
          yield* Effect.all([where(sql), where(orders.client), where(reports.client)]),
          [database, second, second]
        )
        // each statement runs where it belongs, whatever transaction is around it
        const inside = Effect.all([where(sql), where(orders.client), where(reports.client)])
        assert.deepStrictEqual(yield* orders.withTransaction(sql.withTransaction(inside)), [database, second, second])
        assert.deepStrictEqual([orders.dialect, (yield* orders.stats).maxConnections], ["pg", 2])
        assert.strictEqual((yield* reports.stats).maxConnections, 1)
      }).pipe(Effect.provide(DbLive))
    }))

  it.effect("fails as the main one does: a wrong option, a missing value", () =>
    Effect.gen(function*() {
      const wrong = yield* failsWith(
        Effect.scoped(Layer.build(PgPool.layerOf(Orders, { maxConnections: 0 }))),
        "InvalidPoolConfig"
      )
      assert.strictEqual(wrong.option, "maxConnections")
      const missing = Layer.build(PgPool.layerOfConfig(Orders, { url: Config.redacted("ORDERS_URL") })).pipe(
        Effect.scoped,
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map())),
        Effect.flip
      )
      assert.include(String(yield* missing), "ORDERS_URL")
    }))
})
