/**
 * Between a pool and a real server: it passes every request on, each client's socket on a socket of its own, writes down
 * what was asked, and does what a test tells it to do with requests of some kind.
 */
import * as Effect from "effect/Effect"
import * as http from "node:http"
import type * as net from "node:net"
import type { Message } from "../src/internal/protobuf.js"
import type { Calls, Request, Response } from "../src/internal/schema.js"
import { calls, ErrorResponse, WireMessage } from "../src/internal/schema.js"

export type Name = keyof Calls

/** a request as it came */
export interface Asked {
  readonly name: Name
  /** the number of the client's socket, from 1 */
  readonly socket: number
  readonly connectionId: string
  readonly content: any
}

export interface Reply {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
}

/** what to do with a request: an answer, or `undefined` to cut the socket; `pass` asks the server */
export type Handler = (asked: Asked, pass: () => Promise<Reply>) => Promise<Reply | undefined>

/** the server does it, and nobody hears of it */
export const lost: Handler = async (_, pass) => {
  await pass()
  return undefined
}

/** the server has forgotten the statement by then */
export const forgotten = (upstream: string): Handler => async ({ connectionId, content }, pass) => {
  const statementId = content.statementId ?? content.statement.id
  await ask(upstream, "CloseStatement", { connectionId, statementId })
  return pass()
}

const requests = "org.apache.calcite.avatica.proto.Requests$"
const responses = "org.apache.calcite.avatica.proto.Responses$"

export const message = (name: string, wrapped: Uint8Array, status = 200): Reply => ({
  status,
  headers: { "content-type": "application/octet-stream;charset=utf-8" },
  body: Buffer.from(WireMessage.encode({ name: `${responses}${name}Response`, wrapped }))
})

export const answer = <K extends Name>(name: K, content: object): Reply =>
  message(calls[name].answer, (calls[name].response as Message<any>).encode(content))

export const refusal = (content: Partial<ReturnType<typeof ErrorResponse.decode>>): Reply =>
  message("Error", ErrorResponse.encode({ errorCode: 2 ** 32 - 1, sqlState: "00000", ...content }), 500)

export const html = (status: number, title: string): Reply => ({
  status,
  headers: { "content-type": "text/html; charset=utf-8" },
  body: Buffer.from(`<html><head><title>${title}</title></head><body>${title}</body></html>`)
})

/** asks a server beside the pool under test */
export const ask = <K extends Name>(url: string, name: K, content: Request<K>): Promise<Reply> =>
  send(url, new http.Agent({ keepAlive: false }), {}, envelope(name, content))

/** what an answer says */
export const contentOf = <K extends Name>(body: Uint8Array, name: K): Response<K> => {
  const answer = WireMessage.decode(body)
  if (answer.name !== `${responses}${calls[name].answer}Response`) {
    throw new Error(`${name} was answered by ${answer.name}`)
  }
  return (calls[name].response as Message<any>).decode(answer.wrapped)
}

/** the error in an answer, if it is one */
export const errorOf = (body: Uint8Array) => {
  const { name, wrapped } = WireMessage.decode(body)
  return name === `${responses}ErrorResponse` ? ErrorResponse.decode(wrapped) : undefined
}

const envelope = <K extends Name>(name: K, content: Request<K>): Buffer =>
  Buffer.from(WireMessage.encode({
    name: `${requests}${name}Request`,
    wrapped: (calls[name].request as Message<any>).encode(content)
  }))

const send = (url: string, agent: http.Agent, headers: http.IncomingHttpHeaders, body: Buffer): Promise<Reply> =>
  new Promise((resolve, reject) => {
    const { connection: __, host: _, ...rest } = headers
    const request = http.request(url, { agent, method: "POST", headers: rest }, (response) => {
      read(response).then((body) => resolve({ status: response.statusCode!, headers: response.headers, body }), reject)
    })
    request.on("error", reject)
    request.end(body)
  })

const read = async (stream: http.IncomingMessage): Promise<Buffer> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export const make = (upstream: string) =>
  Effect.gen(function*() {
    const log: Array<Asked> = []
    const handlers = new Map<Name, { readonly handler: Handler; times: number }>()
    const sockets = new Map<net.Socket, { readonly id: number; readonly agent: http.Agent }>()
    let accepted = 0

    const parse = (body: Buffer, socket: number): Asked => {
      const { name, wrapped } = WireMessage.decode(body)
      const short = name.slice(requests.length, -"Request".length) as Name
      const content: any = (calls[short].request as Message<any>).decode(wrapped)
      return { name: short, socket, connectionId: content.connectionId ?? content.statement?.connectionId, content }
    }

    const on = (name: Name, handler: Handler, times = Infinity) => {
      handlers.set(name, { handler, times })
    }

    const serve = async (request: http.IncomingMessage, response: http.ServerResponse) => {
      const { agent, id } = sockets.get(request.socket)!
      const body = await read(request)
      const asked = parse(body, id)
      log.push(asked)
      const pass = () => send(`${upstream}${request.url}`, agent, request.headers, body)
      const plan = handlers.get(asked.name)
      const reply = plan === undefined || plan.times-- <= 0 ? await pass() : await plan.handler(asked, pass)
      if (reply === undefined) return request.socket.destroy()
      const { connection: _, "transfer-encoding": __, ...headers } = reply.headers
      response.writeHead(reply.status, { ...headers, "content-length": reply.body.length })
      response.end(reply.body)
      return
    }

    const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      serve(request, response).catch(() => request.socket.destroy())
    })
    server.on("connection", (socket) => {
      sockets.set(socket, { id: ++accepted, agent: new http.Agent({ keepAlive: true, maxSockets: 1 }) })
      socket.on("close", () => {
        sockets.get(socket)?.agent.destroy()
        sockets.delete(socket)
      })
    })
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.sync(() => {
          server.close()
          for (const [socket] of sockets) socket.destroy()
        })
    )
    return {
      url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
      log,
      /** how often that was asked */
      count: (name: Name) => log.filter((asked) => asked.name === name).length,
      /** how many sockets were ever opened */
      sockets: () => accepted,
      /** from now on, or so many times */
      on,
      /** holds the next request of a kind back, or its answer, until it is let go */
      hold: (name: Name, what: "request" | "answer" = "request") => {
        let letGo = () => {}
        const held = new Promise<void>((resolve) => {
          letGo = resolve
        })
        on(name, async (_, pass) => {
          const reply = what === "answer" ? await pass() : undefined
          await held
          return reply ?? pass()
        }, 1)
        return letGo
      },
      /** cuts every socket, or that of one connection */
      cut: (connectionId?: string) =>
        Effect.sync(() => {
          const of = log.find((asked) => asked.connectionId === connectionId)?.socket
          for (const [socket, { id }] of sockets) if (connectionId === undefined || id === of) socket.destroy()
        }),
      address: { host: "127.0.0.1", port: (server.address() as net.AddressInfo).port }
    }
  })

export type Gateway = Effect.Effect.Success<ReturnType<typeof make>>
