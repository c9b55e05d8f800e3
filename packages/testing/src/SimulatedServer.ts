/**
 * A database server that exists only in the test. It can be slow, refuse, hang, be full, forget connections and go deaf,
 * as a standing behaviour or for the next few times, and it counts what was done to it.
 *
 * Time passes on Effect's `Clock`, so under `TestClock` a minute of outage takes no time at all.
 *
 * @since 0.1.0
 */
import type * as Pool from "@dbpool/core/Pool"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as internal from "./internal/simulatedServer.js"

/**
 * What a simulated server is recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = "~@dbpool/testing/SimulatedServer"

/**
 * The type of what a simulated server is recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@dbpool/testing/SimulatedServer"

/**
 * What the server, or the network to it, says when something does not work. `fault` is how a pool is to take it when a
 * connect fails with it: `"transient"` unless set.
 *
 * @since 0.1.0
 * @category errors
 */
export class ServerError extends Data.TaggedError("ServerError")<{
  readonly message: string
  readonly fault?: Pool.Fault | undefined
}> {}

/**
 * What a server is asked to do. `query` is everything a user does on a connection.
 *
 * @since 0.1.0
 * @category models
 */
export type Operation = "connect" | "validate" | "cancel" | "reset" | "close" | "query"

/**
 * How an operation goes. With nothing set it works at once.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  /** How long it takes; `"never"` gets no answer at all. Default: no time */
  readonly takes?: Duration.DurationInput | "never" | undefined
  /** What it fails with when that time is over. A validation that fails means that the connection is not valid. */
  readonly fails?: ServerError | undefined
  /** Whether it cannot be interrupted, as a driver that ignores its signal. Default: `false` */
  readonly stubborn?: boolean | undefined
}

/**
 * One connection to the server, with what a user can do on it and what has been done to it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connection {
  /** Counts from 1; no other connection of the server ever gets it. */
  readonly id: number
  /** What its driver sees: `busy` while a query runs, `dirty` in a transaction, `broken` once it knows of its death. */
  readonly condition: Pool.Condition
  /** Whether the server still knows it. */
  readonly open: boolean
  /** How often its scope was closed. */
  readonly closed: number
  /** How often it was destroyed. */
  readonly destroyed: number
  /**
   * Runs a query, and answers the connection's id. Interrupted, it leaves the connection busy, since the server works on.
   *
   * Fails with `ServerError` when the connection is dead, or when somebody else's query runs on it.
   */
  readonly query: Effect.Effect<number, ServerError>
  /** A query that begins a transaction: the connection is dirty from then on. Fails as `query` does. */
  readonly begin: Effect.Effect<void, ServerError>
  /** A query that ends the transaction. Fails as `query` does. */
  readonly commit: Effect.Effect<void, ServerError>
  /** Makes its driver see something else. */
  readonly leave: (condition: Pool.Condition) => Effect.Effect<void>
}

/**
 * What a pool has to know about the server's connections.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hooks {
  readonly connect: Effect.Effect<Connection, ServerError, Scope.Scope>
  readonly connectFault: (error: ServerError) => Pool.Fault
  readonly validate: (connection: Connection) => Effect.Effect<boolean, ServerError>
  readonly condition: (connection: Connection) => Pool.Condition
  readonly cancel: (connection: Connection) => Effect.Effect<void, ServerError>
  readonly reset: (connection: Connection) => Effect.Effect<void, ServerError>
  readonly onLost: (connection: Connection, lost: (cause: unknown) => void) => void
  readonly destroy: (connection: Connection) => void
}

/**
 * A server, what the test tells it, and what was done to it.
 *
 * @since 0.1.0
 * @category models
 */
export interface SimulatedServer {
  readonly [TypeId]: TypeId
  /** To be spread into the options of a pool. */
  readonly options: Hooks
  /** Every connection there ever was, in the order of their ids. */
  readonly connections: ReadonlyArray<Connection>
  /** How many are open now. */
  readonly open: number
  /** The most that were open at once. */
  readonly maxOpen: number
  /** The most connects that were under way at once. */
  readonly maxConnecting: number
  /** How often each operation was begun. */
  readonly calls: Readonly<Record<Operation, number>>
  /** From now on an operation goes like that. What has begun already goes on as it was. */
  readonly always: (operation: Operation, answer: Answer) => Effect.Effect<void>
  /** The next so many (one, unless given) times an operation goes like that; scripts queue up, and come before `always`. */
  readonly next: (operation: Operation, answer: Answer, times?: number) => Effect.Effect<void>
  /** Takes no more connections than that; further ones fail with the fault `"refused"`. Those it has, it keeps. */
  readonly limit: (connections: number) => Effect.Effect<void>
  /**
   * Ends a connection, with the query that runs on it. If that is `unheard`, because packets are lost, its driver takes it
   * for healthy until a query or a validation fails.
   */
  readonly kill: (connection: Connection, options?: { readonly unheard?: boolean | undefined }) => Effect.Effect<void>
  /** Ends every connection, and every driver hears of it. */
  readonly restart: Effect.Effect<void>
  /** From now on nothing is answered: no connect, validation, cancel, reset or query. Closing still works. */
  readonly goDeaf: Effect.Effect<void>
  /** From now on everything works at once again. Forgets all scripts, and the limit. What hangs already goes on hanging. */
  readonly calm: Effect.Effect<void>
}

/**
 * Starts a server with which everything works at once.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* SimulatedServer.make
 *   const pool = yield* Pool.make({ ...server.options, maxConnections: 3 })
 *
 *   yield* server.always("query", { takes: "20 millis" })
 *   yield* server.next("connect", { fails: new SimulatedServer.ServerError({ message: "connection refused" }) }, 2)
 *   yield* server.restart
 *
 *   const id = yield* pool.use((connection) => connection.query)
 *   yield* Effect.log(`served by connection ${id} after ${server.calls.connect} attempts`)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<SimulatedServer> = internal.make
