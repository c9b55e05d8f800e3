/**
 * What most tests need: servers, pools on them whose books are checked when the test ends, and ways to wait and to look.
 */
import * as LindormPool from "@dbpool/sql-lindorm/LindormPool"
import * as AvaticaServer from "@dbpool/testing/AvaticaServer"
import * as Failure from "@dbpool/testing/Failure"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"

let names = 0

/** a name that nothing else on the server has */
export const unique = (what: string) => `${what}_${process.pid}_${++names}`

/** the plain server over HSQLDB that all tests of a run share */
export const shared = AvaticaServer.makeTest()

export const lindormLogin = { user: "root", password: "pass word", databases: ["test", "other"] }

/** how a pool logs in there */
export const asLindorm = {
  server: "lindorm",
  user: lindormLogin.user,
  password: Redacted.make(lindormLogin.password),
  database: "test"
} as const

/** what a server of our own remembers */
export const remembered = (server: AvaticaServer.AvaticaServer) => Option.getOrThrow(server.started).remembered

export const counts = (server: AvaticaServer.AvaticaServer) =>
  Effect.map(
    remembered(server),
    ({ connections, statements }) => ({ connections: connections.length, statements })
  )

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
    Effect.timeoutFail({ duration: "5 seconds", onTimeout: () => new Error(`never happened: ${what}`) }),
    Effect.orDie
  )
}

/** A pool in the test's scope. At the end of a test that went well, every lease is back. */
export const makePool = (url: string, options: Partial<LindormPool.LindormPoolOptions> = {}) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const pool = yield* Scope.extend(
      LindormPool.make({ url, server: "avatica", user: "SA", shutdownTimeout: "1 second", ...options }),
      scope
    ).pipe(Effect.provide(Reactivity.layer))
    yield* Effect.addFinalizer((exit) =>
      Effect.gen(function*() {
        if (Exit.isSuccess(exit)) yield* eventually(pool.stats, ({ leased }) => leased === 0, "every lease is back")
        yield* Scope.close(scope, Exit.void)
      })
    )
    return { pool, sql: pool.client, close: Scope.close(scope, Exit.void) }
  })

/**
 * A pool on a server, and a table of its own there: `id int primary key, name varchar(100)`. The pool may reach the
 * server through something else; `names` and `admin` never do.
 */
export const makeTable = (url: string, options: Partial<LindormPool.LindormPoolOptions> = {}, through = url) =>
  Effect.gen(function*() {
    const made = yield* makePool(through, options)
    const table = unique("items")
    const admin = yield* makePool(
      url,
      { ...options, maxConnections: 1, name: "admin", statementTimeout: undefined } as never
    )
    yield* Effect.orDie(admin.sql.unsafe(`create table ${table} (id int primary key, name varchar(100))`))
    const names = Effect.map(
      Effect.orDie(admin.sql.unsafe(`select name from ${table} order by id`).values),
      (rows) => rows.map(([name]) => name as string)
    )
    return { ...made, table, names, admin: admin.sql }
  })

/** runs something that must fail with an error of a given tag */
export const failsWith = <A, E, R, T extends Extract<E, { readonly _tag: string }>["_tag"]>(
  self: Effect.Effect<A, E, R>,
  tag: T
) => Effect.map(Effect.exit(self), (exit) => Failure.tagged(exit, tag))
