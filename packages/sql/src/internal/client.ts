/**
 * `@effect/sql`'s `SqlClient` over a pool. Its error channel must be `SqlError`: the typed error is the cause.
 */
import type * as Pool from "@dbpool/core/Pool"
import type { AcquireError } from "@dbpool/core/PoolError"
import type * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Carrier from "./carrier.js"
import type { SqlLease } from "./lease.js"
import type { Member } from "./member.js"
import { ChannelConnection, toSqlError } from "./member.js"
import * as Statement from "./statement.js"
import type { Transactor } from "./transaction.js"
import * as Transaction from "./transaction.js"

/** @internal */
export interface Options {
  readonly transactor: Transactor
  /** a lease whose handle dies with it */
  readonly reserve: Effect.Effect<SqlLease, AcquireError, Scope.Scope>
  readonly reactivity: Reactivity.Reactivity.Service
}

const lift = (error: SqlError | AcquireError): SqlError => error instanceof SqlError ? error : toSqlError(error)

const single = (pool: Pool.Pool<Member>) => <A>(f: (connection: Connection) => Effect.Effect<A, SqlError>) =>
  Effect.mapError(pool.use((member) => f(member.asConnection)), lift)

/** @internal */
export const make = (options: Options): SqlClient.SqlClient => {
  const { reactivity, transactor } = options
  const { driver } = transactor.dialect
  const alone = single(transactor.pool)
  const runner: Statement.Runner = {
    use: (fiber, f) => {
      const level = Carrier.find(fiber.currentContext, transactor.pool)
      return level === undefined ? alone(f) : f(level.asConnection)
    },
    stream: (f) =>
      Stream.unwrap(Effect.withFiberRuntime((fiber) => {
        const level = Carrier.find(fiber.currentContext, transactor.pool)
        return Effect.succeed(
          level === undefined
            ? Stream.mapError(transactor.pool.stream((member) => f(member.asConnection)), lift)
            : f(level.asConnection)
        )
      })),
    compiler: driver.compiler,
    transformRows: driver.transformRows,
    spanAttributes: driver.spanAttributes
  }
  const build = (runner: Statement.Runner): SqlClient.SqlClient => {
    const client: SqlClient.SqlClient = Object.assign(Statement.make(runner), {
      [SqlClient.TypeId as SqlClient.TypeId]: SqlClient.TypeId as SqlClient.TypeId,
      safe: undefined as unknown as SqlClient.SqlClient,
      // users reserve inside regions that cannot be interrupted; the waiting must be
      reserve: Effect.mapBoth(Effect.interruptible(options.reserve), {
        onFailure: toSqlError,
        onSuccess: (lease) => new ChannelConnection(lease)
      }),
      withTransaction: <R, E, A>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
        Transaction.run(transactor, {}, toSqlError, effect),
      withoutTransforms: () =>
        runner.transformRows === undefined
          ? client
          : build({ ...runner, compiler: runner.compiler.withoutTransform, transformRows: undefined }),
      reactive: reactivity.stream,
      reactiveMailbox: reactivity.query
    })
    return Object.assign(client, { safe: client })
  }
  return build(runner)
}
