import * as TcpProxy from "@dbpool/testing/TcpProxy"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Net from "node:net"

/** a server that says back what it is told, in capitals, and ends when its client does */
const echo = Effect.gen(function*() {
  const sockets = new Set<Net.Socket>()
  const server = Net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on("error", () => {})
    socket.once("close", () => sockets.delete(socket))
    socket.on("data", (chunk) => socket.write(chunk.toString("utf8").toUpperCase()))
    socket.once("end", () => socket.end("BYE"))
  })
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.sync(() => {
        server.close()
        for (const socket of sockets) socket.destroy()
      })
  )
  return {
    host: "127.0.0.1",
    port: (server.address() as Net.AddressInfo).port,
    open: Effect.sync(() => sockets.size)
  }
})

class Client {
  received = ""
  ended: "no" | "politely" | "reset" | "refused" = "no"
  constructor(readonly socket: Net.Socket) {
    socket.on("data", (chunk) => this.received += chunk.toString("utf8"))
    socket.once("end", () => this.ended = "politely")
    socket.once(
      "error",
      (error: NodeJS.ErrnoException) => this.ended = error.code === "ECONNREFUSED" ? "refused" : "reset"
    )
  }
}

const connect = (proxy: TcpProxy.TcpProxy) =>
  Effect.acquireRelease(
    Effect.async<Client>((resume) => {
      const client = new Client(Net.connect({ port: proxy.port, host: proxy.host, allowHalfOpen: true }))
      client.socket.once("connect", () => resume(Effect.succeed(client)))
      client.socket.once("error", () => resume(Effect.succeed(client)))
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const becomes = <A>(value: Effect.Effect<A>, expected: A) =>
  value.pipe(
    Effect.repeat({ until: (found) => found === expected, schedule: Schedule.spaced("2 millis") }),
    Effect.timeoutFail({ duration: "5 seconds", onTimeout: () => new Error(`never became ${String(expected)}`) })
  )

const received = (client: Client, text: string) => becomes(Effect.sync(() => client.received), text)
const ended = (client: Client, how: Client["ended"]) => becomes(Effect.sync(() => client.ended), how)

const make = Effect.gen(function*() {
  const server = yield* echo
  return { server, proxy: yield* TcpProxy.make(server) }
})

describe("TcpProxy", () => {
  it.scopedLive("passes on every byte, and the end of either side with what was said before it", () =>
    Effect.gen(function*() {
      const { proxy } = yield* make
      const client = yield* connect(proxy)
      client.socket.write("hello")
      yield* received(client, "HELLO")
      client.socket.end("!")
      yield* ended(client, "politely")
      assert.strictEqual(client.received, "HELLO!BYE")
      yield* becomes(Effect.map(proxy.counts, ({ open }) => open), 0)
      assert.deepInclude(yield* proxy.counts, { accepted: 1, reset: 0, toServer: 6, toClient: 9, swallowed: 0 })
    }))

  it.scopedLive("stop refuses new connections and lets old ones go on; start lets them in on the same port", () =>
    Effect.gen(function*() {
      const { proxy } = yield* make
      const { port } = proxy
      const old = yield* connect(proxy)
      yield* proxy.stop
      yield* ended(yield* connect(proxy), "refused")
      old.socket.write("a")
      yield* received(old, "A")
      yield* proxy.start
      yield* proxy.start
      assert.strictEqual(proxy.port, port)
      const young = yield* connect(proxy)
      young.socket.write("b")
      yield* received(young, "B")
    }))

  it.scopedLive("cut resets every open connection on both sides, and lets new ones in", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* make
      const clients = yield* Effect.replicateEffect(connect(proxy), 3)
      yield* becomes(server.open, 3)
      yield* proxy.cut
      for (const client of clients) yield* ended(client, "reset")
      yield* becomes(server.open, 0)
      assert.deepInclude(yield* proxy.counts, { accepted: 3, open: 0, reset: 3 })
      const client = yield* connect(proxy)
      client.socket.write("again")
      yield* received(client, "AGAIN")
    }))

  it.scopedLive("cut ends, though a goodbye is passed on at that very moment", () =>
    Effect.gen(function*() {
      const { proxy } = yield* make
      yield* proxy.delay(20)
      for (let i = 0; i < 20; i++) {
        const clients = yield* Effect.replicateEffect(connect(proxy), 3)
        for (const { socket } of clients) socket.end()
        // the timers that hold back the goodbyes fire along with this one
        yield* Effect.sleep(17 + i % 6)
        yield* Effect.timeoutFail(Effect.disconnect(proxy.cut), {
          duration: "5 seconds",
          onTimeout: () => new Error("it has not ended")
        })
        assert.strictEqual((yield* proxy.counts).open, 0)
      }
    }))

  it.scopedLive("delay holds back every byte, each way and in order, the end included", () =>
    Effect.gen(function*() {
      const { proxy } = yield* make
      const client = yield* connect(proxy)
      yield* proxy.delay(60)
      const asked = performance.now()
      client.socket.write("slow ")
      yield* Effect.sleep("5 millis")
      // what comes later does not overtake
      yield* proxy.delay(0)
      client.socket.end("fast")
      yield* ended(client, "politely")
      assert.isAtLeast(performance.now() - asked, 59)
      assert.strictEqual(client.received, "SLOW FASTBYE")
      yield* proxy.delay(60)
      const other = yield* connect(proxy)
      const again = performance.now()
      other.socket.write("both ways")
      yield* received(other, "BOTH WAYS")
      assert.isAtLeast(performance.now() - again, 118)
    }))

  it.scopedLive("deaf in one direction swallows that one, until it hears again", () =>
    Effect.gen(function*() {
      const { proxy } = yield* make
      const client = yield* connect(proxy)
      yield* proxy.deaf("toClient")
      client.socket.write("one")
      yield* becomes(Effect.map(proxy.counts, ({ swallowed }) => swallowed), 3)
      assert.strictEqual((yield* proxy.counts).toServer, 3)
      yield* proxy.hear
      yield* proxy.deaf("toServer")
      client.socket.write("two")
      yield* becomes(Effect.map(proxy.counts, ({ swallowed }) => swallowed), 6)
      yield* proxy.hear
      client.socket.write("three")
      yield* received(client, "THREE")
    }))

  it.scopedLive("deaf in both directions accepts connections and says nothing, ends included", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* make
      yield* proxy.deaf()
      const client = yield* connect(proxy)
      client.socket.end("hello?")
      yield* becomes(Effect.map(proxy.counts, ({ swallowed }) => swallowed), 6)
      yield* becomes(server.open, 1)
      yield* Effect.sleep("20 millis")
      assert.deepStrictEqual([client.received, client.ended], ["", "no"])
      yield* proxy.cut
      yield* ended(client, "reset")
      yield* becomes(server.open, 0)
    }))

  it.scopedLive("deaf to the connections that are open leaves later ones alone", () =>
    Effect.gen(function*() {
      const { proxy } = yield* make
      const old = yield* connect(proxy)
      yield* becomes(Effect.map(proxy.counts, ({ open }) => open), 1)
      yield* proxy.deaf(undefined, "open")
      const young = yield* connect(proxy)
      old.socket.write("old")
      young.socket.write("young")
      yield* received(young, "YOUNG")
      assert.strictEqual(old.received, "")
    }))

  it.scopedLive("a slow client slows the server down instead of filling the memory", () =>
    Effect.gen(function*() {
      const { proxy } = yield* make
      const client = yield* connect(proxy)
      client.socket.pause()
      const chunk = "x".repeat(1 << 20)
      for (let i = 0; i < 64; i++) client.socket.write(chunk)
      yield* Effect.sleep("200 millis")
      assert.isBelow((yield* proxy.counts).toClient, 32 << 20)
      client.socket.resume()
      yield* becomes(Effect.sync(() => client.received.length), 64 << 20)
    }))

  it.scopedLive("without a server behind, clients are reset", () =>
    Effect.gen(function*() {
      const gone = yield* Effect.scoped(echo)
      const proxy = yield* TcpProxy.make(gone)
      const client = yield* connect(proxy)
      yield* ended(client, "reset")
      assert.deepInclude(yield* proxy.counts, { accepted: 1, open: 0, reset: 1 })
    }))

  it.scopedLive("resets what is open, drops what is held back, and stops listening when its scope closes", () =>
    Effect.gen(function*() {
      const server = yield* echo
      const scope = yield* Scope.make()
      const proxy = yield* Scope.extend(TcpProxy.make(server), scope)
      const client = yield* connect(proxy)
      yield* becomes(server.open, 1)
      yield* proxy.delay(50)
      client.socket.write("held back")
      yield* Effect.sleep("10 millis")
      yield* Scope.close(scope, Exit.void)
      yield* ended(client, "reset")
      yield* becomes(server.open, 0)
      yield* ended(yield* connect(proxy), "refused")
      yield* Effect.sleep("60 millis")
      assert.strictEqual((yield* proxy.counts).toServer, 0)
    }))
})
