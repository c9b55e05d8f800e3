/**
 * What most tests need: a pool of their own on the server that all tests of a run share, somebody who looks at that
 * server from outside, and a way to wait for what happens there.
 */
import * as PgPool from "@dbpool/sql-pg/PgPool"
import * as Failure from "@dbpool/testing/Failure"
import * as PgServer from "@dbpool/testing/PgServer"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as net from "node:net"

let names = 0

/** a name that nothing else on the server has */
export const unique = (what: string) => `${what}_${process.pid}_${++names}`

export const server = PgServer.makeTest()

/** runs SQL beside the pool under test, on a connection that nobody kills */
export const makeAdmin = Effect.gen(function*() {
  const { url } = yield* server
  const pool = yield* PgPool.make({
    url: Redacted.make(url),
    applicationName: "dbpool-test-admin",
    name: "admin",
    maxConnections: 1
  }).pipe(Effect.provide(Reactivity.layer))
  return (sql: string, params?: ReadonlyArray<unknown>) =>
    Effect.orDie(pool.use((connection) => connection.query<any>(sql, params)))
})

export type Admin = Effect.Effect.Success<typeof makeAdmin>

/** the backends of an application */
export const backends = (admin: Admin, app: string) =>
  admin("select pid, state, query from pg_stat_activity where application_name = $1 order by pid", [app])

/** waits until a condition holds; the test fails if it does not within 5 s */
export const eventually = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  holds: (a: A) => boolean,
  what: string
): Effect.Effect<A, never, R> => {
  const look: Effect.Effect<A, E, R> = Effect.flatMap(
    self,
    (a) => holds(a) ? Effect.succeed(a) : Effect.zipRight(Effect.sleep("5 millis"), look)
  )
  return look.pipe(
    // in finalizers too, where it could not be given up otherwise
    Effect.interruptible,
    Effect.timeoutFail({ duration: "5 seconds", onTimeout: () => new Error(`never happened: ${what}`) }),
    Effect.orDie
  )
}

/** waits until the server runs a statement that looks like that for an application */
export const running = (admin: Admin, app: string, text: string) =>
  Effect.map(
    eventually(
      backends(admin, app),
      (rows) => rows.some(({ query, state }) => state === "active" && query.includes(text)),
      `${text} runs`
    ),
    (rows) => rows.find(({ query }) => query.includes(text)).pid as number
  )

/** waits until the server runs nothing for an application */
export const quiet = (admin: Admin, app: string) =>
  eventually(backends(admin, app), (rows) => rows.every(({ state }) => state !== "active"), "the server is quiet")

/** waits until the server has no connection of an application */
export const absent = (admin: Admin, app: string) =>
  eventually(backends(admin, app), (rows) => rows.length === 0, "every connection is closed")

/**
 * A pool in the test's scope. At the end of a test that went well, every lease is back, and after the pool is closed
 * nothing of it is left on the server.
 */
export const makePool = <RS = never, RR = never, RP = never>(options: PgPool.PgPoolOptions<RS, RR, RP> = {}) =>
  Effect.gen(function*() {
    const { url } = yield* server
    const admin = yield* makeAdmin
    const app = unique("app")
    const scope = yield* Scope.make()
    const pool = yield* Scope.extend(
      PgPool.make({
        url: Redacted.make(url),
        applicationName: app,
        name: app,
        shutdownTimeout: "1 second",
        ...options
      }),
      scope
    ).pipe(Effect.provide(Reactivity.layer))
    yield* Effect.addFinalizer((exit) =>
      Effect.gen(function*() {
        if (Exit.isSuccess(exit)) yield* eventually(pool.stats, ({ leased }) => leased === 0, "every lease is back")
        yield* Scope.close(scope, Exit.void)
        // what a proxy keeps open is its own
        if (Exit.isSuccess(exit)) yield* options.transactionPooling === true ? quiet(admin, app) : absent(admin, app)
      })
    )
    return { pool, sql: pool.client, admin, app, close: Scope.close(scope, Exit.void) }
  })

/** a pool, and a table of its own: `id int primary key, name text` */
export const makeTable = (options: PgPool.PgPoolOptions = {}) =>
  Effect.gen(function*() {
    const made = yield* makePool(options)
    const table = unique("items")
    yield* made.admin(`create table ${table} (id int primary key, name text)`)
    yield* Effect.addFinalizer(() => made.admin(`drop table ${table} cascade`))
    const names = Effect.map(
      made.admin(`select name from ${table} order by id`),
      (rows) => rows.map(({ name }) => name as string)
    )
    return { ...made, table, names }
  })

/** how long something took, in milliseconds, and what came of it */
export const timed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.timed(Effect.exit(self)), ([took, exit]) => [Duration.toMillis(took), exit] as const)

/** passes on the first connection, and does with the others what it is told */
export const makeProxy = (
  others: (socket: net.Socket, n: number, pass: () => void) => void,
  target?: { readonly host: string; readonly port: number }
) =>
  Effect.gen(function*() {
    const { host, port } = target ?? (yield* server)
    const sockets = new Set<net.Socket>()
    let accepted = 0
    const proxy = net.createServer((client) => {
      const n = accepted++
      sockets.add(client)
      client.on("error", () => {})
      const pass = () => {
        const upstream = net.connect(port, host)
        sockets.add(upstream)
        upstream.on("error", () => client.destroy())
        client.on("close", () => upstream.destroy())
        client.pipe(upstream).pipe(client)
      }
      if (n === 0) pass()
      else others(client, n, pass)
    })
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => void proxy.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.sync(() => {
          proxy.close()
          for (const socket of sockets) socket.destroy()
        })
    )
    return {
      /** to be given to a pool instead of the server's */
      address: { host: "127.0.0.1", port: (proxy.address() as net.AddressInfo).port },
      accepted: () => accepted,
      refuse: Effect.async<void>((resume) => {
        // it waits for the connections that are open to end, but lets nobody in from now on
        proxy.close()
        resume(Effect.void)
      })
    }
  })

/** the process id of the backend that a statement runs on */
export const pidOf = "select pg_backend_pid() as pid"

export const kill = (admin: Admin, pid: number) => admin("select pg_terminate_backend($1)", [pid])

/** the typed error of an exit that must have one */
export const failure = Failure.of

/** runs something that must fail with an error of a given tag */
export const failsWith = <A, E, R, T extends Extract<E, { readonly _tag: string }>["_tag"]>(
  self: Effect.Effect<A, E, R>,
  tag: T
) => Effect.map(Effect.exit(self), (exit) => Failure.tagged(exit, tag))
