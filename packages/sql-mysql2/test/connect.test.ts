import type * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
import * as BlackHole from "@dbpool/testing/BlackHole"
import * as MariaServer from "@dbpool/testing/MariaServer"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { inspect } from "node:util"
import { eventually, failsWith, failure, isMysql, makePool, quiet, running, timed } from "./support.js"

const secret = "s3cr3t-pa55"

/** everything that a log could show of an exit */
const everything = (exit: Exit.Exit<unknown, { readonly message: string }>) => {
  const error = failure(exit)
  return [
    error.message,
    String(error),
    JSON.stringify(error),
    inspect(error, { depth: 20, showHidden: true }),
    Exit.isFailure(exit) ? Cause.pretty(exit.cause, { renderErrorCause: true }) : ""
  ].join("\n")
}

/** what building a pool says, which must not take long, nor say too much */
const refusalOf = (options: MysqlPool.MysqlPoolOptions) =>
  Effect.gen(function*() {
    const exit = yield* Effect.exit(makePool({ initializeTimeout: "400 millis", ...options }))
    assert.notInclude(everything(exit), secret)
    return exit
  })

const fatally = (options: MysqlPool.MysqlPoolOptions, errno: number | undefined) =>
  Effect.gen(function*() {
    const [took, refused] = yield* timed(refusalOf({ initializeTimeout: "20 seconds", ...options }))
    const error = yield* failsWith(Effect.flatten(refused), "ConnectFailed")
    assert.isTrue(error.fatal)
    assert.isFalse(error.isRetryable)
    assert.strictEqual((error.cause as { readonly errno?: number }).errno, errno)
    assert.isBelow(took, 5000)
    return error
  })

describe("a pool that cannot connect", () => {
  it.scopedLive("says at once that the password is wrong, or the database unknown or not for this account: fatal", () =>
    Effect.gen(function*() {
      yield* fatally({ password: Redacted.make(secret) }, 1045)
      assert.include((yield* fatally({ database: "no_such_database" }, 1049)).message, "no_such_database")
    }))

  it.scopedLive("says at once that its setup is wrong: fatal", () =>
    Effect.map(fatally({ setup: ["selec 1"] }, undefined), ({ message }) => assert.include(message, "syntax")))

  it.scopedLive("says at once that a server has no TLS, or a certificate that nobody vouches for: fatal", () =>
    Effect.gen(function*() {
      const { message } = yield* fatally({ ssl: true }, undefined)
      assert.include(message, (yield* isMysql) ? "self-signed certificate" : "secure connection")
    }))

  it.scopedLive("names the host that is unknown, or that nobody listens, after initializeTimeout", () =>
    Effect.gen(function*() {
      const unknown = yield* failsWith(yield* refusalOf({ host: "no-such-host.invalid" }), "ConnectFailed")
      assert.isFalse(unknown.fatal)
      assert.isTrue(unknown.isRetryable)
      assert.include(unknown.message, "no-such-host.invalid")
      const nobody = yield* failsWith(yield* refusalOf({ host: "127.0.0.1", port: 1 }), "ConnectFailed")
      assert.include(nobody.message, "ECONNREFUSED")
    }))

  it.scopedLive("gives up on a server that never answers after connectTimeout, and leaves no socket", () =>
    Effect.gen(function*() {
      const hole = yield* BlackHole.make
      const error = yield* failsWith(
        yield* refusalOf({ host: hole.host, port: hole.port, connectTimeout: "150 millis" }),
        "ConnectFailed"
      )
      assert.isFalse(error.fatal)
      assert.include(error.message, "150")
      yield* eventually(hole.open, (open) => open === 0, "its sockets are closed")
    }))
})

describe("a password", () => {
  it.scopedLive("that is an effect is asked for every connection, and again when the server refuses what it gave", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      let known = "first"
      const { admin, app } = yield* makePool({ initialize: "lazy" })
      yield* admin(`alter user ${app} identified by 'first'`)
      const rotating = yield* makePool({
        username: app,
        password: Effect.sync(() => {
          asked.push(known)
          return Redacted.make(known)
        }).pipe(Effect.tap(() => Effect.sync(() => known = "second"))),
        maxConnections: 2
      })
      yield* admin(`alter user ${app} identified by 'second'`)
      yield* Effect.replicateEffect(rotating.sql`select sleep(0.05)`, 2, { concurrency: 2 })
      assert.deepStrictEqual(asked, ["first", "second"])
      // a cancel logs in by the last one
      const fiber = yield* Effect.fork(rotating.sql`select sleep(30)`)
      yield* running(admin, app, "sleep")
      yield* Fiber.interrupt(fiber)
      yield* quiet(admin, app)
    }))

  it.scopedLive("that is not to be had fails the connect, which says why, and is tried again", () =>
    Effect.gen(function*() {
      const password = Effect.fail(new Error("the vault is sealed"))
      const error = yield* failsWith(yield* refusalOf({ password }), "ConnectFailed")
      assert.isFalse(error.fatal)
      assert.include(error.message, "the vault is sealed")
    }))
})

describe("a connection", () => {
  it.scopedLive("speaks the character set that was asked for", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool({ charset: "latin1" })
      const [row] = yield* sql`select @@character_set_client as c, ${"ü"} as u, hex(${"ü"}) as h`
      assert.deepStrictEqual<unknown>(row, { c: "latin1", u: "ü", h: "FC" })
      const { sql: bin } = yield* makePool({ charset: "utf8mb4_bin" })
      const [is] = yield* bin`select @@collation_connection as c`
      assert.deepStrictEqual<unknown>(is, { c: "utf8mb4_bin" })
    }))

  it.scopedLive("commits every statement, though the server is configured not to", () =>
    Effect.gen(function*() {
      const { admin } = yield* makePool()
      yield* Effect.acquireRelease(admin("set global autocommit = 0"), () => admin("set global autocommit = 1"))
      const { sql } = yield* makePool({ maxConnections: 1, reset: "session" })
      for (let i = 0; i < 2; i++) {
        const [row] = yield* sql`select @@autocommit as a`
        assert.deepStrictEqual<unknown>(row, { a: 1 })
      }
    }))

  it.scopedLive("can be compressed", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1, poolConfig: { compress: true } })
      const long = "x".repeat(100_000)
      assert.deepStrictEqual<unknown>(yield* sql`select ${long} as a`, [{ a: long }])
      yield* Effect.exit(pool.withTransaction(sql`selec`))
      yield* pool.withTransaction(sql`select 1`)
      const [row] = yield* sql`show session status like 'Compression'`
      assert.deepStrictEqual<unknown>(row, { Variable_name: "Compression", Value: "ON" })
    }))

  it.scopedLive("does not hand files of this machine to a server that asks for them", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool()
      const load = "load data local infile '/etc/hostname' into table no_such_table"
      yield* failsWith(pool.use((connection) => connection.query(load, [], { unprepared: true })), "StatementError")
    }))
})

/** a certificate for these names, signed by itself; its key goes away with the scope */
const certificate = (names: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "dbpool-tls-"))),
      (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true }))
    ),
    (directory) => {
      const [key, cert] = [Path.join(directory, "key.pem"), Path.join(directory, "cert.pem")]
      execFileSync("openssl", [
        ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
        ...["-subj", "/CN=test", "-addext", `subjectAltName=${names}`, "-keyout", key, "-out", cert]
      ], { stdio: "pipe" })
      Fs.chmodSync(directory, 0o755)
      Fs.chmodSync(key, 0o644)
      return { key, cert, ca: Fs.readFileSync(cert, "utf8") }
    }
  )

describe("TLS", () => {
  it.scopedLive("encrypts connections and cancels, and checks the certificate and whose it is", () =>
    Effect.gen(function*() {
      const { ca, cert, key } = yield* certificate("DNS:localhost")
      const own = yield* MariaServer.make({
        settings: { ssl_cert: cert, ssl_key: key, performance_schema: "on" }
      })
      const cipher = "show session status like 'Ssl_cipher'"
      const ssl = { ca, verifyIdentity: true }
      const { admin, app, sql } = yield* makePool({
        host: "localhost",
        ssl,
        applicationName: "till",
        maxConnections: 1
      }, own)
      yield* admin(`alter user ${app} require ssl`)
      const [row] = yield* sql.unsafe<{ readonly Value: string }>(cipher)
      assert.match(row!.Value, /AES|CHACHA/)
      const [program] = yield* admin(
        "select attr_value as v from performance_schema.session_connect_attrs where attr_name = 'program_name' and attr_value = 'till'"
      )
      assert.deepStrictEqual(program, { v: "till" })
      const fiber = yield* Effect.fork(sql`select sleep(30)`)
      const id = yield* running(admin, app, "sleep")
      yield* Fiber.interrupt(fiber)
      const [again] = yield* sql`select connection_id() as id`
      assert.deepStrictEqual<unknown>(again, { id })
      const bad: ReadonlyArray<MysqlPool.MysqlPoolOptions> = [
        { host: "localhost", ssl: true },
        // the certificate is for localhost
        { host: "127.0.0.1", ssl }
      ]
      for (const options of bad) {
        const exit = yield* Effect.exit(makePool({ initializeTimeout: "20 seconds", ...options }, own))
        const error = yield* failsWith(exit, "ConnectFailed")
        assert.isTrue(error.fatal, error.message)
      }
      const { sql: trusting } = yield* makePool({ host: "127.0.0.1", ssl: { rejectUnauthorized: false } }, own)
      const [encrypted] = yield* trusting.unsafe<{ readonly Value: string }>(cipher)
      assert.match(encrypted!.Value, /AES|CHACHA/)
    }))
})

describe("Effect.timeout around a transaction", () => {
  it.scopedLive("is kept while the pool is busy", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({ maxConnections: 1 })
      const holder = yield* Effect.fork(pool.use(() => Effect.never))
      yield* eventually(pool.stats, ({ leased }) => leased === 1, "the pool is full")
      for (const way of [sql.withTransaction(Effect.void), pool.withTransaction(Effect.void), sql`select 1`]) {
        const [took, exit] = yield* timed(Effect.timeout(way as Effect.Effect<unknown, unknown>, "300 millis"))
        assert.isTrue(Exit.isFailure(exit))
        assert.isBelow(took, 1000)
      }
      yield* Fiber.interrupt(holder)
    }))
})
