/**
 * A pool of database connections: leases, transactions and a `SqlClient`, whatever the dialect.
 *
 * @since 0.1.0
 */
import type { AcquireOptions } from "@dbpool/core/AcquireOptions"
import * as Pool from "@dbpool/core/Pool"
import * as PoolConfig from "@dbpool/core/PoolConfig"
import type * as PoolError from "@dbpool/core/PoolError"
import * as Reactivity from "@effect/experimental/Reactivity"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Driver, DriverConnection } from "./Driver.js"
import * as Client from "./internal/client.js"
import { SqlLease } from "./internal/lease.js"
import type { Dialect } from "./internal/member.js"
import { Member } from "./internal/member.js"
import * as internalTransaction from "./internal/transaction.js"
import type { SqlConnection } from "./SqlConnection.js"
import type { Refine, TransactionError } from "./SqlPoolError.js"
import { refineErrors } from "./SqlPoolError.js"
import type * as Transaction from "./Transaction.js"

/**
 * A pool of SQL connections: everything a `Pool` can do, transactions, and a `SqlClient`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SqlPool extends Pool.Pool<SqlConnection> {
  /** `@effect/sql`'s client over this pool; the same one that the layer provides under its tag. */
  readonly client: SqlClient.SqlClient
  /**
   * Runs an effect in a transaction: committed when it succeeds, rolled back when it fails or is interrupted. Statements
   * of `client` inside it run in the transaction; inside another transaction of this pool it becomes a savepoint.
   *
   * Fails as `use` does, with `CommitFailed` when the server would not commit, `CommitUnknown` when the connection was
   * lost after COMMIT was sent, and `ConnectionLost` when it was lost before that, which rolled everything back.
   */
  readonly withTransaction: <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, Refine<E> | TransactionError, R>
  /** `withTransaction` with options: isolation level, time limit, retry. */
  readonly transaction: <RS = never>(
    options: Transaction.Options<RS>
  ) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, Refine<E> | TransactionError, R | RS>
}

/**
 * The pool service of a program with one database.
 *
 * @example
 * ```ts
 * import * as SqlPool from "@dbpool/sql/SqlPool"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * const transfer = Effect.gen(function*() {
 *   const sql = yield* SqlClient.SqlClient
 *   yield* sql`update accounts set balance = balance - 10 where id = 1`
 *   yield* sql`update accounts set balance = balance + 10 where id = 2`
 * })
 *
 * const program = Effect.gen(function*() {
 *   const pool = yield* SqlPool.SqlPool
 *   yield* transfer.pipe(pool.transaction({ isolation: "serializable" }))
 *   yield* Effect.log(yield* pool.stats)
 * })
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const SqlPool: Context.Tag<SqlPool, SqlPool> = Context.GenericTag<SqlPool>("~@dbpool/sql/SqlPool")

/**
 * The options of every SQL pool, on top of those of every pool.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends PoolConfig.PoolOptions {
  /**
   * How long a COMMIT may go unanswered, which nothing can interrupt; then the transaction fails with `CommitUnknown`.
   * Default: 10 seconds
   */
  readonly commitTimeout?: Duration.DurationInput | undefined
}

/**
 * Makes a pool from a dialect's driver. Users of a dialect want its own `layer` instead.
 *
 * Fails with `InvalidPoolConfig` when an option is wrong, and with `ConnectFailed` or `TooManyConnections` when
 * `initialize` cannot have the connections it waits for.
 *
 * @example
 * ```ts
 * import type * as Driver from "@dbpool/sql/Driver"
 * import * as SqlPool from "@dbpool/sql/SqlPool"
 * import * as Reactivity from "@effect/experimental/Reactivity"
 * import * as Effect from "effect/Effect"
 *
 * const program = (driver: Driver.Driver) =>
 *   Effect.gen(function*() {
 *     const pool = yield* SqlPool.make(driver, { maxConnections: 5, commitTimeout: "3 seconds" })
 *     return yield* pool.use((connection) => connection.query("select 1 as one"))
 *   }).pipe(Effect.scoped, Effect.provide(Reactivity.layer))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <C extends DriverConnection, R>(
  driver: Driver<C, R>,
  options: Options
): Effect.Effect<
  SqlPool,
  PoolError.InvalidPoolConfig | PoolError.ConnectFailed | PoolError.TooManyConnections,
  R | Scope.Scope | Reactivity.Reactivity
> =>
  Effect.gen(function*() {
    const config = yield* PoolConfig.resolve(options)
    const commitTimeout = yield* PoolConfig.bound(config.name, "commitTimeout", options.commitTimeout ?? "10 seconds")
    const reactivity = yield* Reactivity.Reactivity
    const dialect: Dialect = { name: config.name, driver: driver as unknown as Driver }
    const pool = yield* Pool.make<Member, unknown, R | Scope.Scope>({
      ...options,
      name: config.name,
      connect: Effect.map(driver.connect, (connection) => new Member(dialect, connection)),
      connectFault: driver.connectFault,
      validate: (member) => member.connection.validate,
      condition: (member) => member.connection.condition(),
      cancel: (member) => member.connection.cancel,
      reset: (member) => member.connection.rollback,
      onLost: (member, lost) => member.connection.onLost(lost),
      destroy: (member) => member.connection.destroy()
    })
    const leasing = lending(pool)
    const transactor = {
      pool,
      dialect,
      commitTimeout,
      resetTimeout: config.resetTimeout
    }
    const transaction: SqlPool["transaction"] = (options) => (self) =>
      refineErrors(internalTransaction.run(transactor, options, identity, self)) as never
    const acquireWith = leasing.acquire
    return {
      ...pool,
      acquire: acquireWith({}),
      acquireWith,
      tryAcquire: acquireWith({ whenExhausted: "fail" }),
      use: leasing.use,
      stream: leasing.stream,
      client: Client.make({
        transactor,
        reserve: Effect.map(acquireWith({}), (lease) => lease.connection),
        reactivity
      }),
      transaction,
      withTransaction: transaction({})
    }
  })

/** how a pool of members lends SQL connections: each lease gets a handle that dies with it */
const lending = (pool: Pool.Pool<Member>) => ({
  acquire: (options: AcquireOptions): Effect.Effect<Pool.Lease<SqlLease>, PoolError.AcquireError, Scope.Scope> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(pool.acquireWith(options)), (lease) => {
        const connection = new SqlLease(lease.connection)
        return Effect.as(
          Effect.addFinalizer(() => Effect.sync(() => connection.end())),
          {
            connection,
            invalidate: Effect.zipRight(Effect.sync(() => connection.end()), lease.invalidate)
          }
        )
      })
    ),
  use: <A, E, R>(f: (connection: SqlConnection) => Effect.Effect<A, E, R>, options?: AcquireOptions) =>
    pool.use((member) => {
      const connection = new SqlLease(member)
      return Effect.ensuring(Effect.suspend(() => f(connection)), Effect.sync(() => connection.end()))
    }, options),
  stream: <A, E, R>(f: (connection: SqlConnection) => Stream.Stream<A, E, R>, options?: AcquireOptions) =>
    pool.stream((member) => {
      const connection = new SqlLease(member)
      return Stream.ensuring(Stream.suspend(() => f(connection)), Effect.sync(() => connection.end()))
    }, options)
})

export {
  /**
   * Brings the pool's typed errors back from the `SqlError`s in which a `SqlClient` has to wrap them.
   *
   * @example
   * ```ts
   * import * as SqlPool from "@dbpool/sql/SqlPool"
   * import * as SqlClient from "@effect/sql/SqlClient"
   * import * as Effect from "effect/Effect"
   *
   * const count = Effect.gen(function*() {
   *   const sql = yield* SqlClient.SqlClient
   *   return yield* sql`select count(*) from users`
   * }).pipe(
   *   SqlPool.refineErrors,
   *   Effect.catchTag("AcquireTimeout", () => Effect.succeed([]))
   * )
   * ```
   *
   * @since 0.1.0
   * @category combinators
   */
  refineErrors,
  /**
   * `refineErrors` for streams.
   *
   * @example
   * ```ts
   * import * as SqlPool from "@dbpool/sql/SqlPool"
   * import * as SqlClient from "@effect/sql/SqlClient"
   * import * as Effect from "effect/Effect"
   * import * as Stream from "effect/Stream"
   *
   * const names = Stream.unwrap(Effect.map(SqlClient.SqlClient, (sql) => sql`select name from users`.stream)).pipe(
   *   SqlPool.refineStreamErrors,
   *   Stream.catchTag("AcquireTimeout", () => Stream.empty)
   * )
   * ```
   *
   * @since 0.1.0
   * @category combinators
   */
  refineStreamErrors
} from "./SqlPoolError.js"
