/**
 * A server that accepts connections and never answers: a deaf network, on the loopback address.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"

/**
 * What a black hole is recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: TypeId = "~@dbpool/testing/BlackHole"

/**
 * The type of what a black hole is recognised by.
 *
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = "~@dbpool/testing/BlackHole"

/**
 * A server that takes every connection and never says a word.
 *
 * @since 0.1.0
 * @category models
 */
export interface BlackHole {
  readonly [TypeId]: TypeId
  readonly host: string
  readonly port: number
  /** How many connections were accepted so far. */
  readonly accepted: Effect.Effect<number>
  /** How many of them are open now. */
  readonly open: Effect.Effect<number>
}

/**
 * The service of a program's black hole.
 *
 * @since 0.1.0
 * @category tags
 */
export const BlackHole: Context.Tag<BlackHole, BlackHole> = Context.GenericTag<BlackHole>("@dbpool/testing/BlackHole")

const host = "127.0.0.1"

/**
 * Listens on a free port until the scope closes, which also cuts the connections that are still open.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<BlackHole, never, Scope.Scope> = Effect.gen(function*() {
  const sockets = new Set<Net.Socket>()
  let accepted = 0
  const server = Net.createServer((socket) => {
    accepted++
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
    socket.on("error", () => {})
    // What arrives is read and dropped: the end of a paused stream would never be seen.
    socket.resume()
  })
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => {
      server.once("error", (error) => resume(Effect.die(error)))
      server.listen(0, host, () => resume(Effect.void))
    }),
    () =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) {
          socket.destroy()
        }
      })
  )
  return {
    [TypeId]: TypeId,
    host,
    port: (server.address() as Net.AddressInfo).port,
    accepted: Effect.sync(() => accepted),
    open: Effect.sync(() => sockets.size)
  }
})

/**
 * A black hole as a scoped layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<BlackHole> = Layer.scoped(BlackHole, make)
