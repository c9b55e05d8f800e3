/**
 * PostgreSQL's CancelRequest: sixteen bytes on a socket of their own, to which the server answers by closing it.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
import * as net from "node:net"
import type pg from "pg"

const cancelRequestCode = 80877102

/** more would compete with the traffic for the server's sockets */
const atOnce = 2

/** how long the server may take to close the socket; by the socket's own clock, which no test moves */
const patience = 5000

interface Session {
  readonly processID: number | null
  readonly secretKey: number | null
}

/** Sends the cancel requests of one pool. @internal */
export class Canceller {
  private underWay = 0
  private readonly waiting = new Set<() => void>()

  /**
   * Calls back once: with nothing when the server has closed the cancel socket, from when on the request cannot hit
   * anything any more, and with an error when that is not certain. Returns how to give up, after which it never does.
   */
  request(client: pg.Client, connected: net.Socket, done: (error: unknown) => void): () => void {
    let stop = () => {
      this.waiting.delete(start)
    }
    const start = () => {
      this.underWay++
      let failure: unknown = undefined
      let report: ((error: unknown) => void) | undefined = done
      const socket = dial(client, connected)
      stop = () => {
        report = undefined
        socket.destroy()
      }
      socket.setTimeout(patience, () => socket.destroy(new Error(`no answer to a cancel within ${patience} ms`)))
      socket.on("connect", () => socket.write(message(client as unknown as Session)))
      socket.on("error", (error) => {
        failure = error
      })
      socket.on("close", () => {
        this.underWay--
        this.next()
        report?.(failure)
      })
      socket.resume()
    }
    this.waiting.add(start)
    this.next()
    return () => stop()
  }

  private next(): void {
    for (const start of this.waiting) {
      if (this.underWay >= atOnce) return
      this.waiting.delete(start)
      start()
    }
  }
}

/** the address that is connected, not the name it was found by: the name may lead to another server by now */
const dial = (client: pg.Client, connected: net.Socket): net.Socket =>
  connected.remoteAddress === undefined
    ? net.connect(`${client.host}/.s.PGSQL.${client.port}`)
    : net.connect(connected.remotePort!, connected.remoteAddress)

/** a server that gave no key takes no cancels; it answers to zeros by closing the socket, as to every wrong key */
const message = ({ processID, secretKey }: Session): Buffer => {
  const request = Buffer.alloc(16)
  request.writeInt32BE(16, 0)
  request.writeInt32BE(cancelRequestCode, 4)
  request.writeInt32BE(processID ?? 0, 8)
  request.writeInt32BE(secretKey ?? 0, 12)
  return request
}
