/**
 * A pool of database connections: leases, transactions and a `SqlClient`, whatever the dialect.
 *
 * @since 0.1.0
 */
import type { AcquireOptions } from "@dbpool/core/AcquireOptions"
import * as Pool from "@dbpool/core/Pool"
import type * as PoolError from "@dbpool/core/PoolError"
import * as PoolMetrics from "@dbpool/core/PoolMetrics"
import type * as PoolReset from "@dbpool/core/PoolReset"
import * as SharingPool from "@dbpool/core/SharingPool"
import * as Reactivity from "@effect/experimental/Reactivity"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual, identity } from "effect/Function"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Driver, DriverConnection } from "./Driver.js"
import * as Client from "./internal/client.js"
import * as Deadlines from "./internal/deadlines.js"
import { SqlLease } from "./internal/lease.js"
import type { Dialect } from "./internal/member.js"
import { Member } from "./internal/member.js"
import { toQueryError } from "./internal/queryError.js"
import * as Region from "./internal/region.js"
import { Stopwatch } from "./internal/stopwatch.js"
import * as internalTransaction from "./internal/transaction.js"
import * as Upkeep from "./internal/upkeep.js"
import type { SqlConnection } from "./SqlConnection.js"
import * as SqlPoolConfig from "./SqlPoolConfig.js"
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
 * Makes a service of the pool of one more database. A dialect provides it: `PgPool.layerOf(Orders, options)`. Its client
 * is `pool.client`; the tag of `SqlClient` stays with the program's main database.
 *
 * @example
 * ```ts
 * import * as SqlPool from "@dbpool/sql/SqlPool"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * class Orders extends SqlPool.Tag("app/Orders")<Orders>() {}
 *
 * const program = Effect.gen(function*() {
 *   const users = yield* SqlClient.SqlClient
 *   const { client: orders } = yield* Orders
 *   const rows = yield* users`select id from users`
 *   return yield* orders`select * from orders where ${orders.in("user_id", rows.map(({ id }) => id as number))}`
 * })
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): Context.TagClass<Self, Id, SqlPool> =>
  Context.Tag(id)<Self, SqlPool>()

/**
 * What is run on every new connection before anybody gets it: statements, or an effect.
 *
 * @since 0.1.0
 * @category models
 */
export type Setup<R = never> =
  | ReadonlyArray<string>
  | ((connection: SqlConnection) => Effect.Effect<unknown, unknown, R>)

/**
 * What is done to a connection that comes back, before it is lent again.
 *
 * - `"rollback-if-needed"`: what its holder left open is rolled back; otherwise nothing is sent
 * - `"always-rollback"`: ROLLBACK is sent every time
 * - `"session"`: rolled back if needed, then everything its holder left in the session is forgotten (settings, temporary
 *   tables, locks, prepared statements), and `setup` is run again
 * - `"none"`: nothing; a connection that comes back in a transaction is closed
 * - a function: rolled back if needed, then the function is run every time
 * - a `PoolReset`: what it says, and nothing else
 *
 * Bounded by `resetTimeout`; a connection whose reset fails, answers `false`, or leaves it in a transaction is closed.
 *
 * @since 0.1.0
 * @category models
 */
export type Reset<R = never> =
  | "rollback-if-needed"
  | "always-rollback"
  | "session"
  | "none"
  | PoolReset.Reset<SqlConnection, R>
  | ((connection: SqlConnection) => Effect.Effect<unknown, unknown, R>)

/**
 * The options of every SQL pool: plain ones, and what is run on its connections.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<RS = never, RR = never> extends SqlPoolConfig.SqlPoolOptions {
  /**
   * Prepares every new connection before anybody gets it: statements, or an effect. It is part of connecting:
   * `connectTimeout` bounds both together, and its failure is a failed connect. Default: nothing
   */
  readonly setup?: Setup<RS> | undefined
  /** What is done to a connection that comes back. Default: `"rollback-if-needed"` */
  readonly reset?: Reset<RR> | undefined
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
export const make = <C extends DriverConnection, R, RS = never, RR = never>(
  driver: Driver<C, R>,
  options: Options<RS, RR>
): Effect.Effect<
  SqlPool,
  PoolError.InvalidPoolConfig | PoolError.ConnectFailed | PoolError.TooManyConnections,
  R | RS | RR | Scope.Scope | Reactivity.Reactivity
> =>
  Effect.gen(function*() {
    const config = yield* SqlPoolConfig.resolve(options)
    const { maxStatements, name, validateOn } = config
    const clock = yield* Effect.clock
    const reactivity = yield* Reactivity.Reactivity
    const deadlines = yield* Deadlines.make(clock)
    const attributes = [...driver.spanAttributes, ["db.client.connection.pool.name", name] as const]
    const typeOf = (cause: unknown) => {
      const error = toQueryError(dialect, cause, false)
      return error._tag === "StatementError" ? error.reason : error._tag
    }
    const dialect: Dialect = {
      name,
      driver: driver as unknown as Driver,
      config,
      clock,
      deadlines,
      attributes,
      stopwatch: (yield* PoolMetrics.Enabled) ? new Stopwatch(clock, attributes, typeOf) : undefined
    }
    const setup = yield* Upkeep.setup(name, options.setup)
    const settings: Pool.Options<Member, unknown, R | RS | Scope.Scope, never, never, RS | RR> = {
      ...config,
      validateOn: validateOn.filter((moment) => moment === "acquire" || moment === "return"),
      connect: Effect.map(
        // of the pool's own span
        Effect.zipRight(Effect.annotateCurrentSpan(Object.fromEntries(driver.spanAttributes)), driver.connect),
        (connection) => new Member(dialect, connection)
      ),
      setup,
      connectFault: Upkeep.connectFault(driver),
      validate: (member) => Effect.zipRight(member.connection.validate, member.proof.established),
      condition: (member) => member.connection.condition(),
      cancel: (member) => member.connection.cancel,
      reset: yield* Upkeep.reset(name, options.reset ?? "rollback-if-needed", setup),
      worn: maxStatements === Infinity ? undefined : (member) => member.statements >= maxStatements,
      activity: (member) => member.activity,
      onLost: (member, lost) => member.connection.onLost(lost),
      destroy: (member) => member.connection.destroy()
    }
    const { share, shareCall, ...pool } = yield* opened(settings, dialect.driver.sharing)
    const leasing = lending(pool)
    const transactor = { pool, dialect, afterImplicitCommit: "ends" as const }
    const transaction: SqlPool["transaction"] = (options) => (self) =>
      refineErrors(internalTransaction.run(transactor, options, identity, self)) as never
    const acquireWith = leasing.acquire
    return {
      ...pool,
      acquire: acquireWith({}),
      acquireWith,
      tryAcquire: acquireWith({ whenExhausted: "fail" }),
      use: leasing.use,
      call: leasing.call,
      stream: leasing.stream,
      client: Client.make({
        transactor,
        sharing: share === undefined ? undefined : { share, shareCall },
        reserve: Effect.map(acquireWith({}), (lease) => lease.connection),
        reactivity
      }),
      transaction,
      withTransaction: transaction({})
    }
  })

const opened = <R, RR>(
  options: Pool.Options<Member, unknown, R, never, never, RR>,
  sharing: Driver["sharing"]
): Effect.Effect<
  SharingPool.SharingPool<Member> | (Pool.Pool<Member> & { readonly share?: never; readonly shareCall?: never }),
  PoolError.InvalidPoolConfig | PoolError.ConnectFailed | PoolError.TooManyConnections,
  R | RR | Scope.Scope
> =>
  sharing === undefined
    ? Pool.make(options)
    : SharingPool.make({
      ...options,
      sharing: { maxLeases: sharing.maxLeases, accepts: (member) => sharing.accepts(member.connection) }
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
            get condition() {
              return lease.condition
            },
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
  call: <A, E>(start: Pool.Operation<SqlConnection, A, E>, options?: AcquireOptions) =>
    pool.call<A, E>((member, done) => {
      const connection = new SqlLease(member)
      try {
        const abandon = start(connection, (exit) => {
          connection.end()
          done(exit)
        })
        return () => {
          connection.end()
          abandon()
        }
      } catch (defect) {
        connection.end()
        throw defect
      }
    }, options),
  stream: <A, E, R>(f: (connection: SqlConnection) => Stream.Stream<A, E, R>, options?: AcquireOptions) =>
    pool.stream((member) => {
      const connection = new SqlLease(member)
      return Stream.ensuring(Stream.suspend(() => f(connection)), Effect.sync(() => connection.end()))
    }, options)
})

/**
 * Bounds every statement that is run inside an effect, whatever the pool and whoever sends it; what a call says itself
 * comes first. A statement that takes longer is cancelled on the server and fails with the `StatementError` of reason
 * `StatementTimeout`; in a transaction only rolling back is left then. COMMIT and ROLLBACK have bounds of their own.
 * `Duration.infinity` lifts the limit of the pool.
 *
 * @example
 * ```ts
 * import * as SqlPool from "@dbpool/sql/SqlPool"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * const report = Effect.gen(function*() {
 *   const sql = yield* SqlClient.SqlClient
 *   return yield* sql`select sum(total) from orders`
 * }).pipe(SqlPool.withStatementTimeout("1 minute"))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const withStatementTimeout: {
  (timeout: Duration.DurationInput): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, timeout: Duration.DurationInput): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, timeout: Duration.DurationInput): Effect.Effect<A, E, R> =>
    Region.within(self, { timeout })
)

/**
 * Says that every single statement of `SqlClient` inside an effect may be executed twice without harm. One whose
 * connection is lost under way is then sent once more on another, instead of failing with `ConnectionLost`. Statements
 * in transactions, sessions and leases are never repeated.
 *
 * @example
 * ```ts
 * import * as SqlPool from "@dbpool/sql/SqlPool"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * const touch = (id: number) =>
 *   Effect.gen(function*() {
 *     const sql = yield* SqlClient.SqlClient
 *     yield* sql`update users set seen = true where id = ${id}`
 *   }).pipe(SqlPool.idempotent)
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const idempotent = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Region.within(self, { idempotent: true })

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
