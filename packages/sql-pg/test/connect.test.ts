import type * as PgPool from "@dbpool/sql-pg/PgPool"
import * as BlackHole from "@dbpool/testing/BlackHole"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { inspect } from "node:util"
import { absent, eventually, failsWith, failure, makeAdmin, makePool, server, timed, unique } from "./support.js"

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
const refusalOf = (options: PgPool.PgPoolOptions) =>
  Effect.gen(function*() {
    const exit = yield* Effect.exit(makePool({ initializeTimeout: "400 millis", ...options }))
    assert.notInclude(everything(exit), secret)
    return exit
  })

describe("a pool that cannot connect", () => {
  it.scopedLive("says at once that the password is wrong: fatal, not retryable", () =>
    Effect.gen(function*() {
      const admin = yield* makeAdmin
      const { database, host, port } = yield* server
      const role = unique("role")
      // the test server trusts its own host; only what is refused there can be seen
      yield* admin(`create role ${role} nologin password 'another'`)
      yield* Effect.addFinalizer(() => admin(`drop role ${role}`))
      const [took, refused] = yield* timed(
        refusalOf({
          url: undefined,
          host,
          port,
          database,
          username: role,
          password: Redacted.make(secret),
          initializeTimeout: "20 seconds"
        })
      )
      const error = yield* failsWith(Effect.flatten(refused), "ConnectFailed")
      assert.isTrue(error.fatal)
      assert.isFalse(error.isRetryable)
      assert.match((error.cause as { readonly code: string }).code, /^28/)
      assert.isBelow(took, 2000)
    }))

  it.scopedLive("says at once that the database does not exist: fatal", () =>
    Effect.gen(function*() {
      const error = yield* failsWith(
        yield* refusalOf({ database: "no_such_database", initializeTimeout: "20 seconds" }),
        "ConnectFailed"
      )
      assert.isTrue(error.fatal)
      assert.include(error.message, `database "no_such_database" does not exist`)
    }))

  it.scopedLive("says at once that the server does not know a setting: fatal", () =>
    Effect.gen(function*() {
      const { url } = yield* server
      const error = yield* failsWith(
        yield* refusalOf({
          url: Redacted.make(`${url}?options=-c%20no_such_setting%3D1`),
          initializeTimeout: "20 seconds"
        }),
        "ConnectFailed"
      )
      assert.isTrue(error.fatal)
    }))

  it.scopedLive("names the host that is unknown, after initializeTimeout", () =>
    Effect.gen(function*() {
      const error = yield* failsWith(
        yield* refusalOf({
          url: Redacted.make(`postgres://nobody:${secret}@no-such-host.invalid/none`)
        }),
        "ConnectFailed"
      )
      assert.isFalse(error.fatal)
      assert.isTrue(error.isRetryable)
      assert.include(error.message, "no-such-host.invalid")
    }))

  it.scopedLive("says that nobody listens on the port", () =>
    Effect.gen(function*() {
      const error = yield* failsWith(
        yield* refusalOf({ url: Redacted.make(`postgres://nobody:${secret}@127.0.0.1:1/none`) }),
        "ConnectFailed"
      )
      assert.include(error.message, "ECONNREFUSED")
    }))

  it.scopedLive("says that a server without TLS has none: fatal", () =>
    Effect.gen(function*() {
      const error = yield* failsWith(yield* refusalOf({ ssl: true, initializeTimeout: "20 seconds" }), "ConnectFailed")
      assert.isTrue(error.fatal)
      assert.include(error.message, "SSL")
    }))

  it.scopedLive("gives up on a server that never answers, and leaves no socket", () =>
    Effect.gen(function*() {
      const hole = yield* BlackHole.make
      const error = yield* failsWith(
        yield* refusalOf({ url: undefined, host: hole.host, port: hole.port, username: "nobody" }),
        "ConnectFailed"
      )
      assert.isFalse(error.fatal)
      yield* eventually(hole.open, (open) => open === 0, "its sockets are closed")
    }))
})

describe("Effect.timeout around an acquire", () => {
  const within = <A, E, R>(what: string, self: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const [took, exit] = yield* timed(Effect.timeout(self, "200 millis"))
      assert.isTrue(Exit.isFailure(exit), what)
      assert.isBelow(took, 1000, what)
    })

  const ways = (pool: PgPool.PgPool): Record<string, Effect.Effect<unknown, unknown>> => ({
    acquire: Effect.scoped(pool.acquire),
    use: pool.use(() => Effect.void),
    statement: pool.client`select 1`,
    stream: Stream.runDrain(pool.client`select 1`.stream),
    reserve: Effect.scoped(pool.client.reserve),
    transaction: pool.withTransaction(Effect.void),
    "transaction of the client": pool.client.withTransaction(Effect.void)
  })

  it.scopedLive("returns in time when the pool is full", () =>
    Effect.gen(function*() {
      const { pool } = yield* makePool({ maxConnections: 1 })
      const holder = yield* Effect.fork(pool.use(() => Effect.never))
      yield* eventually(pool.stats, ({ leased }) => leased === 1, "the pool is full")
      yield* Effect.forEach(Object.entries(ways(pool)), ([name, way]) => within(name, way), {
        concurrency: "unbounded"
      })
      yield* Fiber.interrupt(holder)
    }))

  it.scopedLive("returns in time when the connect hangs", () =>
    Effect.gen(function*() {
      const hole = yield* BlackHole.make
      const scope = yield* Scope.make()
      const { pool } = yield* Scope.extend(
        makePool({
          url: undefined,
          host: hole.host,
          port: hole.port,
          username: "nobody",
          initialize: "lazy",
          connectTimeout: "30 seconds"
        }),
        scope
      )
      yield* Effect.forEach(Object.entries(ways(pool)), ([name, way]) => within(name, way), {
        concurrency: "unbounded"
      })
      yield* eventually(hole.open, (open) => open > 0, "it is still trying")
      const [took] = yield* timed(Scope.close(scope, Exit.void))
      assert.isBelow(took, 2000)
      yield* eventually(hole.open, (open) => open === 0, "its sockets are closed")
    }))
})

describe("closing", () => {
  it.scopedLive("leaves nothing on the server", () =>
    Effect.gen(function*() {
      const { admin, app, close, pool } = yield* makePool({ maxConnections: 5 })
      yield* Effect.scoped(Effect.replicateEffect(pool.acquire, 5))
      assert.strictEqual((yield* pool.stats).open, 5)
      yield* close
      yield* absent(admin, app)
      yield* failsWith(pool.use(() => Effect.void), "PoolClosed")
    }))

  it.scopedLive("in the middle of statements, transactions and streams ends them, and leaves nothing on the server", () =>
    Effect.gen(function*() {
      const { admin, app, close, pool, sql } = yield* makePool({ maxConnections: 8, shutdownTimeout: "50 millis" })
      const slow = sql`select pg_sleep(30)`
      const fibers = yield* Effect.forEach([
        slow,
        pool.withTransaction(slow),
        pool.use((connection) => connection.query("select pg_sleep(30)")),
        Stream.runDrain(sql`select pg_sleep(30) from generate_series(1, 1000)`.stream),
        pool.withTransaction(Effect.zipRight(sql`select 1`, Effect.never))
      ] as ReadonlyArray<Effect.Effect<unknown, unknown>>, (each) => Effect.forkDaemon(Effect.exit(each)))
      yield* eventually(pool.stats, ({ leased }) => leased === 5, "all of them have a connection")
      const [took] = yield* timed(close)
      assert.isBelow(took, 2500)
      yield* absent(admin, app)
      for (const fiber of fibers.slice(0, 4)) assert.isTrue(Exit.isFailure(yield* Fiber.join(fiber)))
      yield* Fiber.interrupt(fibers[4]!)
    }))

  it.scopedLive("while connections are being opened leaves nothing on the server", () =>
    Effect.gen(function*() {
      const { admin, app, close, sql } = yield* makePool({
        maxConnections: 20,
        connectConcurrency: 20,
        initialize: "lazy"
      })
      const fibers = yield* Effect.replicateEffect(Effect.forkDaemon(Effect.exit(sql`select 1`)), 20)
      yield* close
      yield* Effect.forEach(fibers, Fiber.join)
      yield* absent(admin, app)
    }))
})
