/**
 * What most tests need: a pool of their own on the server that all tests of a run share, somebody who looks at that
 * server from outside, and a way to wait for what happens there.
 */
import * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
import * as MariaServer from "@dbpool/testing/MariaServer"
import * as Reactivity from "@effect/experimental/Reactivity"
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"

let names = 0

/** a name that nothing else on the server has */
export const unique = (what: string) => `${what}_${process.pid}_${++names}`

export const server = MariaServer.makeTest()

type Server = Pick<MariaServer.MariaServer, "url" | "database">

/** runs SQL beside the pool under test, on a connection that nobody kills */
export const makeAdmin = ({ url }: Server) =>
  Effect.gen(function*() {
    const pool = yield* MysqlPool.make({
      url: Redacted.make(url),
      name: "admin",
      maxConnections: 1
    }).pipe(Effect.provide(Reactivity.layer))
    return (sql: string, params?: ReadonlyArray<unknown>) =>
      Effect.orDie(pool.use((connection) => connection.query<any>(sql, params, { unprepared: true })))
  })

/** whether the server that the tests share is MySQL, and not MariaDB: they differ in a few words and numbers */
export const isMysql = Effect.scoped(Effect.gen(function*() {
  const admin = yield* makeAdmin(yield* server)
  const [{ version }] = yield* admin("select version() as version")
  return !version.includes("MariaDB")
}))

export type Admin = Effect.Effect.Success<ReturnType<typeof makeAdmin>>

/** the connections of an account, in the order in which they were opened */
export const sessions = (
  admin: Admin,
  app: string
): Effect.Effect<ReadonlyArray<{ readonly id: number; readonly command: string; readonly info: string | null }>> =>
  admin(
    "select id as id, command as command, info as info from information_schema.processlist where user = ? order by id",
    [app]
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
  // finalizers wait for things, too, and must not do so for ever
  return Effect.interruptible(look).pipe(
    Effect.timeoutFail({ duration: "5 seconds", onTimeout: () => new Error(`never happened: ${what}`) }),
    Effect.orDie
  )
}

/** waits until the server runs a statement that looks like that for an account */
export const running = (admin: Admin, app: string, text: string) =>
  Effect.map(
    eventually(
      sessions(admin, app),
      (rows) => rows.some(({ info }) => info?.includes(text)),
      `${text} runs`
    ),
    (rows) => rows.find(({ info }) => info?.includes(text))!.id
  )

/** waits until the server runs nothing for an account */
export const quiet = (admin: Admin, app: string) =>
  eventually(sessions(admin, app), (rows) => rows.every(({ info }) => info === null), "the server is quiet")

/** waits until the server has no connection of an account */
export const absent = (admin: Admin, app: string) =>
  eventually(sessions(admin, app), (rows) => rows.length === 0, "every connection is closed")

/**
 * A pool in the test's scope, with an account of its own: that is how its connections are known. At the end of a test
 * that went well every lease is back, and after the pool is closed nothing of it is left on the server.
 */
export const makePool = (options: MysqlPool.MysqlPoolOptions = {}, at?: Server) =>
  Effect.gen(function*() {
    const target = at ?? (yield* server)
    const admin = yield* makeAdmin(target)
    const app = unique("app")
    yield* admin(`create user ${app} identified by '${app}'`)
    yield* admin(`grant all on *.* to ${app}`)
    yield* Effect.addFinalizer(() => admin(`drop user ${app}`))
    const scope = yield* Scope.make()
    const pool = yield* Scope.extend(
      MysqlPool.make({
        url: Redacted.make(target.url),
        username: app,
        password: Redacted.make(app),
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
        if (Exit.isSuccess(exit)) yield* absent(admin, app)
      })
    )
    return { pool, sql: pool.client, admin, app, close: Scope.close(scope, Exit.void) }
  })

/** a pool, and a table of its own: `id int primary key, name text` */
export const makeTable = (options: MysqlPool.MysqlPoolOptions = {}, at?: Server) =>
  Effect.gen(function*() {
    const made = yield* makePool(options, at)
    const table = unique("items")
    yield* made.admin(`create table ${table} (id int primary key, name text) engine = innodb`)
    yield* Effect.addFinalizer(() => made.admin(`drop table ${table}`))
    const names = Effect.map(
      made.admin(`select name from ${table} order by id`),
      (rows) => rows.map(({ name }) => name as string)
    )
    return { ...made, table, names }
  })

/** how long something took, in milliseconds, and what came of it */
export const timed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.timed(Effect.exit(self)), ([took, exit]) => [Duration.toMillis(took), exit] as const)

/** the id of the connection that a statement runs on */
export const idOf = "select connection_id() as id"

export const kill = (admin: Admin, id: number) => admin(`kill ${id}`)

/** the typed error of an exit that must have one */
export const failure = <A, E>(exit: Exit.Exit<A, E>): E => {
  if (Exit.isSuccess(exit)) return assert.fail("it succeeded")
  return Option.getOrElse(Cause.failureOption(exit.cause), () => assert.fail(Cause.pretty(exit.cause)))
}

/** runs something that must fail with an error of a given tag */
export const failsWith = <A, E, R, T extends Extract<E, { readonly _tag: string }>["_tag"]>(
  self: Effect.Effect<A, E, R>,
  tag: T
): Effect.Effect<Extract<E, { readonly _tag: T }>, never, R> =>
  Effect.map(Effect.exit(self), (exit) => {
    const error = failure(exit) as { readonly _tag: string }
    assert.strictEqual(error._tag, tag, String(error))
    return error as Extract<E, { readonly _tag: T }>
  })
