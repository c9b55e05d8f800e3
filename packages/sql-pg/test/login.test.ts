/** What is sent when a connection is opened: settings, passwords that change, and what happens when they are refused. */
import type * as PgPool from "@dbpool/sql-pg/PgPool"
import * as PgServer from "@dbpool/testing/PgServer"
import { assert, describe, it, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as net from "node:net"
import { inspect } from "node:util"
import { absent, eventually, failsWith, failure, makePool, running, server, unique } from "./support.js"

const secret = "s3cr3t-pa55"

describe("the settings of a session", () => {
  const settings = (options: PgPool.PgPoolOptions, names: ReadonlyArray<string>) =>
    Effect.scoped(
      Effect.flatMap(makePool({ maxConnections: 1, ...options }), ({ pool }) =>
        pool.use((connection) =>
          Effect.forEach(names, (name) =>
            Effect.map(connection.values("select current_setting($1)", [name]), ([row]) =>
              row![0] as string))
        ))
    )

  it.scopedLive("are those of `parameters` and the timeouts, from the first statement on", () =>
    Effect.gen(function*() {
      const given: PgPool.PgPoolOptions = {
        parameters: {
          search_path: "\"it's\", public",
          TimeZone: "Asia/Kathmandu",
          statement_timeout: 1234,
          enable_seqscan: false,
          "dbpool.own": "a b=c\\d"
        },
        lockTimeout: "2 seconds",
        idleInTransactionTimeout: Duration.minutes(3),
        clientConnectionCheckInterval: 700
      }
      assert.deepStrictEqual(
        yield* settings(given, [
          "search_path",
          "TimeZone",
          "statement_timeout",
          "enable_seqscan",
          "dbpool.own",
          "lock_timeout",
          "idle_in_transaction_session_timeout",
          "client_connection_check_interval"
        ]),
        ["\"it's\", public", "Asia/Kathmandu", "1234ms", "off", "a b=c\\d", "2s", "3min", "700ms"]
      )
    }))

  it.scopedLive("survive a reset of the whole session", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool({
        maxConnections: 1,
        reset: "session",
        parameters: { TimeZone: "Asia/Kathmandu" }
      })
      yield* pool.use((connection) => connection.query("set timezone to 'UTC'"))
      const rows = yield* pool.use((connection) => connection.values("show timezone"))
      assert.deepStrictEqual([rows, (yield* pool.stats).opened], [[["Asia/Kathmandu"]], 1])
    }))

  it.scopedLive("let the server notice that its client has gone, unless that is turned off", () =>
    Effect.gen(function*() {
      const name = ["client_connection_check_interval"]
      const { url: _ } = yield* server
      assert.deepStrictEqual(yield* settings({}, name), ["5s"])
      assert.deepStrictEqual(yield* settings({ clientConnectionCheckInterval: 0 }, name), ["0"])
      assert.deepStrictEqual(yield* settings({ clientConnectionCheckInterval: "0 seconds" }, name), ["0"])
      assert.deepStrictEqual(yield* settings({ parameters: { [name[0]!]: "9s" } }, name), ["9s"])
      assert.deepStrictEqual(yield* settings({ transactionPooling: true }, name), ["0"])
    }))

  it.scopedLive("that the server does not know are fatal, and named", () =>
    Effect.gen(function*() {
      const error = yield* failsWith(
        makePool({ parameters: { no_such_setting: 1 }, initializeTimeout: "20 seconds" }),
        "ConnectFailed"
      )
      assert.isTrue(error.fatal)
      assert.include(error.message, "no_such_setting")
    }))

  it.scopedLive("that cannot be are refused before anything is opened, by the option's name", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [string, unknown]> = [
        ["parameters", { parameters: "search_path=x" }],
        ["parameters", { parameters: { "search path": "x" } }],
        ["parameters", { parameters: { search_path: "a\0b" } }],
        ["parameters", { parameters: { search_path: undefined } }],
        ["parameters", { parameters: { user: "x" } }],
        ["parameters", { parameters: { Application_Name: "x" } }],
        ["parameters", { parameters: { client_encoding: "LATIN1" } }],
        ["lockTimeout", { lockTimeout: 0 }],
        ["lockTimeout", { lockTimeout: "1000 days" }],
        ["lockTimeout", { lockTimeout: "1 second", parameters: { LOCK_TIMEOUT: 5 } }],
        ["idleInTransactionTimeout", { idleInTransactionTimeout: -1 }],
        ["clientConnectionCheckInterval", { clientConnectionCheckInterval: -1 }],
        ["clientConnectionCheckInterval", { clientConnectionCheckInterval: "-1 seconds" }],
        ["keepAliveInitialDelay", { keepAliveInitialDelay: "no" }],
        ["keepAlive", { keepAlive: "yes" }],
        ["transactionPooling", { transactionPooling: 1 }],
        ["reset", { transactionPooling: true, reset: "session" }],
        ["preparedStatements", { preparedStatements: -1 }],
        ["preparedStatements", { preparedStatements: 1.5 }],
        ["stream", { stream: {} }],
        ["password", { password: secret }],
        ["credentials", { database: "d", credentials: { username: "u", password: secret } }],
        ["credentials", { database: "d", credentials: { password: Redacted.make(secret) } }],
        ["credentials", { username: "u", credentials: { username: "u", password: Redacted.make(secret) } }],
        ["credentials", { password: Redacted.make(secret), credentials: Effect.never }],
        ["database", { url: undefined, credentials: Effect.never }],
        ["connectionTTL", { connectionTTL: 0 }],
        ["connectionTTL", { connectionTTL: "1 minute", maxLifetime: "1 minute" }]
      ]
      for (const [option, options] of cases) {
        const error = yield* failsWith(makePool(options as PgPool.PgPoolOptions), "InvalidPoolConfig")
        assert.strictEqual(error.option, option, error.message)
        assert.notInclude(inspect(error, { depth: 20, showHidden: true }), secret)
      }
    }))
})

describe("options of @effect/sql-pg", () => {
  it.scopedLive("`connectionTTL` is `maxLifetime`", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ connectionTTL: "50 millis", maxConnections: 1 })
      yield* sql`select 1`
      yield* Effect.sleep("60 millis")
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, 2)
    }))

  it.scopedLive("`stream` makes the sockets of connections and of cancels", () =>
    Effect.gen(function*() {
      const made: Array<net.Socket> = []
      const { pool, sql } = yield* makePool({ maxConnections: 1, stream: () => recorded(made) })
      yield* Effect.exit(Effect.timeout(sql`select pg_sleep(30)`, "50 millis"))
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).opened, 1)
      assert.strictEqual(made.length, 2)
    }))
})

/** a socket that is remembered */
const recorded = (made: Array<net.Socket>) => {
  const socket = new net.Socket()
  made.push(socket)
  return socket
}

describe("a peer that vanished", () => {
  it.scopedLive("is noticed by the system's probes, unless they are turned off", () =>
    Effect.gen(function*() {
      const probes = (options: PgPool.PgPoolOptions) =>
        Effect.gen(function*() {
          const asked: Array<unknown> = []
          yield* makePool({
            ...options,
            stream: () => {
              const socket = new net.Socket()
              socket.setKeepAlive = (...args) => {
                asked.push(args)
                return socket
              }
              return socket
            }
          })
          return asked
        })
      assert.deepStrictEqual(yield* probes({}), [[true, 10_000]])
      assert.deepStrictEqual(yield* probes({ keepAliveInitialDelay: "1 minute" }), [[true, 60_000]])
      assert.deepStrictEqual(yield* probes({ keepAlive: false }), [])
    }))

  it.scopedLive("is noticed by the server in the middle of a statement, by clientConnectionCheckInterval", () =>
    Effect.gen(function*() {
      const made: Array<net.Socket> = []
      const { admin, app, pool } = yield* makePool({
        maxConnections: 1,
        clientConnectionCheckInterval: "100 millis",
        stream: () => recorded(made)
      })
      const fiber = yield* Effect.fork(Effect.exit(pool.use((connection) => connection.query("select pg_sleep(30)"))))
      yield* running(admin, app, "pg_sleep")
      // as when the process is killed: no goodbye, and no cancel
      made[0]!.destroy()
      yield* absent(admin, app)
      yield* failsWith(Effect.flatten(Fiber.join(fiber)), "ConnectionLost")
      assert.strictEqual(made.length, 1)
    }))
})

/** a role of its own, whose password can be changed */
const makeRole = Effect.gen(function*() {
  const { database, host, port, url } = yield* PgServer.PgServer
  const { pool } = yield* makePool({ url: Redacted.make(url) })
  const admin = (sql: string) => Effect.orDie(pool.use((connection) => connection.query(sql)))
  const username = unique("role")
  const change = (password: string) => admin(`alter role ${username} password '${password}'`)
  yield* admin(`create role ${username} login password '${secret}-1'`)
  yield* Effect.addFinalizer(() => admin(`drop role ${username}`))
  return { change, address: { url: undefined, host, port, database, username } }
})

// a server of its own: one that trusts this host would take any password
layer(PgServer.layer(), { excludeTestServices: true })("a password that is an effect", (it) => {
  it.scoped("is asked for by every connection that is opened, so that it can change", () =>
    Effect.gen(function*() {
      const { address, change } = yield* makeRole
      let current = 1
      let asked = 0
      const { pool } = yield* makePool({
        ...address,
        maxIdle: 0,
        password: Effect.sync(() => {
          asked++
          return Redacted.make(`${secret}-${current}`)
        })
      })
      yield* pool.use(() => Effect.void)
      yield* change(`${secret}-2`)
      current = 2
      yield* pool.use(() => Effect.void)
      yield* pool.use(() => Effect.void)
      assert.strictEqual(asked, (yield* pool.stats).opened)
    }))

  it.scoped("that is refused is asked for once more, at once; then it is fatal", () =>
    Effect.gen(function*() {
      const { address } = yield* makeRole
      const passwords = (given: Array<string>) =>
        Effect.sync(() => Redacted.make(`${secret}-${given.shift() ?? "none"}`))
      const stale = ["old", "1"]
      const { pool } = yield* makePool({ ...address, password: passwords(stale), initializeTimeout: "20 seconds" })
      assert.deepInclude(yield* pool.stats, { opened: 1, connectFailures: 0 })
      const wrong = ["old", "old", "1"]
      const exit = yield* Effect.exit(
        makePool({ ...address, password: passwords(wrong), initializeTimeout: "20 seconds" })
      )
      const error = failure(exit)
      assert.deepInclude(error, { _tag: "ConnectFailed", fatal: true })
      assert.deepStrictEqual(wrong, ["1"])
      assert.notInclude(inspect(exit, { depth: 20, showHidden: true }), secret)
    }))

  it.scoped("that cannot be had is a failed connect that is tried again, and says why", () =>
    Effect.gen(function*() {
      const { address } = yield* makeRole
      let tries = 0
      const password = Effect.suspend(() =>
        ++tries < 3 ? Effect.fail(new Error("the vault is sealed")) : Effect.succeed(Redacted.make(`${secret}-1`))
      )
      const { pool } = yield* makePool({ ...address, password, initializeTimeout: "20 seconds" })
      assert.deepInclude(yield* pool.stats, { connectFailures: 2, opened: 1 })
      const error = yield* failsWith(
        makePool({ ...address, password: Effect.fail("no vault"), initializeTimeout: "200 millis" }),
        "ConnectFailed"
      )
      assert.isFalse(error.fatal)
      assert.include(error.message, "the login could not be had: no vault")
    }))

  it.scoped("may take its time, within connectTimeout, and need services of the program", () =>
    Effect.gen(function*() {
      const { address } = yield* makeRole
      class Vault extends Context.Tag("test/Vault")<Vault, { readonly password: string }>() {}
      const password = Effect.delay(Effect.map(Vault, (vault) => Redacted.make(vault.password)), "100 millis")
      const pool = yield* Effect.provideService(makePool({ ...address, password }), Vault, { password: `${secret}-1` })
      yield* pool.pool.use(() => Effect.void)
      const slow = yield* failsWith(
        makePool({ ...address, password: Effect.never, connectTimeout: "50 millis", initializeTimeout: "200 millis" }),
        "ConnectFailed"
      )
      assert.isFalse(slow.fatal)
    }))

  it.scoped("may come with a user, who can change too", () =>
    Effect.gen(function*() {
      const roles = [yield* makeRole, yield* makeRole, yield* makeRole]
      const credentialsOf = (n: number) => ({
        username: roles[n]!.address.username,
        password: Redacted.make(`${secret}-1`)
      })
      let current = 0
      let asked = 0
      const { pool } = yield* makePool({
        ...roles[0]!.address,
        username: undefined,
        maxIdle: 0,
        credentials: Effect.sync(() => {
          asked++
          return credentialsOf(current)
        })
      })
      const users: Array<unknown> = []
      for (current of [0, 1, 2, 0]) {
        const rows = yield* pool.use((connection) => connection.values("select current_user"))
        users.push(roles.findIndex(({ address }) => address.username === rows[0]![0]))
      }
      assert.deepStrictEqual(users.slice(1), [1, 2, 0])
      assert.strictEqual(asked, (yield* pool.stats).opened)
      const fixed = yield* makePool({ ...roles[1]!.address, username: undefined, credentials: credentialsOf(1) })
      const rows = yield* fixed.pool.use((connection) => connection.values("select current_user"))
      assert.deepStrictEqual(rows, [[roles[1]!.address.username]])
    }))

  it.scoped("that is refused with its user is asked for once more, as one alone is", () =>
    Effect.gen(function*() {
      const { address } = yield* makeRole
      const given = ["no_such_role", address.username]
      const credentials = Effect.sync(() => ({ username: given.shift()!, password: Redacted.make(`${secret}-1`) }))
      const { pool } = yield* makePool({ ...address, username: undefined, credentials })
      assert.deepInclude(yield* pool.stats, { opened: 1, connectFailures: 0 })
    }))

  it.scoped("is not printed by anything that a pool hands out, nor is one that is a value", () =>
    Effect.gen(function*() {
      const { address } = yield* makeRole
      const { username, ...anybody } = address
      const password = Redacted.make(`${secret}-1`)
      const ways = [
        { ...address, password },
        { ...address, password: Effect.sync(() => password) },
        { ...anybody, credentials: { username, password } },
        { ...anybody, credentials: Effect.sync(() => ({ username, password })) }
      ]
      for (const way of ways) {
        const { pool } = yield* makePool(way)
        const lease = yield* pool.acquire
        const shown = [pool, pool.client, pool.client.config, lease, lease.connection, yield* pool.stats]
          .map((each) => inspect(each, { depth: 20 })).join("\n")
        assert.notInclude(shown, secret)
        yield* eventually(pool.stats, ({ leased }) => leased === 1, "the lease is out")
        assert.notInclude(inspect(yield* Effect.exit(pool.use((c) => c.query("selec 1"))), { depth: 20 }), secret)
        assert.isTrue(Exit.isSuccess(yield* Effect.exit(lease.invalidate)))
      }
    }))
})
