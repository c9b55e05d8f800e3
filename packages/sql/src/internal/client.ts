/**
 * `@effect/sql`'s `SqlClient` over a pool. Its error channel must be `SqlError`: the typed error is the cause.
 */
import type { AcquireError } from "@dbpool/core/PoolError"
import type { SharingPool } from "@dbpool/core/SharingPool"
import type * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Carrier from "./carrier.js"
import { ChannelConnection, toSqlError } from "./channel.js"
import type { SqlLease } from "./lease.js"
import type { Member } from "./member.js"
import * as Repeat from "./repeat.js"
import * as Statement from "./statement.js"
import type { Transactor } from "./transaction.js"
import * as Transaction from "./transaction.js"

/** @internal */
export interface Options {
  readonly transactor: Transactor
  /** only where connections may be shared */
  readonly share: SharingPool<Member>["share"] | undefined
  /** a lease whose handle dies with it */
  readonly reserve: Effect.Effect<SqlLease, AcquireError, Scope.Scope>
  readonly reactivity: Reactivity.Reactivity.Service
}

/** @internal */
export const make = (options: Options): SqlClient.SqlClient => {
  const { reactivity, share, transactor } = options
  const { dialect, pool } = transactor
  const { driver } = dialect
  /** for a statement outside of transactions: a lease of its own */
  const alone = <A>(patience: Repeat.Patience, f: (connection: Connection) => A) => (member: Member): A => {
    patience.lent()
    return f(member.asConnection)
  }
  const use: Statement.Runner["use"] = (fiber, f) => {
    const level = Carrier.find(fiber.currentContext, pool)
    if (level !== undefined) return f(level.asConnection)
    const patience = new Repeat.Patience(dialect)
    return Repeat.single(patience, pool, pool.use(alone(patience, f)))
  }
  const runner: Statement.Runner = {
    use,
    share: share === undefined
      ? (fiber, _sql, f) => use(fiber, f)
      : (fiber, sql, f) => {
        if (!driver.sharing!.allows(sql) || Carrier.find(fiber.currentContext, pool) !== undefined) return use(fiber, f)
        const patience = new Repeat.Patience(dialect)
        return Repeat.single(
          patience,
          pool,
          share((member, isAlone) => {
            patience.lent()
            return f(isAlone ? member.asConnection : member.asShared)
          })
        )
      },
    stream: (f) =>
      Stream.unwrap(Effect.withFiberRuntime((fiber) => {
        const level = Carrier.find(fiber.currentContext, pool)
        if (level !== undefined) return Effect.succeed(f(level.asConnection))
        const patience = new Repeat.Patience(dialect)
        return Effect.succeed(Repeat.stream(patience, pool, pool.stream(alone(patience, f))))
      })),
    compiler: driver.compiler,
    transformRows: driver.transformRows,
    spanAttributes: dialect.attributes
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
        Transaction.run({ ...transactor, afterImplicitCommit: "goesOn" }, {}, toSqlError, effect),
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
