/**
 * What a dialect has to supply. The pool, transactions, `SqlClient` and errors are made from it.
 *
 * A driver opens connections that do one thing at a time and say truthfully what state they are in. It never retries,
 * never reconnects and never decides whether a connection is lent again.
 *
 * @since 0.1.0
 */
import type * as Pool from "@dbpool/core/Pool"
import type * as Statement from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import type { Exit } from "effect/Exit"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { SqlLease } from "./internal/lease.js"
import type { SqlConnection } from "./SqlConnection.js"
import type { StatementReason } from "./StatementError.js"
import type { TransactionOptions } from "./Transaction.js"

/**
 * Asked in the very step in which a statement is sent: what it answers is the error to fail with, and nothing is sent.
 * Whether somebody may still use a connection can change at any moment before.
 *
 * @since 0.1.0
 * @category models
 */
export type Objection = () => unknown

/**
 * One physical connection, as the driver sees it.
 *
 * Statements come one at a time. Interrupting one only ends the waiting: the connection is `busy` until the server has
 * answered. A statement that finds it busy waits for the end of one that somebody still waits for, and does as `cancel`
 * does with one that nobody does. None may be sent after a cancel that could still hit it.
 *
 * @since 0.1.0
 * @category models
 */
export interface DriverConnection {
  /**
   * Runs one statement; rows are objects (`object`), arrays (`array`), or the driver's own result (`raw`). One that is
   * `unprepared` leaves nothing behind on the connection, such as a named statement or an entry in a cache.
   */
  readonly execute: (
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: "object" | "array" | "raw",
    objection?: Objection,
    unprepared?: boolean
  ) => Effect.Effect<any, unknown>
  /** Rows as they come, with back-pressure; the statement ends with the stream. */
  readonly stream: (
    sql: string,
    params: ReadonlyArray<unknown>,
    objection?: Objection
  ) => Stream.Stream<any, unknown>
  /** Ends the transaction; `rolledBack` when the server answered the COMMIT so. */
  readonly commit: Effect.Effect<"committed" | "rolledBack", unknown>
  /** Undoes what is open, even if nothing seems to be: afterwards the connection is `clean`. */
  readonly rollback: Effect.Effect<void, unknown>
  /**
   * Forgets everything a holder may have left in the session: settings, temporary tables, locks, LISTEN, prepared
   * statements. Only called when no transaction is open.
   */
  readonly resetSession: Effect.Effect<void, unknown>
  /** Begins to end the running statement on the server, without waiting. Does nothing when none is, nor to a COMMIT. */
  readonly abandon: () => void
  /** `abandon`, and waits until neither the statement nor the cancel can touch a later one. */
  readonly cancel: Effect.Effect<void, unknown>
  /** Finds out whether the server still answers. */
  readonly validate: Effect.Effect<void, unknown>
  /** What the connection is like right now, as far as the protocol tells without asking. */
  readonly condition: () => Pool.Condition
  /** Whether a transaction is open on the server; `failed` when it can only be rolled back. */
  readonly transactionStatus: () => "none" | "open" | "failed"
  /**
   * Whether the last transaction was ended by a statement that succeeded and commits what was open, as DDL does on MySQL.
   * COMMIT and ROLLBACK do not count. Only where `begin` is a statement. Without it: never
   */
  readonly committedImplicitly?: (() => boolean) | undefined
  /** Calls back once when the connection dies by itself. */
  readonly onLost: (listener: (cause: unknown) => void) => void
  /** Cuts the connection without a word, at once. */
  readonly destroy: () => void
}

/**
 * What a failed statement means. `refused`: the server said no, and the connection goes on. `unsent`: not a byte of it
 * left this process, or the server said that it did not look at it. `lost`: nobody knows.
 *
 * @since 0.1.0
 * @category models
 */
export type Failure =
  | {
    readonly _tag: "refused"
    readonly reason: StatementReason
    readonly code: string | undefined
    readonly constraint: string | undefined
  }
  | { readonly _tag: "unsent" }
  | { readonly _tag: "lost" }

/**
 * Begins a transaction otherwise than by a statement.
 *
 * @since 0.1.0
 * @category models
 */
export type Begin<in C extends DriverConnection> = (connection: C) => Effect.Effect<void, unknown>

/**
 * Begins a transaction together with its first statement, in one round trip. The answer is that of the statement, which
 * does not run unless the transaction has begun. An empty text only begins it, for what can be sent in no other way.
 *
 * @since 0.1.0
 * @category models
 */
export interface BeginWith<in C extends DriverConnection> {
  readonly statement: (
    connection: C,
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: "object" | "array" | "raw",
    objection: Objection,
    unprepared?: boolean
  ) => Effect.Effect<any, unknown>
}

/**
 * Runs a statement by a callback: `done` is called once, perhaps at once, with what `execute` would have answered. What it
 * returns is called when nobody waits for the statement any more, as if `execute` had been interrupted; a later `done` has
 * no effect.
 *
 * @since 0.1.0
 * @category models
 */
export type Submit<in C extends DriverConnection> = (
  connection: C,
  sql: string,
  params: ReadonlyArray<unknown>,
  mode: "object" | "array" | "raw",
  done: (exit: Exit<any, unknown>) => void,
  unprepared?: boolean
) => () => void

/**
 * An effect of what calls back once and answers how to give it up, which is called when the effect is interrupted. So a
 * driver's `execute` can be made of what its `submit` is made of.
 *
 * @example
 * ```ts
 * import * as Driver from "@dbpool/sql/Driver"
 * import * as Exit from "effect/Exit"
 *
 * const pause = (millis: number) =>
 *   Driver.fromCallback<void>((done) => {
 *     const timer = setTimeout(() => done(Exit.void), millis)
 *     return () => clearTimeout(timer)
 *   })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromCallback = <A>(
  start: (done: (exit: Exit<A, unknown>) => void) => () => void
): Effect.Effect<A, unknown> =>
  Effect.async((resume) => {
    const leave = start(resume)
    return Effect.sync(leave)
  })

/**
 * How statements of several callers run on one connection at the same time, where the protocol can do that.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sharing<in C extends DriverConnection> {
  /** How many callers may share one connection. */
  readonly maxLeases: number
  /**
   * Whether a statement may run beside others: by its text, it begins no transaction and changes nothing in the session.
   * All others get a connection of their own.
   */
  readonly allows: (sql: string) => boolean
  /**
   * Runs a statement beside those that are under way, whose failures it does not share. Interrupting it only ends the
   * waiting. One that turns out to have begun a transaction or changed the session breaks the connection, because nobody
   * can tell any more what the others ran in.
   */
  readonly execute: (
    connection: C,
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: "object" | "array" | "raw"
  ) => Effect.Effect<any, unknown>
  /** `execute` by a callback. Without it: through `execute` */
  readonly submit?: Submit<C> | undefined
  /** Whether a connection that is shared takes one more; not behind a statement that nobody waits for any more. */
  readonly accepts: (connection: C) => boolean
}

/**
 * A dialect: how to connect, what its errors mean, and how its SQL is written.
 *
 * @since 0.1.0
 * @category models
 */
export interface Driver<C extends DriverConnection = DriverConnection, R = never> {
  /** Opens a connection; closing its scope closes it, politely if it is idle. */
  readonly connect: Effect.Effect<C, unknown, R | Scope.Scope>
  /** How an error of `connect` is to be taken. */
  readonly connectFault: (error: unknown) => Pool.Fault
  /** What an error of a statement means. */
  readonly classify: (error: unknown) => Failure
  /** Makes SQL of the templates of `@effect/sql`. */
  readonly compiler: Statement.Compiler
  /** Applied to the rows that `SqlClient` returns. */
  readonly transformRows: (<A extends object>(rows: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined
  /** Attributes of every span, by the OpenTelemetry conventions. */
  readonly spanAttributes: ReadonlyArray<readonly [string, unknown]>
  /**
   * The statement that begins a transaction, or how to begin one where no statement does, or where its first statement can
   * do it; `undefined` where the database has no transactions, which are refused then with `InvalidTransaction`.
   */
  readonly begin: ((options: TransactionOptions) => string | Begin<C> | BeginWith<C>) | undefined
  /** What `begin` can say; other options are refused with `InvalidTransaction`. */
  readonly transactionOptions: ReadonlyArray<keyof TransactionOptions>
  /** A connection's `execute` by a callback, for single statements of `SqlClient`. Without it: through `execute` */
  readonly submit?: Submit<C> | undefined
  /** Whether single statements of `SqlClient` share connections. Without it: never */
  readonly sharing?: Sharing<C> | undefined
}

/**
 * The driver's own connection under one on loan, for dialects that offer more than statements. Only the holder of the
 * lease may use it, and only until the lease ends, which nothing here enforces; none for a connection of other origin.
 *
 * @example
 * ```ts
 * import * as Driver from "@dbpool/sql/Driver"
 * import * as SqlPool from "@dbpool/sql/SqlPool"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.flatMap(SqlPool.SqlPool, (pool) =>
 *   pool.use((connection) => Effect.sync(() => Driver.connectionOf(connection)?.transactionStatus())))
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const connectionOf = (connection: SqlConnection): DriverConnection | undefined =>
  connection instanceof SqlLease ? connection.member.connection : undefined
