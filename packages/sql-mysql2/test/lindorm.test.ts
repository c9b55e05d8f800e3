/**
 * A server that speaks MySQL's protocol and little else, as LindormTable's MySQL endpoint: no transactions, no
 * COM_RESET_CONNECTION, no COM_CHANGE_USER, no system variables.
 */
import * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
import * as Reactivity from "@effect/experimental/Reactivity"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import mysql from "mysql2"
import type * as net from "node:net"
import { eventually, failsWith, timed } from "./support.js"

const commands = { reset: 0x1f, changeUser: 0x11 }

const column = {
  catalog: "def",
  schema: "",
  table: "",
  orgTable: "",
  name: "one",
  orgName: "one",
  characterSet: 63,
  columnLength: 1,
  columnType: 3,
  flags: 129,
  decimals: 0
}

interface Fake {
  readonly commands: Array<string>
  readonly port: number
  /** what it knows besides */
  readonly knows: Set<"reset" | "changeUser">
}

const makeServer = (status: number) =>
  Effect.acquireRelease(
    Effect.async<{ readonly fake: Fake; readonly server: any; readonly sockets: Set<net.Socket> }>((resume) => {
      const server: any = mysql.createServer(() => {})
      const sockets = new Set<net.Socket>()
      const fake = { commands: new Array<string>(), knows: new Set<"reset" | "changeUser">(), port: 0 }
      let id = 0
      server.on("connection", (connection: any) => {
        sockets.add(connection.stream)
        connection.on("error", () => {})
        connection.serverHandshake({
          protocolVersion: 10,
          serverVersion: "5.7.0-lindorm",
          connectionId: ++id,
          statusFlags: status,
          characterSet: 8,
          capabilityFlags: 0xffffff ^ 0x0800,
          authCallback: (_: unknown, accept: (error: null) => void) => {
            accept(null)
            connection.sequenceId = 0
          }
        })
        // `mysql2` does not number the packets of a server anew for each command
        const answer = (write: () => void) => () => {
          connection.sequenceId = 1
          write()
          connection.sequenceId = 0
        }
        const ok = answer(() => connection.writeOk({ affectedRows: 0, serverStatus: status }))
        const refuse = (code: number, message: string) => answer(() => connection.writeError({ code, message }))()
        const one = answer(() => {
          connection.writeColumns([column])
          connection.writeTextRow(["1"])
          connection.writeEof(0, status)
        })
        connection.on("query", (sql: string) => {
          fake.commands.push(sql)
          if (sql.includes("sleep")) connection.sequenceId = 0
          else if (sql.includes("too late")) {
            connection.sequenceId = 0
            connection.writeError({ code: 4031, message: "The client was disconnected because of inactivity." })
            connection.stream.end()
          } else if (sql.includes("@@")) refuse(1064, "no such thing here")
          else if (sql.startsWith("select 1")) one()
          else ok()
        })
        // what begins with SET is taken for a statement to be prepared
        connection.on("stmt_prepare", (sql: string) => {
          fake.commands.push(sql)
          ok()
        })
        connection.on("ping", ok)
        connection.on("packet", (_: unknown, known: boolean, code: number) => {
          if (known) return
          const name = code === commands.reset ? "reset" : code === commands.changeUser ? "changeUser" : undefined
          fake.commands.push(name ?? `command ${code}`)
          if (name !== undefined && fake.knows.has(name)) ok()
          else refuse(1047, "Unknown command")
        })
      })
      server.listen(0, "127.0.0.1")
      server._server.once("listening", () => {
        const { port } = server._server.address() as net.AddressInfo
        resume(Effect.succeed({ fake: Object.assign(fake, { port }), server, sockets }))
      })
    }),
    ({ server, sockets }) =>
      Effect.sync(() => {
        server.close()
        for (const socket of sockets) socket.destroy()
      })
  ).pipe(Effect.map(({ fake }) => fake))

const makePool = (fake: Fake, options: MysqlPool.MysqlPoolOptions = {}) =>
  MysqlPool.make({
    host: "127.0.0.1",
    port: fake.port,
    username: "root",
    database: "default",
    maxConnections: 1,
    shutdownTimeout: "100 millis",
    ...options
  }).pipe(Effect.provide(Reactivity.layer))

const one = (pool: MysqlPool.MysqlPool) =>
  pool.use((connection) => connection.query("select 1 as one", [], { unprepared: true }))

describe("the last word of a MySQL server to a connection that was idle for too long (4031)", () => {
  it.scopedLive("means that what was sent meanwhile was not executed: NoSuchConnection, or sent again", () =>
    Effect.gen(function*() {
      const fake = yield* makeServer(2)
      const pool = yield* makePool(fake)
      yield* one(pool)
      const late = pool.use((connection) => connection.query("select 'too late'", [], { unprepared: true }))
      yield* failsWith(late, "NoSuchConnection")
      assert.deepStrictEqual<unknown>(yield* one(pool), [{ one: 1 }])
      // a statement of `SqlClient` is sent once more by the pool
      yield* Effect.exit(pool.client.unsafe("select 'too late'").unprepared)
      assert.strictEqual(fake.commands.filter((text) => text.includes("too late")).length, 3)
    }))
})

describe("a server without transactions, resets and system variables", () => {
  for (const [says, status] of [["that it commits every statement", 2], ["nothing about committing", 0]] as const) {
    it.scopedLive(`works with the default reset, which sends it nothing; one that says ${says}`, () =>
      Effect.gen(function*() {
        const fake = yield* makeServer(status)
        const pool = yield* makePool(fake)
        for (let i = 0; i < 3; i++) assert.deepStrictEqual<unknown>(yield* one(pool), [{ one: 1 }])
        assert.strictEqual((yield* pool.stats).opened, 1)
        assert.deepStrictEqual(fake.commands.filter((text) => /rollback|begin|start|reset|changeUser/i.test(text)), [])
        assert.strictEqual(fake.commands.filter((text) => text.startsWith("select 1")).length, 3)
      }))
  }

  it.scopedLive("cannot forget a session: with reset \"session\" its connections are used once, and it says why", () =>
    Effect.gen(function*() {
      const fake = yield* makeServer(2)
      const pool = yield* makePool(fake, { reset: "session" })
      yield* one(pool)
      yield* one(pool)
      yield* eventually(pool.stats, ({ retired }) => retired.unrestored >= 2, "each was given up")
      const tried = fake.commands.filter((text) => text === "reset" || text === "changeUser")
      assert.strictEqual(tried[0], "reset")
      assert.isTrue(tried.slice(1).every((text) => text === "changeUser"), tried.join())
    }))

  it.scopedLive("that knows COM_CHANGE_USER alone has its sessions forgotten by that", () =>
    Effect.gen(function*() {
      const fake = yield* makeServer(2)
      fake.knows.add("changeUser")
      const pool = yield* makePool(fake, { reset: "session" })
      for (let i = 0; i < 3; i++) yield* one(pool)
      yield* eventually(pool.stats, ({ idle }) => idle === 1, "it is back")
      assert.strictEqual((yield* pool.stats).opened, 1)
      const resets = fake.commands.filter((text) => /^(reset|changeUser|SET NAMES)/.test(text))
      const forget = ["changeUser", "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci, autocommit = 1"]
      assert.deepStrictEqual(resets.slice(0, 7), ["reset", ...forget, ...forget, ...forget])
      assert.notInclude(resets.slice(1), "reset")
    }))

  it.scopedLive("cannot be told to cancel: the connection of an interrupted statement is given up", () =>
    Effect.gen(function*() {
      const fake = yield* makeServer(2)
      const pool = yield* makePool(fake)
      const hanging = pool.use((connection) => connection.query("select sleep(1)", [], { unprepared: true }))
      const [took] = yield* timed(Effect.timeoutOption(hanging, "50 millis"))
      assert.isBelow(took, 1000)
      assert.deepStrictEqual<unknown>(yield* one(pool), [{ one: 1 }])
      assert.strictEqual((yield* pool.stats).opened, 2)
      const lost = yield* failsWith(
        pool.use((connection) =>
          Effect.zipRight(
            Effect.timeoutOption(connection.query("select sleep(1)", [], { unprepared: true }), "50 millis"),
            connection.query("select 1", [], { unprepared: true })
          )
        ),
        "NoSuchConnection"
      )
      assert.include(lost.message, "cancel")
    }))
})
