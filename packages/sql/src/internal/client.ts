/**
 * `@effect/sql`'s `SqlClient` over a pool. Its error channel must be `SqlError`: the typed error is the cause.
 */
import type { AcquireError } from "@dbpool/core/PoolError"
import type { SharingPool } from "@dbpool/core/SharingPool"
import type * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Driver } from "../Driver.js"
import type { QueryError } from "../SqlPoolError.js"
import * as Carrier from "./carrier.js"
import * as Channel from "./channel.js"
import { ChannelConnection, toSqlError } from "./channel.js"
import type { SqlLease } from "./lease.js"
import type { Member } from "./member.js"
import * as Repeat from "./repeat.js"
import * as Statement from "./statement.js"
import * as Timeout from "./timeout.js"
import type { Transactor } from "./transaction.js"
import * as Transaction from "./transaction.js"

/** @internal */
export interface Options {
  readonly transactor: Transactor
  /** only where connections may be shared */
  readonly sharing: Pick<SharingPool<Member>, "share" | "shareCall"> | undefined
  /** a lease whose handle dies with it */
  readonly reserve: Effect.Effect<SqlLease, AcquireError, Scope.Scope>
  readonly reactivity: Reactivity.Reactivity.Service
}

/** @internal */
export const make = (options: Options): SqlClient.SqlClient => {
  const { reactivity, sharing, transactor } = options
  const { dialect, pool } = transactor
  const { driver } = dialect
  /** most statements need nothing before or around them: the fastest way to send them will do */
  const isBare = !dialect.config.validateOn.includes("statement")
  /** for a statement outside of transactions: a lease of its own */
  const alone: Statement.Runner["run"] = (fiber, sql, params, { mode, unprepared }) => {
    const patience = new Repeat.Patience(dialect)
    const options = unprepared ? Channel.unprepared : undefined
    const isDirect = isBare && Timeout.isUnbound(dialect, fiber)
    const run = (member: Member, shared: boolean) => {
      patience.lent()
      return shared ? member.share(sql, params, mode) : member.run(sql, params, mode, options)
    }
    const submit = (
      member: Member,
      by: Pick<Driver, "submit">,
      done: (exit: Exit.Exit<any, QueryError>) => void
    ) => {
      patience.lent()
      return member.submit(by, sql, params, mode, unprepared, done)
    }
    const single = (attempt: Effect.Effect<any, QueryError | AcquireError>) => Repeat.single(patience, pool, attempt)
    if (sharing === undefined || unprepared || !driver.sharing!.allows(sql)) {
      return isDirect && driver.submit !== undefined
        ? single(pool.call<any, QueryError>((member, done) => submit(member, driver, done)))
        : single(pool.use((member) => run(member, false)))
    }
    const shared = driver.sharing!
    return isDirect && driver.submit !== undefined && shared.submit !== undefined
      ? single(
        sharing.shareCall<any, QueryError>((member, done, isAlone) => submit(member, isAlone ? driver : shared, done))
      )
      : single(sharing.share((member, isAlone) => run(member, !isAlone)))
  }
  const runner: Statement.Runner = {
    run: (fiber, sql, params, manner) => {
      const level = Carrier.find(fiber.currentContext, pool)
      return level === undefined
        ? alone(fiber, sql, params, manner)
        : Effect.mapError(
          level.run(sql, params, manner.mode, manner.unprepared ? Channel.unprepared : undefined),
          toSqlError
        )
    },
    stream: (f) =>
      Stream.unwrap(Effect.withFiberRuntime((fiber) => {
        const level = Carrier.find(fiber.currentContext, pool)
        if (level !== undefined) return Effect.succeed(f(level.asConnection))
        const patience = new Repeat.Patience(dialect)
        return Effect.succeed(Repeat.stream(
          patience,
          pool,
          pool.stream((member) => {
            patience.lent()
            return f(member.asConnection)
          })
        ))
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
