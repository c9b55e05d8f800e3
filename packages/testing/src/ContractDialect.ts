/**
 * What the contract suite has to know about a dialect: how to make a pool, what may be done to the server, and how its SQL
 * is written.
 *
 * @since 0.1.0
 */
import type * as SqlPool from "@dbpool/sql/SqlPool"
import type * as SqlClient from "@effect/sql/SqlClient"
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

/**
 * What a dialect may have or lack. Rows that need what it lacks do not apply to it.
 *
 * - `pool`: its layer provides `SqlPool`, besides `SqlClient`
 * - `sessions`: the server tells which sessions it has, and can end one
 * - `cancel`: an interrupted statement is ended on the server
 * - `streams`: rows come as they are consumed
 * - `transactions`, `savepoints`, `isolation`, `readOnly`: the server has them
 * - `rawTransactions`: users can begin and end one by statements of their own
 * - `abortedTransactions`: a failed statement leaves nothing to do but to roll back
 * - `deferredConstraints`: some constraints are checked at COMMIT
 * - `constraints`: primary keys, foreign keys, NOT NULL and CHECK
 * - `rowLocks`: two transactions can lock each other out
 * - `sessionState`: temporary tables and session variables
 * - `returning`: INSERT and UPDATE can answer with rows
 * - `models`: `Model` and `Migrator` of `@effect/sql` know the dialect
 * - `listen`: the client can listen to what others notify
 * - `sharing`: single statements of several callers can run on one connection at the same time; needs `sleep`
 * - `restart`: the server may be killed and started again
 *
 * @since 0.1.0
 * @category models
 */
export type Capability =
  | "pool"
  | "sessions"
  | "cancel"
  | "streams"
  | "transactions"
  | "savepoints"
  | "isolation"
  | "readOnly"
  | "rawTransactions"
  | "abortedTransactions"
  | "deferredConstraints"
  | "constraints"
  | "rowLocks"
  | "sessionState"
  | "returning"
  | "models"
  | "listen"
  | "sharing"
  | "restart"

/**
 * For each capability `true`, or the reason why there is none, which is shown with every row that does not apply.
 *
 * @since 0.1.0
 * @category models
 */
export type Capabilities = Readonly<Record<Capability, true | string>>

/**
 * Where a server listens.
 *
 * @since 0.1.0
 * @category models
 */
export interface Address {
  readonly host: string
  readonly port: number
}

/**
 * What a row asks of a pool. `name` is unique, and what `Server.sessions` is asked for.
 *
 * @since 0.1.0
 * @category models
 */
export interface PoolSettings extends SqlPool.Options {
  readonly name: string
  readonly maxConnections: number
  /** Another address than the server's own: that of a proxy, or of nobody. */
  readonly address?: Address | undefined
  /** Instead of the right one. */
  readonly password?: Redacted.Redacted | undefined
  readonly transformResultNames?: ((name: string) => string) | undefined
  readonly transformQueryNames?: ((name: string) => string) | undefined
  /** Only with `sharing`. */
  readonly sharing?: { readonly maxLeases: number } | undefined
}

/**
 * A session as the server sees it, with the statement that it runs at this moment, if any.
 *
 * @since 0.1.0
 * @category models
 */
export interface Session {
  readonly id: string | number
  readonly statement: string | undefined
}

/**
 * A real server, seen from beside the pools that are tested.
 *
 * @since 0.1.0
 * @category models
 */
export interface Server {
  readonly address: Address
  /** Runs SQL on a connection of its own, which nobody kills. It dies when that fails. */
  readonly query: (sql: string) => Effect.Effect<ReadonlyArray<any>>
  /** The sessions of the pool of that name. Needed for `sessions`. */
  readonly sessions?: ((pool: string) => Effect.Effect<ReadonlyArray<Session>>) | undefined
  /** Ends one, as an operator would. Needed for `sessions`. */
  readonly kill?: ((id: Session["id"]) => Effect.Effect<void>) | undefined
  /**
   * Kills the server without warning, and starts it again at the same address: what was committed must be there. `query`
   * must work again afterwards. Needed for `restart`.
   */
  readonly restart?: { readonly kill: Effect.Effect<void>; readonly start: Effect.Effect<void> } | undefined
}

/**
 * A value and the SQL that sends it to the server and back, as the column `value`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TypeCase {
  /** What the row promises: `"a bigint keeps all its digits"` */
  readonly name: string
  /** With one placeholder. */
  readonly sql: string
  readonly parameter: unknown
  /** Default: the same as `parameter` */
  readonly expected?: unknown
}

/**
 * How the dialect says what the rows need to say. Each text is one statement, or a list of them. What belongs to a
 * capability is needed only with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Syntax {
  /** `$1` or `?` */
  readonly placeholder: (n: number) => string
  /** One row with `one` = 1. */
  readonly one: string
  /** Rows with `n` from 1 to the given number. */
  readonly series: (rows: number) => string
  /** A table with `id` (an integer, the primary key) and `name` (a text, may be NULL). */
  readonly createTable: (table: string) => ReadonlyArray<string>
  /** The words before the table's name. */
  readonly insert: "insert into" | "upsert into"
  readonly types: ReadonlyArray<TypeCase>
  /** `cancel`: takes that long, and shows `marker` in `Session.statement` meanwhile. */
  readonly sleep?: ((seconds: number) => string) | undefined
  /** A word of `sleep`. */
  readonly sleepMarker?: string | undefined
  /** `streams`: like `series`, each row with a text of 1000 characters besides. */
  readonly wideSeries?: ((rows: number) => string) | undefined
  /** `streams`: like `series`, but the server fails when it comes to a given row. */
  readonly failingSeries?: ((rows: number, failsAt: number) => string) | undefined
  /** `rawTransactions`: begins one, when it is sent as it is. COMMIT ends it. */
  readonly begin?: string | undefined
  /** `isolation`: one row with `level`, such as `serializable`. */
  readonly isolation?: string | undefined
  /** `isolation`: changes the level for the rest of the session. */
  readonly setSerializable?: string | undefined
  /** `deferredConstraints`: a table like that of `createTable`, where `name` is unique, checked at COMMIT. */
  readonly createDeferred?: ((table: string) => ReadonlyArray<string>) | undefined
  /**
   * `constraints`: `id` (primary key), `parent` (refers to `id`, may be NULL), `name` (NOT NULL), `amount` (an integer,
   * CHECK that it is not negative).
   */
  readonly createConstrained?: ((table: string) => ReadonlyArray<string>) | undefined
  /** `sessionState`: with a column `n`, seen by this session alone. */
  readonly createTemporary?: ((table: string) => string) | undefined
  /** `sessionState`: sets a variable of the session. */
  readonly setVariable?: ((value: string) => string) | undefined
  /** `sessionState`: one row with that variable as `value`; NULL or empty when it was never set. */
  readonly variable?: string | undefined
  /** `models`: like `createTable`, where the server chooses `id`. */
  readonly createSerial?: ((table: string) => ReadonlyArray<string>) | undefined
}

/**
 * What clients tell each other through the server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Notifications {
  readonly listen: (channel: string) => Stream.Stream<string, unknown>
  readonly notify: (channel: string, payload: string) => Effect.Effect<void, unknown>
}

/**
 * A dialect, as the suite sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dialect {
  readonly name: string
  /** A pool of its own for each row, which must not outlive the layer. */
  readonly layer: (settings: PoolSettings) => Layer.Layer<SqlClient.SqlClient, unknown>
  /** One server for all rows, which run one after the other. */
  readonly server: Effect.Effect<Server, unknown, Scope.Scope>
  readonly syntax: Syntax
  /** Out of what its layer provides. Needed for `listen`. */
  readonly notifications?: ((context: Context.Context<SqlClient.SqlClient>) => Notifications) | undefined
  readonly capabilities: Capabilities
}
