/**
 * A pool of connections, or of anything else that is opened, used by one at a time, and closed.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { Exit } from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { AcquireOptions } from "./AcquireOptions.js"
import * as internalMake from "./internal/make.js"
import type * as PoolConfig from "./PoolConfig.js"
import type { AcquireError, ConnectFailed, InvalidPoolConfig, TooManyConnections } from "./PoolError.js"
import type { PoolEvent } from "./PoolEvent.js"
import type { PoolHealth } from "./PoolHealth.js"
import type { Holder } from "./PoolHolder.js"
import type * as PoolReset from "./PoolReset.js"
import type { PoolStats } from "./PoolStats.js"

/**
 * What a pool is recognised by.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as Predicate from "effect/Predicate"
 *
 * const isPool = (u: unknown): boolean => Predicate.hasProperty(u, Pool.TypeId)
 * ```
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = internalMake.TypeId

/**
 * The type of what a pool is recognised by.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 *
 * interface Ours {
 *   readonly id: Pool.TypeId
 * }
 * ```
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@dbpool/core/Pool"

/**
 * A connection on loan. The scope it was acquired in gives it back.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * const first = <C>(pool: Pool.Pool<C>, isGood: (connection: C) => boolean) =>
 *   Effect.gen(function*() {
 *     const lease = yield* pool.acquire
 *     if (!isGood(lease.connection)) yield* lease.invalidate
 *     return lease.connection
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Lease<out C> {
  readonly connection: C
  /**
   * What the connection is like at this moment. `broken` too when it is the holder's no longer: the lease has ended, the
   * connection was invalidated or has died.
   */
  readonly condition: Condition
  /**
   * Says that the connection is no good: it is closed at once instead of being lent again, and its place is free for
   * another. Does nothing when the lease has ended.
   */
  readonly invalidate: Effect.Effect<void>
}

/**
 * An operation that is a callback: starts it, and answers how to abandon it. `done` is called once, perhaps at once, with
 * what came of it. It is abandoned when its fiber is interrupted before that: the lease ends then, and `condition` says
 * whether something is still going on that has to be cancelled; a later `done` has no effect. Neither may block, or wait
 * for this pool.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import * as Exit from "effect/Exit"
 *
 * interface Connection {
 *   readonly send: (command: string, answer: (error: Error | undefined, reply: string) => void) => { cancel(): void }
 * }
 *
 * const ping: Pool.Operation<Connection, string, Error> = (connection, done) => {
 *   const sent = connection.send("ping", (error, reply) =>
 *     done(error === undefined ? Exit.succeed(reply) : Exit.fail(error)))
 *   return () => sent.cancel()
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type Operation<in C, out A, out E> = (connection: C, done: (exit: Exit<A, E>) => void) => () => void

/**
 * Lends connections, first come, first served, and never more than there may be. Everything on it can be used by any
 * number of fibers at once; a function over pools of any connection takes a `Pool<C>`.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * interface Connection {
 *   readonly run: (command: string) => Effect.Effect<string>
 * }
 *
 * const greet = (pool: Pool.Pool<Connection>) => pool.use((connection) => connection.run("hello"))
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Pool<out C> {
  readonly [TypeId]: TypeId
  readonly name: string
  /**
   * Lends a connection until the scope closes.
   *
   * Fails with `AcquireTimeout` when the deadline passes, `TooManyConnections` when there is none and the caller would
   * not or may not wait, `ConnectFailed` when none can be had, `NestedAcquire` when the caller holds one already and
   * the pool's `nestedAcquire` is `"fail"`, and `PoolClosed` once the pool's scope is closing; inside a session with
   * `SessionLost` when its connection is gone; and with `InvalidPoolConfig` when options of its own are wrong, which is
   * only noticed when it has to wait.
   */
  readonly acquire: Effect.Effect<Lease<C>, AcquireError, Scope.Scope>
  /** `acquire` with options of its own. */
  readonly acquireWith: (options: AcquireOptions) => Effect.Effect<Lease<C>, AcquireError, Scope.Scope>
  /** `acquire` that fails with `TooManyConnections` at once when every connection is taken. */
  readonly tryAcquire: Effect.Effect<Lease<C>, AcquireError, Scope.Scope>
  /**
   * Runs an effect with a connection and gives it back when the effect ends, however it ends. The fast way to borrow.
   * Fails as `acquire` does, and with whatever the effect fails with.
   */
  readonly use: <A, E, R>(
    f: (connection: C) => Effect.Effect<A, E, R>,
    options?: AcquireOptions
  ) => Effect.Effect<A, E | AcquireError, R>
  /**
   * `use` for an operation that is a callback rather than an effect, with everything that `use` promises: the operation
   * starts in the step in which the connection is handed over, and the next caller gets the connection in the step in
   * which `done` is called; no fiber has to be woken in between. Fails as `use` does; an operation that throws dies.
   */
  readonly call: <A, E>(
    start: Operation<C, A, E>,
    options?: AcquireOptions
  ) => Effect.Effect<A, E | AcquireError>
  /** Runs a stream on a connection, which is given back when the stream ends or is abandoned. */
  readonly stream: <A, E, R>(
    f: (connection: C) => Stream.Stream<A, E, R>,
    options?: AcquireOptions
  ) => Stream.Stream<A, E | AcquireError, R>
  /**
   * Gives everything that runs inside an effect, the fibers it starts included, one connection: `use`, `acquire`,
   * `tryAcquire` and `stream` of this pool get the session's, and never wait for another. A session within a session
   * of the same pool is the same session.
   *
   * They take turns on it, first come, first served: two `use`s that run side by side never overlap, while one inside
   * another, or after an `acquire` in the same fiber, runs within the other's turn. A caller's `timeout` bounds its
   * wait for a turn, and `tryAcquire` doesn't wait.
   *
   * When the effect ends, so does the session. A `use` that a child still runs keeps the connection until it ends; after
   * that the child gets its connections from the pool. A lease acquired inside ends with the session, whatever its
   * scope: if it is still open then, the connection is closed, because nobody can tell whether it is still in use.
   *
   * Fails as `acquire` does, and with whatever the effect fails with. When the connection dies or is invalidated, later
   * calls inside fail with `SessionLost`: on another connection, what the session relies on would be missing.
   *
   * @example
   * ```ts
   * import * as Pool from "@dbpool/core/Pool"
   * import * as Effect from "effect/Effect"
   *
   * interface Connection {
   *   readonly run: (command: string) => Effect.Effect<void>
   * }
   *
   * const nightly = (pool: Pool.Pool<Connection>) => {
   *   const run = (command: string) => pool.use((connection) => connection.run(command))
   *   // the lock belongs to the connection, so all three have to run on the same one
   *   return run("lock").pipe(
   *     Effect.zipRight(run("clean up")),
   *     Effect.zipRight(run("unlock")),
   *     pool.session
   *   )
   * }
   * ```
   */
  readonly session: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | AcquireError, R>
  /** Who holds the pool's connections, longest first. */
  readonly holders: Effect.Effect<ReadonlyArray<Holder>>
  /** Whether the pool is ready, degraded or down, and why. Asks nobody and waits for nothing. */
  readonly health: Effect.Effect<PoolHealth>
  /** What the pool is doing right now and has done so far. */
  readonly stats: Effect.Effect<PoolStats>
  /**
   * What happens in the pool from now on, until it has closed. Costs nothing while nobody listens; a listener that falls
   * thousands of events behind loses the oldest.
   *
   * @example
   * ```ts
   * import type * as Pool from "@dbpool/core/Pool"
   * import * as Effect from "effect/Effect"
   * import * as Stream from "effect/Stream"
   *
   * const watch = <C>(pool: Pool.Pool<C>) =>
   *   pool.events.pipe(
   *     Stream.filter((event) => event._tag === "TroubleBegan"),
   *     Stream.runForEach((event) => Effect.logWarning(`${event.pool}: ${event.trouble}`))
   *   )
   * ```
   */
  readonly events: Stream.Stream<PoolEvent>
  /**
   * Changes how many connections there may be, and how many are kept. A smaller pool closes what is idle at once and what
   * is lent when it comes back; it opens nothing while it has too many. Fails with `InvalidPoolConfig`.
   */
  readonly resize: (size: Size) => Effect.Effect<void, InvalidPoolConfig>
  /** Closes every idle connection, and returns how many there were. The minimum is opened again. */
  readonly evictIdle: Effect.Effect<number>
  /**
   * Has every connection that is open now replaced, one after the other and without making anybody wait: after a failover,
   * or when credentials have changed. While callers wait, nothing is replaced, unless the drain is `hard`. Fails with
   * `InvalidPoolConfig` when `over` is no duration.
   */
  readonly drain: (options?: Drain) => Effect.Effect<void, InvalidPoolConfig>
  /**
   * Lends and opens nothing until `resume`. Callers wait, up to their deadline; those who would not wait get
   * `PoolSuspended`. Leases go on, and what comes back is kept.
   */
  readonly suspend: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** Validates every idle connection now, closes the stale ones, and returns how many those were. */
  readonly check: Effect.Effect<number>
  /** Waits until there is a connection, and `minConnections` are open. Fails as `acquire` does. */
  readonly awaitReady: Effect.Effect<void, AcquireError>
}

/**
 * How many connections a pool may have. What is not set stays as it is.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 *
 * const night: Pool.Size = { maxConnections: 2, minConnections: 0 }
 * const resized = <C>(pool: Pool.Pool<C>) => pool.resize(night)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Size {
  readonly maxConnections?: number | undefined
  readonly minConnections?: number | undefined
}

/**
 * How connections are drained.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 *
 * // a new password: replace everything within a minute, and lend nothing older after it
 * const drained = <C>(pool: Pool.Pool<C>) => pool.drain({ over: "1 minute", hard: true })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Drain {
  /** The time over which they are replaced, each at a random moment of it. Default: as fast as it goes */
  readonly over?: Duration.DurationInput | undefined
  /** Whether none of them may be lent again after that time, even if there are no others. Default: `false` */
  readonly hard?: boolean | undefined
}

/**
 * What a returned connection is like: `clean` can be lent again as it is, `dirty` needs `reset`, `busy` has a statement
 * running and needs `cancel`, and `broken` is closed.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 *
 * interface Session {
 *   readonly closed: boolean
 *   readonly inTransaction: boolean
 * }
 *
 * const condition = (session: Session): Pool.Condition =>
 *   session.closed ? "broken" : session.inTransaction ? "dirty" : "clean"
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type Condition = "clean" | "dirty" | "busy" | "broken"

/**
 * How a failed connect is to be taken: `transient` is retried, `fatal` (a wrong password) is told to callers at once,
 * and `refused` means that the server has too many connections already.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 *
 * const fault = (error: { readonly code: string }): Pool.Fault => {
 *   switch (error.code) {
 *     case "28P01":
 *       return "fatal" // wrong password
 *     case "53300":
 *       return "refused" // too many connections
 *     default:
 *       return "transient"
 *   }
 * }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type Fault = "transient" | "fatal" | "refused"

/**
 * How to make a pool of something: the options of every pool, and what the pool has to know about its connections.
 * Only `connect` is required. No hook runs in a caller's fiber but `condition`, `worn` and `activity`, which must be quick.
 *
 * @example
 * ```ts
 * import type * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 * import type * as Scope from "effect/Scope"
 *
 * interface Ftp {
 *   readonly noop: Effect.Effect<void, Error>
 * }
 *
 * const options = (connect: Effect.Effect<Ftp, Error, Scope.Scope>): Pool.Options<Ftp, Error, Scope.Scope> => ({
 *   name: "ftp",
 *   maxConnections: 3,
 *   connect,
 *   validate: (ftp) => ftp.noop
 * })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<C, E = never, R = never, RV = never, RC = never, RR = never> extends PoolConfig.PoolOptions {
  /** Opens a connection. The scope given to it is closed when the connection is. */
  readonly connect: Effect.Effect<C, E, R>
  /**
   * Prepares a new connection before anybody gets it. It is part of connecting: `connectTimeout` bounds both together,
   * and a connection whose setup fails is closed.
   */
  readonly setup?: ((connection: C) => Effect.Effect<unknown, E, R>) | undefined
  /** How to take an error of `connect` and `setup`. Default: every one is `transient`. */
  readonly connectFault?: ((error: E) => Fault) | undefined
  /**
   * Finds out whether an idle connection still works, by failing or answering `false` if not. Applied when it has been
   * idle for longer than `validateAfterIdle`, and to new connections after an outage.
   */
  readonly validate?: ((connection: C) => Effect.Effect<unknown, unknown, RV>) | undefined
  /** Looks at a connection when it is given back. Default: always `clean`. */
  readonly condition?: ((connection: C) => Condition) | undefined
  /** Ends the statement that is running on a `busy` connection. Without it such connections are closed. */
  readonly cancel?: ((connection: C) => Effect.Effect<unknown, unknown, RC>) | undefined
  /**
   * What is done to a connection before it is lent again. A function is run on `dirty` ones. Default: they are closed,
   * and `clean` ones are lent as they are
   */
  readonly reset?: PoolReset.Reset<C, RR> | ((connection: C) => Effect.Effect<unknown, unknown, RR>) | undefined
  /** Looks at a connection that has come back: `true` has it replaced as soon as nobody needs it. Must be quick. */
  readonly worn?: ((connection: C) => boolean) | undefined
  /**
   * What the holder of a connection is doing with it, for reports on who holds what, such as `running "select 1"`. Must
   * be quick.
   */
  readonly activity?: ((connection: C) => string | undefined) | undefined
  /** Registers a listener to be called, once, when a connection dies by itself. */
  readonly onLost?: ((connection: C, lost: (cause: unknown) => void) => void) | undefined
  /** The last resort, when the connection's scope takes longer than `closeTimeout` to close, or fails to. */
  readonly destroy?: ((connection: C) => void) | undefined
}

/**
 * Makes a pool that lives as long as the scope.
 *
 * Fails with `InvalidPoolConfig` when an option is wrong, and with `ConnectFailed` or `TooManyConnections` when
 * `initialize` cannot have the connections it waits for; with `initialize: "lazy"` it never does.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const pool = yield* Pool.make({
 *     connect: Effect.acquireRelease(
 *       Effect.succeed({ list: Effect.succeed(["a.txt"]) }),
 *       () => Effect.log("closed")
 *     ),
 *     maxConnections: 3
 *   })
 *   return yield* pool.use((ftp) => ftp.list)
 * })
 *
 * Effect.runPromise(Effect.scoped(program))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <C, E = never, R = never, RV = never, RC = never, RR = never>(
  options: Options<C, E, R, RV, RC, RR>
): Effect.Effect<
  Pool<C>,
  InvalidPoolConfig | ConnectFailed | TooManyConnections,
  R | RV | RC | RR | Scope.Scope
> => internalMake.make(options)

/**
 * The class a `Tag` makes: a service that is a pool, with the layer that provides it.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * interface FtpConnection {
 *   readonly list: Effect.Effect<ReadonlyArray<string>>
 * }
 *
 * class Ftp extends Pool.Tag("app/Ftp")<Ftp, FtpConnection>() {}
 *
 * const mine: Pool.PoolClass<Ftp, "app/Ftp", FtpConnection> = Ftp
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface PoolClass<Self, Id extends string, C> extends Context.TagClass<Self, Id, Pool<C>> {
  /** The pool, as a scoped layer. Fails as `make` does. */
  readonly layer: <E = never, R = never, RV = never, RC = never, RR = never>(
    options: Options<C, E, R, RV, RC, RR>
  ) => Layer.Layer<
    Self,
    InvalidPoolConfig | ConnectFailed | TooManyConnections,
    Exclude<R | RV | RC | RR, Scope.Scope>
  >
}

/**
 * Makes a service of a pool, with a layer.
 *
 * @example
 * ```ts
 * import * as Pool from "@dbpool/core/Pool"
 * import * as Effect from "effect/Effect"
 *
 * interface FtpConnection {
 *   readonly list: Effect.Effect<ReadonlyArray<string>>
 * }
 *
 * class Ftp extends Pool.Tag("app/Ftp")<Ftp, FtpConnection>() {}
 *
 * const FtpLive = Ftp.layer({ connect: Effect.succeed({ list: Effect.succeed(["a.txt"]) }), maxConnections: 3 })
 *
 * const program = Effect.gen(function*() {
 *   const ftp = yield* Ftp
 *   return yield* ftp.use((connection) => connection.list)
 * }).pipe(Effect.provide(FtpLive))
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) => <Self, C>(): PoolClass<Self, Id, C> => {
  const tag = Context.Tag(id)<Self, Pool<C>>()
  return Object.assign(tag, {
    layer: <E, R, RV, RC, RR>(options: Options<C, E, R, RV, RC, RR>) => Layer.scoped(tag, make(options))
  }) as PoolClass<Self, Id, C>
}
