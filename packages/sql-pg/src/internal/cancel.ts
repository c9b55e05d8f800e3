/**
 * PostgreSQL's CancelRequest: sixteen bytes on a socket of their own, to which the server answers by closing it.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
import * as Effect from "effect/Effect"
import * as net from "node:net"
import type pg from "pg"

const cancelRequestCode = 80877102

/** two at once are enough: more would compete with the traffic for the server's sockets */
const gate = Effect.unsafeMakeSemaphore(2)

/** Ends when the server has closed the cancel socket: from then on the request cannot hit anything any more. @internal */
export const requestCancel = (client: pg.Client, connected: net.Socket): Effect.Effect<void, unknown> =>
  gate.withPermits(1)(Effect.async<void, unknown>((resume) => {
    const { processID, secretKey } = client as unknown as { readonly processID: number; readonly secretKey: number }
    // the address that is connected, not the name it was found by: the name may lead to another server by now
    const socket = connected.remoteAddress === undefined
      ? net.connect(`${client.host}/.s.PGSQL.${client.port}`)
      : net.connect(connected.remotePort!, connected.remoteAddress)
    socket.on("connect", () => {
      const request = Buffer.alloc(16)
      request.writeInt32BE(16, 0)
      request.writeInt32BE(cancelRequestCode, 4)
      request.writeInt32BE(processID, 8)
      request.writeInt32BE(secretKey, 12)
      socket.write(request)
    })
    socket.on("error", (error) => resume(Effect.fail(error)))
    socket.on("close", () => resume(Effect.void))
    socket.resume()
    return Effect.sync(() => socket.destroy())
  }))
