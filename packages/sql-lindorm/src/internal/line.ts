/**
 * One socket to the server, and HTTP over it, one request at a time. It is never replaced: what the server knows about a
 * connection is in the memory of one node, and behind a load balancer a second socket may lead to another.
 */
import * as Http from "node:http"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { ReadTimeout } from "../AvaticaError.js"
import type { Credentials } from "./login.js"
import { Login } from "./login.js"

/** @internal */
export interface Target {
  readonly host: string
  readonly port: number
  readonly path: string
  readonly tls: Tls.ConnectionOptions | undefined
  readonly credentials: Credentials | undefined
  readonly readTimeout: number
}

/** @internal */
export interface Answer {
  readonly status: number
  readonly contentType: string
  readonly body: Uint8Array
}

/** lends Node's HTTP the one socket there is, and no other when that has gone */
class OneSocket extends Http.Agent {
  constructor(private readonly socket: Net.Socket) {
    super({ keepAlive: true, maxSockets: 1 })
  }

  override createConnection(): Net.Socket {
    return this.socket
  }
}

/** @internal */
export class Line {
  private readonly socket: Net.Socket
  private readonly agent: OneSocket
  private readonly login: Login | undefined
  /** a balancer may know its node by them */
  private readonly cookies = new Map<string, string>()
  private closed: { readonly cause: unknown } | undefined = undefined
  private failure: unknown = undefined
  readonly opened: Promise<void>

  /** begins to connect; `onClosed` is called once, when the socket has gone for whatever reason */
  constructor(private readonly target: Target, private readonly onClosed: (cause: unknown) => void) {
    const { credentials, host, port, tls } = target
    this.login = credentials === undefined ? undefined : new Login(credentials)
    const socket = tls === undefined
      ? Net.connect({ host, port })
      : Tls.connect({ host, port, ...(Net.isIP(host) === 0 ? { servername: host } : {}), ...tls })
    this.socket = socket
    this.agent = new OneSocket(socket)
    socket.setNoDelay(true)
    socket.setKeepAlive(true)
    socket.on("error", (error) => {
      this.failure ??= error
    })
    this.opened = new Promise((resolve, reject) => {
      socket.once(tls === undefined ? "connect" : "secureConnect", resolve)
      socket.once("close", () => {
        const cause = this.failure ?? new Error("the server closed the socket")
        this.closed = { cause }
        this.agent.destroy()
        reject(cause)
        this.onClosed(cause)
      })
    })
    // whoever waits hears of it; nobody has to
    this.opened.catch(() => {})
  }

  destroy(): void {
    this.failure ??= new Error("the connection was destroyed")
    this.socket.destroy()
  }

  /** A refused login is tried once more if the server names a challenge: what it refuses so it has not looked at. */
  async post(body: Uint8Array): Promise<Answer> {
    await this.opened
    const first = await this.send(body)
    if (first.status !== 401 || this.login?.isChallenged(first.challenge) !== true) return first
    return this.send(body)
  }

  private send(body: Uint8Array): Promise<Answer & { readonly challenge: string | undefined }> {
    return new Promise((resolve, reject) => {
      if (this.closed !== undefined) return reject(this.closed.cause)
      const { host, path, port, readTimeout } = this.target
      const authorization = this.login?.authorize("POST", path)
      const request = Http.request({
        agent: this.agent,
        host,
        port,
        path,
        method: "POST",
        headers: {
          "content-type": "application/x-google-protobuf",
          "content-length": body.length,
          ...(authorization === undefined ? {} : { authorization }),
          ...(this.cookies.size === 0 ? {} : { cookie: [...this.cookies].map((pair) => pair.join("=")).join("; ") })
        }
      })
      // by the socket's own clock, which no test moves
      const timer = setTimeout(() => {
        this.failure ??= new ReadTimeout({ afterMillis: readTimeout })
        this.socket.destroy()
      }, Math.min(readTimeout, longest))
      const fails = (error: unknown) => {
        clearTimeout(timer)
        // the socket's own words say more than "socket hang up"
        reject(this.failure ?? error)
        this.socket.destroy()
      }
      request.on("error", fails)
      request.on("response", (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => {
          timer.refresh()
          chunks.push(chunk)
        })
        response.on("error", fails)
        response.on("end", () => {
          clearTimeout(timer)
          this.remember(response.headers["set-cookie"])
          resolve({
            status: response.statusCode!,
            contentType: response.headers["content-type"] ?? "",
            challenge: response.headers["www-authenticate"],
            body: Buffer.concat(chunks)
          })
        })
      })
      request.end(body)
    })
  }

  private remember(cookies: ReadonlyArray<string> | undefined): void {
    for (const cookie of cookies ?? []) {
      const [, name, value] = /^\s*([^=;\s]+)\s*=\s*([^;]*)/.exec(cookie) ?? []
      if (name !== undefined) this.cookies.set(name, value!.trim())
    }
  }
}

/** timers beyond that fire at once */
const longest = 2 ** 31 - 1
