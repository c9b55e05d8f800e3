/**
 * PostgreSQL's CancelRequest: sixteen bytes on a socket of their own, to which the server answers by closing it.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
import type * as net from "node:net"
import type pg from "pg"
import type { Raw } from "./cancelSocket.js"
import * as cancelSocket from "./cancelSocket.js"

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

  /** `throughProxy`: what answers is not the server, so that an answer does not prove that the request has had its effect */
  constructor(readonly throughProxy = false, private readonly raw?: () => Raw) {}

  /**
   * Calls back once: with nothing when the server has closed the cancel socket, from when on the request cannot hit
   * anything any more, and with an error when that is not certain. Returns how to give up, after which it never does.
   */
  request(client: pg.Client, connected: net.Socket, done: (error: unknown) => void): () => void {
    let stop = () => {
      this.waiting.delete(start)
    }
    const start = () => {
      let report: ((error: unknown) => void) | undefined = done
      const ended = (error: unknown) => {
        clearTimeout(timer)
        this.underWay--
        this.next()
        report?.(error)
      }
      const call = this.open(client, connected, ended)
      this.underWay++
      const timer = setTimeout(() => call.destroy(new Error(`no answer to a cancel within ${patience} ms`)), patience)
      stop = () => {
        report = undefined
        call.destroy()
      }
    }
    this.waiting.add(start)
    this.next()
    return () => stop()
  }

  /** a program's own way to make sockets may throw: then there is none to be had */
  private open(client: pg.Client, connected: net.Socket, ended: (error: unknown) => void): cancelSocket.Call {
    try {
      return cancelSocket.open(client, connected, this.raw, message(client as unknown as Session), ended)
    } catch (error) {
      setImmediate(() => ended(error))
      return { destroy: () => {} }
    }
  }

  private next(): void {
    for (const start of this.waiting) {
      if (this.underWay >= atOnce) return
      this.waiting.delete(start)
      start()
    }
  }
}

/** a server that gave no key takes no cancels; it answers to zeros by closing the socket, as to every wrong key */
const message = ({ processID, secretKey }: Session): Buffer => {
  const request = Buffer.alloc(16)
  request.writeInt32BE(16, 0)
  request.writeInt32BE(cancelRequestCode, 4)
  request.writeInt32BE(processID ?? 0, 8)
  request.writeInt32BE(secretKey ?? 0, 12)
  return request
}
