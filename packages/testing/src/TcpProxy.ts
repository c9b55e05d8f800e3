/**
 * A network that fails when it is told to: a TCP proxy on the loopback address, in front of a real server.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as internal from "./internal/tcpProxy.js"

/**
 * What a proxy is recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = "~@dbpool/testing/TcpProxy"

/**
 * The type of what a proxy is recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@dbpool/testing/TcpProxy"

/**
 * Which way bytes go.
 *
 * @since 0.1.0
 * @category models
 */
export type Direction = "toServer" | "toClient"

/**
 * What a proxy has done so far, and how many connections go through it now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counts {
  /** connections that clients opened */
  readonly accepted: number
  /** those of them that are open now */
  readonly open: number
  /** those that `cut` ended, and those for which there was no server */
  readonly reset: number
  /** bytes passed on, each way */
  readonly toServer: number
  readonly toClient: number
  /** bytes that went nowhere while the proxy was deaf, both ways together */
  readonly swallowed: number
}

/**
 * Clients connect to `host` and `port` and talk to the server behind. Until it is told otherwise the proxy passes on every
 * byte as it comes, and the end of either side. Times are real ones, whatever `Clock` the program runs on.
 *
 * @since 0.1.0
 * @category models
 */
export interface TcpProxy {
  readonly [TypeId]: TypeId
  readonly host: string
  readonly port: number
  /** From now on nobody gets in: connecting is refused. Connections that are open go on. */
  readonly stop: Effect.Effect<void>
  /** Lets them in again, on the same port. */
  readonly start: Effect.Effect<void>
  /** Ends every open connection by RST, on both sides, so that what was on its way is lost. New ones are let in. */
  readonly cut: Effect.Effect<void>
  /** Holds back every byte for so many milliseconds, each way, in order. 0 ends it. */
  readonly delay: (millis: number) => Effect.Effect<void>
  /**
   * Accepts whatever comes and passes none of it on: in one direction, or in both. What is swallowed is lost for good, so
   * that an open connection is of no use afterwards. `"open"` does it to the connections that are open now and to no
   * later one. Default: both directions, all connections
   */
  readonly deaf: (direction?: Direction, connections?: "all" | "open") => Effect.Effect<void>
  /** Passes bytes on again. */
  readonly hear: Effect.Effect<void>
  readonly counts: Effect.Effect<Counts>
}

/**
 * Listens on a free port of the loopback address until the scope closes, which also resets the connections that are
 * still open. The server need not be there: a client then gets in, and is reset.
 *
 * @example
 * ```ts
 * import * as PgPool from "@dbpool/sql-pg/PgPool"
 * import * as PgServer from "@dbpool/testing/PgServer"
 * import * as TcpProxy from "@dbpool/testing/TcpProxy"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 * import * as Redacted from "effect/Redacted"
 *
 * // a statement whose answer is lost on its way
 * const program = Effect.gen(function*() {
 *   const server = yield* PgServer.makeTest()
 *   const proxy = yield* TcpProxy.make(server)
 *   const query = Effect.gen(function*() {
 *     const sql = yield* SqlClient.SqlClient
 *     yield* proxy.deaf("toClient")
 *     yield* sql`select 1`.pipe(
 *       Effect.raceFirst(Effect.zipRight(Effect.sleep("100 millis"), proxy.cut))
 *     )
 *   })
 *   yield* query.pipe(
 *     Effect.provide(PgPool.layer({ url: Redacted.make(server.url), host: proxy.host, port: proxy.port }))
 *   )
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  server: { readonly host: string; readonly port: number }
): Effect.Effect<TcpProxy, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.tap(Effect.sync(() => new internal.Proxy(server)), (proxy) => proxy.listen),
      (proxy) => Effect.zipLeft(proxy.unlisten, proxy.cut)
    ),
    (proxy) => ({
      [TypeId]: TypeId,
      host: internal.host,
      port: proxy.port,
      stop: proxy.unlisten,
      start: proxy.listen,
      cut: proxy.cut,
      delay: (millis) => Effect.sync(() => proxy.delay(millis)),
      deaf: (direction, connections = "all") => Effect.sync(() => proxy.deaf(direction, connections)),
      hear: Effect.sync(() => proxy.hear()),
      counts: Effect.sync(() => proxy.counts())
    })
  )
