/**
 * Two dialects for the contract suite: plain Avatica over H2, which has transactions, and the server that behaves like
 * LindormTable, which has none.
 */
import * as LindormPool from "@dbpool/sql-lindorm/LindormPool"
import * as AvaticaServer from "@dbpool/testing/AvaticaServer"
import type * as ContractDialect from "@dbpool/testing/ContractDialect"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as gateway from "../gateway.js"
import { remembered } from "../support.js"

const noCancel = "Avatica's protocol cannot cancel a statement"
const inMemory = "its database is in memory, and ends with it"
const noModels = "none of @effect/sql's dialects is Avatica's"
const noListen = "it has no notifications"
const noSharing = "a connection of the protocol takes one request at a time"

const sendsBack = (name: string, type: string, parameter: unknown, expected?: unknown): ContractDialect.TypeCase => ({
  name,
  sql: `select cast(? as ${type}) as "value"`,
  parameter,
  ...(expected === undefined ? {} : { expected })
})

const syntax: ContractDialect.Syntax = {
  placeholder: () => "?",
  one: `select 1 as "one"`,
  series: (rows) => `select cast(X as int) as "n" from system_range(1, ${rows})`,
  createTable: (table) => [`create table ${table} (id int primary key, name varchar)`],
  insert: "insert into",
  wideSeries: (rows) => `select cast(X as int) as "n", repeat('x', 1000) as "text" from system_range(1, ${rows})`,
  failingSeries: (rows, failsAt) =>
    `select 1 / (${failsAt} - X) as "x", cast(X as int) as "n" from system_range(1, ${rows})`,
  types: [
    sendsBack("an integer", "int", -2_147_483_648),
    sendsBack("a bigint keeps all its digits, as a bigint", "bigint", 9007199254740993n),
    sendsBack("a decimal keeps all its digits, as a string", "decimal(38, 9)", "12345678901234567890.123456789"),
    sendsBack("a double", "double", 0.1),
    sendsBack("a boolean", "boolean", false),
    sendsBack("a text with every kind of character", "varchar", "'\"\\ \n\t ünïcödé 🦆 $1 ? --"),
    sendsBack("an empty text is not NULL", "varchar", ""),
    sendsBack("NULL", "int", null),
    sendsBack("bytes", "varbinary", Uint8Array.from([0, 1, 127, 128, 255])),
    sendsBack("a timestamp, as a Date", "timestamp(3)", new Date("2024-02-29T23:59:59.987Z")),
    sendsBack("a date, as a string", "date", "2024-02-29"),
    sendsBack("a time, as a string", "time", "23:59:59"),
    sendsBack("an array", "int array", [3, 1, 2]),
    sendsBack("an array of texts with NULL and commas", "varchar array", ["a,b", null, "{}", "\""]),
    sendsBack("a large text", "varchar", "x".repeat(300_000))
  ]
}

const observe = (options: LindormPool.LindormPoolOptions) =>
  Effect.map(
    Effect.provide(LindormPool.make({ ...options, name: "observer", maxConnections: 1 }), Reactivity.layer),
    ({ client }) => (sql: string): Effect.Effect<ReadonlyArray<any>> => Effect.orDie(client.unsafe(sql))
  )

/**
 * Each pool logs in as a user of its own, by whom its sessions are known; one that is killed ends as on a node that is
 * taken down, with its socket. What a deaf network keeps the pool from closing the server forgets by itself.
 */
export const plain = (): ContractDialect.Dialect => {
  let url = ""
  let query: (sql: string) => Effect.Effect<ReadonlyArray<any>>
  return {
    name: "Avatica over H2",
    server: Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ engine: "h2", connectionExpiry: "2 seconds" })
      const between = yield* gateway.make(server.url)
      url = between.url
      query = yield* observe({ url: server.url, server: "avatica" })
      const opened = (pool: string) =>
        between.log.filter(({ content, name }) =>
          name === "OpenConnection" && content.info.some(({ value }: { readonly value: string }) => value === pool)
        ).map(({ connectionId }) => connectionId)
      return {
        address: between.address,
        query,
        sessions: (pool) =>
          Effect.map(
            remembered(server),
            ({ connections }) =>
              opened(pool).filter((id) => connections.includes(id)).map((id) => ({ id, statement: undefined }))
          ),
        kill: (id) =>
          Effect.zipRight(
            Effect.promise(() => gateway.ask(server.url, "CloseConnection", { connectionId: String(id) })),
            between.cut(String(id))
          )
      }
    }),
    layer: ({ address, password, ...settings }) =>
      Layer.unwrapEffect(Effect.map(
        query(`create user if not exists "${settings.name.toUpperCase()}" password 'right' admin`),
        () =>
          LindormPool.layer({
            ...settings,
            url: address === undefined ? url : `http://${address.host}:${address.port}`,
            server: "avatica",
            user: settings.name,
            password: password ?? Redacted.make("right")
          })
      )),
    syntax: {
      ...syntax,
      isolation:
        `select lower(isolation_level) as "level" from INFORMATION_SCHEMA.SESSIONS where session_id = session_id()`,
      setSerializable: "set session characteristics as transaction isolation level serializable",
      createConstrained: (table) => [
        `create table ${table} (id int primary key, parent int references ${table} (id), name varchar not null,
         amount int check (amount >= 0))`
      ],
      createTemporary: (table) => `create local temporary table ${table} (n int)`,
      setVariable: (value) => `set @contract = '${value}'`,
      variable: `select @contract as "value"`
    },
    capabilities: {
      pool: true,
      sessions: true,
      cancel: noCancel,
      streams: true,
      transactions: true,
      savepoints: true,
      isolation: true,
      readOnly: "H2 takes JDBC's setReadOnly for a hint",
      rawTransactions: "JDBC begins transactions without a statement, and does not tell of one",
      abortedTransactions: "a failed statement leaves the transaction as it was",
      deferredConstraints: "H2 checks constraints at each statement",
      constraints: true,
      rowLocks: true,
      sessionState: true,
      returning: "H2 has FINAL TABLE instead",
      models: noModels,
      listen: noListen,
      sharing: noSharing,
      restart: inMemory
    }
  }
}

/** Autocommit only. */
export const lindorm = (): ContractDialect.Dialect => {
  const account = { user: "root", password: "right" }
  const none = "LindormTable has no transactions"
  let url = ""
  const login = { user: account.user, password: Redacted.make(account.password), database: "test" }
  return {
    name: "LindormTable's like",
    server: Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ lindorm: { ...account, databases: ["test"] } })
      url = server.url
      return {
        address: { host: server.host, port: server.port },
        query: yield* observe({ ...login, url })
      }
    }),
    layer: ({ address, password, ...settings }) =>
      LindormPool.layer({
        ...login,
        ...settings,
        url: address === undefined ? url : `http://${address.host}:${address.port}`,
        password: password ?? login.password
      }),
    syntax: { ...syntax, insert: "upsert into" },
    capabilities: {
      pool: true,
      sessions: "only the server of LindormTable itself could tell",
      cancel: noCancel,
      streams: true,
      transactions: none,
      savepoints: none,
      isolation: none,
      readOnly: none,
      rawTransactions: none,
      abortedTransactions: none,
      deferredConstraints: none,
      constraints: "LindormTable has only primary keys, and UPSERT overwrites",
      rowLocks: none,
      sessionState: "LindormTable has neither temporary tables nor session variables",
      returning: "LindormTable answers no INSERT with rows",
      models: noModels,
      listen: noListen,
      sharing: noSharing,
      restart: inMemory
    }
  }
}
