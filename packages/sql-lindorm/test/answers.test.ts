/**
 * What may come instead of an answer, and answers that are not what they look like.
 */
import type { AvaticaError } from "@dbpool/sql-lindorm/AvaticaError"
import { AvaticaProtocolError } from "@dbpool/sql-lindorm/AvaticaError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as gateway from "./gateway.js"
import { eventually, failsWith, makePool, makeTable, shared } from "./support.js"

const make = Effect.gen(function*() {
  const { url } = yield* shared
  const between = yield* gateway.make(url)
  return { url, between, ...yield* makeTable(url, { maxConnections: 1, validateAfterIdle: "1 hour" }, between.url) }
})

const unsigned = (n: number) => n >>> 0

describe("an answer that is none", () => {
  it.scopedLive("before anything was executed replaces the connection, and the statement is sent once more", () =>
    Effect.gen(function*() {
      const { between, names, pool, sql, table } = yield* make
      let id = 0
      const insert = Effect.suspend(() => sql.unsafe(`insert into ${table} values (?, ?)`, [++id, `name ${id}`]))
      for (const status of [401, 403, 404, 502, 503]) {
        between.on("Prepare", async () => gateway.html(status, `Status ${status}`), 1)
        yield* insert
      }
      between.on("Prepare", async () => undefined, 1)
      yield* insert
      assert.strictEqual((yield* names).length, 6)
      assert.strictEqual((yield* pool.stats).opened, 7)
    }))

  it.scopedLive("to what may have been executed is ConnectionLost: nothing is sent again", () =>
    Effect.gen(function*() {
      const { between, names, pool, sql, table } = yield* make
      const insert = (id: number) =>
        failsWith(
          pool.use((connection) => connection.query(`insert into ${table} values (?, ?)`, [id, `name ${id}`])),
          "ConnectionLost"
        )
      between.on("Execute", async () => gateway.html(503, "Service Unavailable"), 1)
      const unavailable = yield* insert(1)
      assert.include(unavailable.message, "Execute was answered with HTTP status 503")
      assert.include(unavailable.message, "\"Service Unavailable\"")
      assert.instanceOf(unavailable.cause, AvaticaProtocolError)
      // executed, and the answer was lost on its way
      between.on("Execute", gateway.lost, 1)
      yield* insert(2)
      between.on("Execute", async (_, pass) => {
        await pass()
        return gateway.html(502, "Bad Gateway")
      }, 1)
      yield* insert(3)
      assert.deepStrictEqual(yield* names, ["name 2", "name 3"])
      // nor by the client's own repeat
      between.on("Execute", gateway.lost, 1)
      yield* Effect.flip(sql.unsafe(`insert into ${table} values (?, ?)`, [4, "name 4"]))
      assert.strictEqual(between.count("Execute"), 4)
    }))

  it.scopedLive("names what is wrong: another serialization, another question's answer, half an answer, no result", () =>
    Effect.gen(function*() {
      const { between, pool } = yield* make
      const says = (reply: gateway.Reply) =>
        Effect.suspend(() => {
          between.on("PrepareAndExecute", async () => reply, 1)
          return Effect.map(
            failsWith(pool.use((connection) => connection.query("values 1")), "ConnectionLost"),
            ({ message }) => message
          )
        })
      const json = Buffer.from(`{"response":"error","exceptions":null}`)
      assert.include(
        yield* says({ status: 500, headers: { "content-type": "application/json" }, body: json }),
        "the server speaks JSON, and this client protobuf"
      )
      assert.include(yield* says(gateway.answer("Commit", {})), "an answer to another question")
      assert.include(yield* says(gateway.message("Execute", Buffer.from([10, 100, 1]))), "cannot be read")
      assert.include(yield* says(gateway.answer("PrepareAndExecute", {})), "neither a result nor an error")
      assert.include(yield* says({ status: 200, headers: {}, body: Buffer.alloc(0) }), "not from an Avatica server")
    }))
})

describe("an error of the server", () => {
  it.scopedLive("is a missing connection by its code, though it has no text, or by the name of the exception alone", () =>
    Effect.gen(function*() {
      const { between, pool } = yield* make
      const forms = [
        { errorCode: 1 },
        { exceptions: ["org.apache.calcite.avatica.NoSuchConnectionException\n\tat ..."] },
        {
          errorMessage: "NoSuchConnectionException{connectionId='Connection not found: invalid id, closed, or expired'}"
        }
      ]
      for (const form of forms) {
        between.on("CreateStatement", async () => gateway.refusal(form), 1)
        const error = yield* failsWith(pool.use((connection) => connection.query("values 1")), "NoSuchConnection")
        assert.notStrictEqual(error.message.trim(), "")
      }
      assert.strictEqual((yield* pool.stats).opened, 1 + forms.length - 1)
      // after something was executed it proves nothing
      between.on("PrepareAndExecute", async () => gateway.refusal({ errorCode: 1 }), 1)
      yield* failsWith(pool.use((connection) => connection.query("values 1")), "ConnectionLost")
    }))

  it.scopedLive("that says the connection is closed, in the words of a JDBC driver, ends it", () =>
    Effect.gen(function*() {
      const { between, pool } = yield* make
      const words = [
        "RuntimeException: java.sql.SQLNonTransientConnectionException: connection exception: closed",
        "RuntimeException: org.h2.jdbc.JdbcSQLNonTransientException: The object is already closed [90007-232]",
        "org.apache.calcite.avatica.http.ConnectionDisconnectedException: gone"
      ]
      for (const errorMessage of words) {
        between.on("CreateStatement", async () => gateway.refusal({ errorMessage }), 1)
        yield* failsWith(pool.use((connection) => connection.query("values 1")), "NoSuchConnection")
        between.on("PrepareAndExecute", async () => gateway.refusal({ errorMessage }), 1)
        yield* failsWith(pool.use((connection) => connection.query("values 1")), "ConnectionLost")
      }
    }))

  it.scopedLive("keeps its code and SQLSTATE where it has any; -1, which comes as 4294967295, is none", () =>
    Effect.gen(function*() {
      const { between, pool } = yield* make
      const refused = (content: Parameters<typeof gateway.refusal>[0]) =>
        Effect.suspend(() => {
          between.on("PrepareAndExecute", async () => gateway.refusal(content), 1)
          return failsWith(pool.use((connection) => connection.query("values 1")), "StatementError")
        })
      const none = yield* refused({ errorCode: unsigned(-1), exceptions: ["java.lang.RuntimeException: ???\n\tat x"] })
      assert.deepInclude(none, { code: undefined, reason: "Unknown" })
      assert.include(none.message, "java.lang.RuntimeException: ???")
      assert.notInclude(none.message, "4294967295")
      assert.strictEqual((none.cause as AvaticaError).errorCode, -1)
      // as LindormTable numbers them; as Phoenix and H2 write them
      assert.deepInclude(yield* refused({ errorCode: 1064 }), { code: "1064", reason: "Syntax" })
      assert.deepInclude(yield* refused({ errorCode: 3024 }), { code: "3024", reason: "StatementTimeout" })
      assert.deepInclude(yield* refused({ sqlState: "40001" }), { code: "40001", reason: "SerializationFailure" })
      assert.deepInclude(
        yield* refused({
          errorMessage: "PhoenixParserException: ERROR 601 (42P00): Syntax error. Encountered \"selec\""
        }),
        { code: "42P00", reason: "Syntax" }
      )
      assert.deepInclude(
        yield* refused({ errorMessage: "JdbcSQLTimeoutException: Timeout trying to lock table [HYT00-232]" }),
        { code: "HYT00", reason: "LockTimeout" }
      )
      assert.include((yield* refused({ errorCode: 77 })).message, "error 77 without a text")
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})

describe("an answer that does not come", () => {
  it.scopedLive("is waited for readTimeout; then the connection is cut", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const between = yield* gateway.make(url)
      const { names, pool, sql, table } = yield* makeTable(
        url,
        { maxConnections: 1, readTimeout: "1 second" },
        between.url
      )
      const hang = () => new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 3000))
      between.on("Execute", hang, 1)
      const insert = `insert into ${table} values (?, ?)`
      const error = yield* failsWith(pool.use((connection) => connection.query(insert, [1, "one"])), "ConnectionLost")
      assert.include(error.message, "no answer within 1000 ms")
      // of what executes nothing it proves that nothing was executed
      between.on("Prepare", hang, 1)
      yield* sql.unsafe(insert, [1, "one"])
      assert.deepStrictEqual(yield* names, ["one"])
    }))
})

describe("a socket", () => {
  it.scopedLive("belongs to one connection, and is never another one", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const between = yield* gateway.make(url)
      const { pool, sql } = yield* makePool(between.url, { maxConnections: 3 })
      yield* Effect.forEach(Array.from({ length: 60 }, (_, i) => i), (i) => sql.unsafe(`values ${i}`), {
        concurrency: 10
      })
      const { opened } = yield* pool.stats
      assert.strictEqual(between.sockets(), opened)
      const pairs = new Set(between.log.map(({ connectionId, socket }) => `${connectionId} ${socket}`))
      assert.strictEqual(pairs.size, opened)
    }))

  it.scopedLive("that the server closes takes its idle connection with it, and no statement notices", () =>
    Effect.gen(function*() {
      const { between, pool, sql } = yield* make
      yield* sql`values 1`
      yield* between.cut()
      yield* eventually(pool.stats, ({ open }) => open === 0, "the connection is gone")
      assert.deepStrictEqual(yield* sql`values 2`.values, [[2]])
      assert.strictEqual((yield* pool.stats).opened, 2)
    }))
})
