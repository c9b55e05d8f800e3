/**
 * KILL, which ends the statement of another connection, or that connection. It is sent on a connection of its own, outside
 * the pool's maximum: opened when the first one has to be sent, one for each server, and closed when none had to be for a
 * while.
 */
import mysql from "mysql2"
import type { Duplex } from "node:stream"
import { dialTo } from "./config.js"

/** how a connection is found on its server, and how it is made sure that it is that server @internal */
export interface Address {
  /** where the socket is connected to; nothing if it is not one of TCP */
  readonly remote: { readonly host: string; readonly port: number } | undefined
  /** what the server says of itself: another one may be behind the same address */
  readonly server: string
  /** the id of the connection there */
  readonly id: string
}

/**
 * What a server is asked about itself and a connection to it: also whether that commits by itself, because MySQL says so of
 * every new session, whatever it was configured to do.
 *
 * @internal
 */
export const whoAreYou = "SELECT connection_id(), concat_ws('/', @@hostname, @@port, @@server_id), @@autocommit"

/** how long a cancel may take, the login included; by the real clock, which no test moves */
const patience = 5000

/** how long the connection is kept for the next cancel */
const idle = 10_000

interface Request {
  readonly what: "QUERY" | "CONNECTION"
  readonly address: Address
  readonly done: (error: unknown) => void
}

/** Cancels the statements of one pool. @internal */
export class Control {
  private readonly lines = new Map<string, Line>()

  /** how to log in, asked for every time: the password may have changed */
  constructor(
    private readonly login: () => mysql.ConnectionOptions,
    private readonly dial: () => Duplex
  ) {}

  /**
   * Calls back once: with nothing when the server has said that it is done, from when on the cancel cannot hit anything
   * any more, and with an error when that is not certain. Returns how to give up, after which it never does.
   */
  kill(what: Request["what"], address: Address, done: (error: unknown) => void): () => void {
    const { remote } = address
    const key = remote === undefined ? "" : `${remote.host} ${remote.port}`
    let line = this.lines.get(key)
    if (line === undefined) {
      // it has nothing to do with any
      const { database: _, ...login } = this.login()
      line = new Line(
        // the address that is connected, not the name it was found by: the name may lead to another server by now
        { ...login, stream: remote === undefined ? this.dial : () => dialTo(login.host ?? "", remote) },
        () => this.lines.delete(key)
      )
      this.lines.set(key, line)
    }
    return line.ask({ what, address, done })
  }

  /** whoever still waits is told */
  close(): void {
    for (const line of this.lines.values()) line.end(new Error("the pool is closed"))
  }
}

/** one connection, for one request after the other */
class Line {
  private readonly client: mysql.Connection
  private readonly requests = new Set<Request>()
  private server: string | undefined = undefined
  private isBusy = true
  private timer: ReturnType<typeof setTimeout> | undefined
  private ended = false

  constructor(config: mysql.ConnectionOptions, private readonly gone: () => void) {
    this.client = mysql.createConnection(config)
    this.client.on("error", (error: unknown) => this.end(error))
    this.client.on("end", () => this.end(new Error("the server closed the connection that cancels")))
    this.bound()
    this.client.query({ sql: whoAreYou, rowsAsArray: true, typeCast: true }, (error: unknown, rows: any) => {
      if (error !== null) return this.end(error)
      this.server = String(rows[0][1])
      this.next()
    })
  }

  ask(request: Request): () => void {
    this.requests.add(request)
    if (!this.isBusy) this.next()
    return () => this.requests.delete(request)
  }

  end(error: unknown): void {
    if (this.ended) return
    this.ended = true
    clearTimeout(this.timer)
    this.gone()
    const { stream } = this.client as unknown as { readonly stream: Duplex }
    stream.destroy()
    for (const { done } of [...this.requests]) done(error)
  }

  private next(): void {
    clearTimeout(this.timer)
    for (const request of this.requests) return this.send(request)
    this.isBusy = false
    this.timer = setTimeout(() => this.end(undefined), idle)
    this.timer.unref()
  }

  private send(request: Request): void {
    const { address: { id, server }, done, what } = request
    this.isBusy = true
    if (server !== this.server) {
      this.requests.delete(request)
      done(new Error("another server is where the connection to be cancelled was opened"))
      return this.next()
    }
    this.bound()
    this.client.query(`KILL ${what} ${id}`, (error: unknown) => {
      if (this.ended) return
      // one that was given up is over, too
      if (this.requests.delete(request)) done(error ?? undefined)
      this.next()
    })
  }

  private bound(): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.end(new Error(`no answer to a cancel within ${patience} ms`)), patience)
  }
}
