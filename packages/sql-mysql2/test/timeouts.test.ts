/** A network that goes deaf under a statement: `readTimeout` and `writeTimeout`. */
import * as TcpProxy from "@dbpool/testing/TcpProxy"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import * as net from "node:net"
import { Duplex } from "node:stream"
import { eventually, failsWith, makePool, makeTable, quiet, server, timed } from "./support.js"

const proxied = Effect.flatMap(server, TcpProxy.make)

describe("readTimeout", () => {
  it.scopedLive("ends a statement whose answer does not come: typed, and on the server too", () =>
    Effect.gen(function*() {
      const { admin, app, pool, sql } = yield* makePool({ maxConnections: 1, readTimeout: "200 millis" })
      const [took, exit] = yield* timed(pool.use((connection) => connection.query("select sleep(30)")))
      const error = yield* failsWith(exit, "ConnectionLost")
      assert.include(error.message, "silent for 200 ms (readTimeout)")
      assert.isAtLeast(took, 190)
      assert.isBelow(took, 2000)
      yield* quiet(admin, app)
      yield* sql`select 1`
      assert.strictEqual((yield* pool.stats).retired.lost, 1)
    }))

  it.scopedLive("ends one whose network is deaf; in a transaction nothing of it is kept", () =>
    Effect.gen(function*() {
      const proxy = yield* proxied
      const { pool, sql } = yield* makePool({
        maxConnections: 1,
        readTimeout: "200 millis",
        host: proxy.host,
        port: proxy.port
      })
      const error = yield* failsWith(
        pool.withTransaction(Effect.gen(function*() {
          yield* sql`select 1`
          yield* proxy.deaf("toClient", "open")
          yield* sql`select 2`
        })),
        "ConnectionLost"
      )
      assert.isTrue(error.inTransaction)
      yield* sql`select 1`
    }))

  it.scopedLive("leaves no lock behind on the server, which has not heard that the connection is gone", () =>
    Effect.gen(function*() {
      const proxy = yield* proxied
      const { pool, sql, table } = yield* makeTable({ readTimeout: "200 millis", host: proxy.host, port: proxy.port })
      yield* sql`insert into ${sql(table)} values (1, 'a')`
      yield* failsWith(
        pool.withTransaction(Effect.gen(function*() {
          yield* sql`update ${sql(table)} set name = 'b'`
          yield* proxy.deaf("toServer", "open")
          yield* sql`select 1`
        })),
        "ConnectionLost"
      )
      yield* eventually(Effect.exit(sql`update ${sql(table)} set name = 'c'`), Exit.isSuccess, "the lock is free")
    }))

  it.scopedLive("is no limit for a server that goes on sending, nor for a consumer that takes its time", () =>
    Effect.gen(function*() {
      const { sql } = yield* makePool({ maxConnections: 1, readTimeout: "300 millis" })
      yield* Effect.timeout(Effect.replicateEffect(sql`select sleep(0.1)`, 4), "10 seconds")
      const wide =
        "with recursive s as (select 1 as n union all select n + 1 from s where n < 1000) select n, repeat('x', 5000) as w from s"
      let seen = 0
      yield* sql.unsafe(wide).stream.pipe(
        Stream.runForEachChunk((rows) =>
          Effect.suspend(() => {
            seen += rows.length
            return seen < 400 ? Effect.sleep("400 millis") : Effect.void
          })
        )
      )
      assert.strictEqual(seen, 1000)
    }))

  it.scopedLive("holds for streams of the program's own that know nothing of time", () =>
    Effect.gen(function*() {
      const { host, port } = yield* server
      const stream = () => {
        const socket = net.connect(port, host)
        const duplex = new Duplex({
          read: () => socket.resume(),
          write: (chunk, _, done) => void socket.write(chunk, done),
          final: (done) => void socket.end(done),
          destroy: (error, done) => {
            socket.destroy()
            done(error)
          }
        })
        socket.on("data", (chunk) => duplex.push(chunk)).on("end", () => duplex.push(null))
        return duplex.on("error", () => {})
      }
      const { pool, sql } = yield* makePool({ maxConnections: 1, readTimeout: "200 millis", stream })
      yield* Effect.replicateEffect(sql`select sleep(0.1)`, 4)
      const [took, exit] = yield* timed(pool.use((connection) => connection.query("select sleep(30)")))
      assert.include((yield* failsWith(exit, "ConnectionLost")).message, "readTimeout")
      assert.isBelow(took, 2000)
    }))

  it.scopedLive("leaves an idle connection alone", () =>
    Effect.gen(function*() {
      const { pool, sql } = yield* makePool({
        maxConnections: 1,
        readTimeout: "100 millis",
        writeTimeout: "100 millis"
      })
      yield* sql`select 1`
      yield* Effect.sleep("350 millis")
      yield* sql`select 1`
      yield* pool.use((connection) =>
        Effect.all([connection.query("select 1"), Effect.sleep("250 millis"), connection.query("select 1")])
      )
      assert.strictEqual((yield* pool.stats).opened, 1)
    }))
})

/** passes everything on until it is told to read no more from its clients */
const makeJam = Effect.gen(function*() {
  const { host, port } = yield* server
  const sockets: Array<net.Socket> = []
  const jam = net.createServer((client) => {
    const upstream = net.connect(port, host)
    sockets.push(client, upstream)
    client.on("error", () => upstream.destroy())
    upstream.on("error", () => client.destroy())
    client.pipe(upstream).pipe(client)
  })
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => void jam.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () => Effect.sync(() => jam.close())
  )
  return {
    host: "127.0.0.1",
    port: (jam.address() as net.AddressInfo).port,
    stop: Effect.sync(() => sockets.forEach((socket) => socket.unpipe().pause())),
    cut: Effect.sync(() => sockets.forEach((socket) => socket.destroy()))
  }
})

describe("writeTimeout", () => {
  it.scopedLive("ends a statement that the server does not take", () =>
    Effect.gen(function*() {
      const jam = yield* makeJam
      const { pool } = yield* makePool({
        maxConnections: 1,
        writeTimeout: "300 millis",
        readTimeout: "20 seconds",
        host: jam.host,
        port: jam.port
      })
      const [took, exit] = yield* timed(pool.use((connection) =>
        Effect.gen(function*() {
          yield* connection.query("select length(?) as n", ["x"])
          yield* jam.stop
          yield* connection.query("select length(?) as n", [Buffer.alloc(30_000_000)])
        })
      ))
      const error = yield* failsWith(exit, "ConnectionLost")
      assert.include(error.message, "took nothing of what was sent for 300 ms (writeTimeout)")
      assert.isBelow(took, 5000)
      yield* jam.cut
    }))
})
