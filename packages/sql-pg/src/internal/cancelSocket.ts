/**
 * The socket of a CancelRequest: to the address that is connected, and encrypted where the connection is, because the
 * request carries the connection's secret.
 */
import * as net from "node:net"
import type { Duplex } from "node:stream"
import * as tls from "node:tls"
import type pg from "pg"

/** a stream that `pg` can use: not connected yet @internal */
export interface Raw extends Duplex {
  readonly connect: (port: number, host: string) => unknown
}

/** a message on its way @internal */
export interface Call {
  readonly destroy: (error?: Error) => void
}

const requestTls = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

/**
 * Sends the message as soon as it can be and reports the end, once: an error when anything went wrong before.
 *
 * @internal
 */
export const open = (
  client: pg.Client,
  connected: net.Socket,
  raw: (() => Raw) | undefined,
  message: Buffer,
  ended: (error: unknown) => void
): Call => {
  let failure: unknown = undefined
  let socket: Duplex = dial(client, connected, raw)
  const fails = (error: unknown) => {
    failure ??= error
  }
  const watch = (stream: Duplex) => {
    stream.on("error", fails)
    // an encrypted stream ends with the one beneath it
    stream.on("close", () => {
      if (stream === socket) ended(failure)
    })
  }
  const encrypt = () => {
    const plain = socket
    socket = tls.connect(tlsOptions(client, plain), () => socket.write(message))
    watch(socket)
    socket.resume()
  }
  watch(socket)
  socket.once("connect", () => {
    if (!(connected instanceof tls.TLSSocket)) {
      socket.write(message)
      socket.resume()
    } else if (negotiation(client) === "direct") encrypt()
    else {
      socket.write(requestTls)
      socket.once("data", (answer: Buffer) =>
        answer.toString("latin1") === "S"
          ? encrypt()
          : socket.destroy(new Error("the server offers no TLS for a cancel")))
    }
  })
  return { destroy: (error) => socket.destroy(error) }
}

/** the address that is connected, not the name it was found by: the name may lead to another server by now */
const dial = (client: pg.Client, connected: net.Socket, raw: (() => Raw) | undefined): Duplex => {
  if (raw !== undefined) {
    const stream = raw()
    stream.connect(client.port, client.host)
    return stream
  }
  return connected.remoteAddress === undefined
    ? net.connect(`${client.host}/.s.PGSQL.${client.port}`)
    : net.connect(connected.remotePort!, connected.remoteAddress)
}

interface Tls {
  readonly ssl: boolean | tls.ConnectionOptions
  readonly sslNegotiation: string
}

const negotiation = (client: pg.Client): string => (client as unknown as Tls).sslNegotiation

/** as `pg` makes them for the connection itself: the same certificate is expected, for the same name */
const tlsOptions = (client: pg.Client, socket: Duplex): tls.ConnectionOptions => {
  const { ssl } = client as unknown as Tls
  return {
    socket,
    host: client.host,
    ...(typeof ssl === "object" ? ssl : {}),
    // not copied by the line above: `pg` hides it from those who print it
    ...(typeof ssl === "object" && ssl.key !== undefined ? { key: ssl.key } : {}),
    ...(negotiation(client) === "direct" ? { ALPNProtocols: ["postgresql"] } : {}),
    ...(net.isIP(client.host) === 0 ? { servername: client.host } : {})
  }
}
