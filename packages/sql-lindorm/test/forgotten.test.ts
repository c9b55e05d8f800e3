/**
 * The server forgets: connections and statements that were not used, or those used least when there are too many, or what
 * somebody else has closed; and behind a balancer another node never knew them. All of it on real servers.
 */
import * as Batch from "@dbpool/sql-lindorm/Batch"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as AvaticaServer from "@dbpool/testing/AvaticaServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as http from "node:http"
import * as net from "node:net"
import * as gateway from "./gateway.js"
import { counts, failsWith, makePool, makeTable, shared } from "./support.js"

const series = (rows: number) => `select n from unnest(sequence_array(1, ${rows}, 1)) as t (n)`

/** trusts every connection, as if it had just been used */
const trusting = { maxConnections: 1, validateAfterIdle: "1 hour" } as const

describe("an expired connection", () => {
  it.scopedLive("is replaced, and the statement that found out is sent once more", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ connectionExpiry: "300 millis" })
      const { pool, sql } = yield* makePool(server.url, trusting)
      for (let round = 1; round <= 3; round++) {
        assert.deepStrictEqual(yield* sql.unsafe(`values ${round}`).values, [[round]])
        assert.strictEqual((yield* pool.stats).opened, round)
        yield* Effect.sleep("400 millis")
      }
    }))

  it.scopedLive("is not the only one: all that were idle beside it are as gone, and the statement gets past them", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ connectionExpiry: "300 millis" })
      const { names, pool, sql, table } = yield* makeTable(server.url, { ...trusting, maxConnections: 4 })
      yield* Effect.scoped(Effect.replicateEffect(sql.reserve, 4))
      const { opened } = yield* pool.stats
      yield* Effect.sleep("400 millis")
      yield* sql.unsafe(`insert into ${table} values (1, 'one')`)
      const after = yield* pool.stats
      assert.deepStrictEqual([after.opened, after.retired.lost], [opened + 1, 4])
      assert.deepStrictEqual(yield* names, ["one"])
    }))

  it.scopedLive("is NoSuchConnection in a lease, where nothing is sent again", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ connectionExpiry: "300 millis" })
      const { names, pool, table } = yield* makeTable(server.url, trusting)
      const insert = pool.use((connection) =>
        Effect.zipRight(
          Effect.sleep("400 millis"),
          connection.query(`insert into ${table} values (?, ?)`, [1, "one"])
        )
      )
      const error = yield* failsWith(insert, "NoSuchConnection")
      assert.isTrue(error.isRetryable)
      assert.include(error.message, "NoSuchConnection")
      yield* Effect.orDie(pool.use((connection) => connection.query(`insert into ${table} values (1, 'one')`)))
      yield* Effect.sleep("400 millis")
      assert.deepStrictEqual(yield* names, ["one"])
    }))

  it.scopedLive("is found before it is lent, when it was idle for longer than validateAfterIdle", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ connectionExpiry: "300 millis" })
      const { pool } = yield* makePool(server.url, { maxConnections: 1, validateAfterIdle: "100 millis" })
      for (let round = 1; round <= 3; round++) {
        assert.deepStrictEqual(yield* pool.use((connection) => connection.values("values 1")), [[1]])
        yield* Effect.sleep("400 millis")
      }
      assert.strictEqual((yield* pool.stats).opened, 3)
    }))

  it.scopedLive("does not come to be while keepalive says that it is wanted, by a ping that changes nothing", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ connectionExpiry: "600 millis" })
      const between = yield* gateway.make(server.url)
      const { pool } = yield* makePool(between.url, {
        minConnections: 1,
        maxConnections: 1,
        serverExpiry: "600 millis",
        validateAfterIdle: "1 hour"
      })
      yield* pool.use((connection) => connection.query("values 1"))
      yield* Effect.sleep("2 seconds")
      assert.deepStrictEqual(yield* pool.use((connection) => connection.values("values 1")), [[1]])
      assert.strictEqual((yield* pool.stats).opened, 1)
      const [first, ...pings] = between.log.filter(({ name }) => name === "ConnectionSync")
      assert.deepInclude(first!.content.properties, { autoCommit: true, hasAutoCommit: true, hasReadOnly: false })
      assert.isAbove(pings.length, 3)
      for (const { content } of pings) {
        assert.deepInclude(content.properties, {
          hasAutoCommit: false,
          hasReadOnly: false,
          transactionIsolation: 0
        })
      }
    }))

  it.scopedLive("does not come to be while a long result is read: fetching alone would not prevent it", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ connectionExpiry: "600 millis", statementExpiry: "1 hour" })
      const read = (serverExpiry: "600 millis" | "10 minutes") =>
        Effect.gen(function*() {
          const { pool } = yield* makePool(server.url, { frameSize: 10, maxConnections: 1, serverExpiry })
          // a statement every 100 ms, all of them fetches, for three times as long as a connection is remembered
          const rows = pool.stream((connection) => connection.stream<{ N: number }>(series(180))).pipe(
            Stream.tap(({ N }) => N % 10 === 0 ? Effect.sleep("100 millis") : Effect.void)
          )
          const count = yield* Effect.either(Stream.runCount(rows))
          // the server has forgotten it or not; looking makes it close what has expired
          return { count, remembered: (yield* counts(server)).connections }
        }).pipe(Effect.scoped)
      const kept = yield* read("600 millis")
      assert.strictEqual(kept.count._tag === "Right" && kept.count.right, 180)
      assert.strictEqual(kept.remembered, 1)
      const lost = yield* read("10 minutes")
      assert.strictEqual(lost.remembered, 0)
      // by then the whole result is here or it failed: it never ends early without a word
      if (lost.count._tag === "Right") assert.strictEqual(lost.count.right, 180)
      else assert.strictEqual(lost.count.left._tag, "ConnectionLost")
    }))

  it.scopedLive("loses its transaction: the commit says so, and is not sent again", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ connectionExpiry: "300 millis" })
      const between = yield* gateway.make(server.url)
      const { names, pool, sql, table } = yield* makeTable(server.url, trusting, between.url)
      const error = yield* failsWith(
        pool.withTransaction(
          Effect.zipLeft(sql.unsafe(`insert into ${table} values (1, 'one')`), Effect.sleep("400 millis"))
        ),
        "ConnectionLost"
      )
      assert.isTrue(error.inTransaction)
      assert.isFalse(error.isRetryable)
      assert.strictEqual(between.count("Commit"), 1)
      assert.deepStrictEqual(yield* names, [])
    }))
})

describe("a connection that the server forgot for want of room", () => {
  it.scopedLive("is replaced, though it was used a moment ago", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ connectionCapacity: 2 })
      const { pool, sql } = yield* makePool(server.url, trusting)
      assert.deepStrictEqual(yield* sql`values 1`.values, [[1]])
      for (const connectionId of ["a", "b"]) {
        yield* Effect.promise(() =>
          gateway.ask(server.url, "OpenConnection", {
            connectionId,
            info: [{ key: "user", value: "SA" }]
          })
        )
      }
      assert.deepStrictEqual(yield* sql`values 2`.values, [[2]])
      assert.strictEqual((yield* pool.stats).opened, 2)
    }))

  it.scopedLive("loses its transaction, of which nothing is visible", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ connectionCapacity: 2 })
      const { names, pool, sql, table } = yield* makeTable(server.url, trusting)
      const evict = Effect.promise(() =>
        gateway.ask(server.url, "OpenConnection", {
          connectionId: `x${Math.random()}`,
          info: [{ key: "user", value: "SA" }]
        })
      )
      const error = yield* failsWith(
        pool.withTransaction(
          Effect.zipRight(sql.unsafe(`insert into ${table} values (1, 'one')`), Effect.zipRight(evict, evict))
        ),
        "ConnectionLost"
      )
      assert.isTrue(error.inTransaction)
      assert.deepStrictEqual(yield* names, [])
    }))
})

describe("a connection that somebody else closed", () => {
  /** closes what the pool has, from outside */
  const closeBehind = (url: string, between: gateway.Gateway) =>
    Effect.promise(async () => {
      for (const connectionId of new Set(between.log.map(({ connectionId }) => connectionId))) {
        await gateway.ask(url, "CloseConnection", { connectionId })
      }
    })

  it.scopedLive("is replaced between statements", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const between = yield* gateway.make(url)
      const { pool, sql } = yield* makePool(between.url, trusting)
      yield* sql`values 1`
      yield* closeBehind(url, between)
      assert.deepStrictEqual(yield* sql`values 2`.values, [[2]])
      assert.strictEqual((yield* pool.stats).opened, 2)
    }))

  it.scopedLive("before its statement is executed may look like an error of the database: lost, not refused, and retired", () =>
    Effect.gen(function*() {
      const hsqldb = yield* shared
      const h2 = yield* AvaticaServer.make({ engine: "h2" })
      for (const [url, user] of [[hsqldb.url, "SA"], [h2.url, ""]] as const) {
        const between = yield* gateway.make(url)
        const { names, pool, table } = yield* makeTable(url, { ...trusting, user }, between.url)
        let code: number | undefined
        between.on("Execute", async (_, pass) => {
          await Effect.runPromise(closeBehind(url, between))
          const reply = await pass()
          code = gateway.errorOf(reply.body)?.errorCode
          return reply
        }, 1)
        const insert = pool.use((connection) => connection.query(`insert into ${table} values (?, ?)`, [1, "one"]))
        const error = yield* Effect.flip(insert)
        // the server has closed the statement with the connection, or the database has
        assert.include(["ConnectionLost", "NoSuchConnection"], error._tag)
        if (code !== undefined) assert.strictEqual(code | 0, -1)
        assert.deepStrictEqual(yield* names, [])
        yield* insert
        assert.deepStrictEqual(yield* names, ["one"])
        assert.strictEqual((yield* pool.stats).opened, 2)
      }
    }))
})

describe("a statement that the server has forgotten", () => {
  it.scopedLive("was not executed, though the answer looks like success: it is sent once more", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const between = yield* gateway.make(url)
      const { names, pool, sql, table } = yield* makeTable(url, trusting, between.url)
      const forget: gateway.Handler = async (asked, pass) => {
        const reply = (await gateway.forgotten(url)(asked, pass))!
        assert.strictEqual(reply.status, 200)
        return reply
      }
      between.on("Execute", forget, 1)
      between.on("PrepareAndExecute", forget, 1)
      yield* sql.unsafe(`insert into ${table} values (?, ?)`, [1, "one"])
      yield* sql.unsafe(`insert into ${table} values (2, 'two')`)
      assert.deepStrictEqual(yield* names, ["one", "two"])
      assert.strictEqual((yield* pool.stats).opened, 3)
    }))

  it.scopedLive("is not even said to be missing when a batch asks for it: an answer without counts is no success", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const between = yield* gateway.make(url)
      const { names, sql, table } = yield* makeTable(url, trusting, between.url)
      const forget: gateway.Handler = async (asked, pass) => {
        const reply = (await gateway.forgotten(url)(asked, pass))!
        assert.strictEqual(reply.status, 200)
        assert.isFalse(gateway.contentOf(reply.body, "ExecuteBatch").missingStatement)
        return reply
      }
      between.on("ExecuteBatch", forget, 1)
      between.on("PrepareAndExecuteBatch", forget, 1)
      const byRows = Batch.execute(sql, `insert into ${table} values (?, ?)`, [[1, "one"], [2, "two"]])
      const byStatements = Batch.executeAll(sql, [`insert into ${table} values (3, 'three')`])
      for (const batch of [byRows, byStatements]) {
        const error = yield* failsWith(SqlPool.refineErrors(batch), "ConnectionLost")
        assert.include(error.message, "the server had forgotten the statement, or does not count")
      }
      assert.deepStrictEqual(yield* names, [])
      yield* byRows
      yield* byStatements
      assert.deepStrictEqual(yield* names, ["one", "two", "three"])
    }))

  it.scopedLive("is sent once more when a server does say so of a batch", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const between = yield* gateway.make(url)
      const { names, sql, table } = yield* makeTable(url, trusting, between.url)
      between.on("ExecuteBatch", async () => gateway.answer("ExecuteBatch", { missingStatement: true }), 1)
      yield* Batch.execute(sql, `insert into ${table} values (?, ?)`, [[1, "one"]])
      assert.deepStrictEqual(yield* names, ["one"])
    }))

  it.scopedLive("in time, of itself", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ statementExpiry: "100 millis" })
      const between = yield* gateway.make(server.url)
      const { names, pool, sql, table } = yield* makeTable(server.url, trusting, between.url)
      between.on("Execute", async (_, pass) => {
        await new Promise((resolve) => setTimeout(resolve, 200))
        return pass()
      }, 1)
      yield* sql.unsafe(`insert into ${table} values (?, ?)`, [1, "one"])
      assert.deepStrictEqual(yield* names, ["one"])
      assert.strictEqual((yield* pool.stats).opened, 2)
    }))

  it.scopedLive("because its stream's consumer took too long fails the stream: it does not just end", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ statementExpiry: "200 millis" })
      const { pool } = yield* makePool(server.url, { ...trusting, frameSize: 10 })
      let seen = 0
      const rows = pool.stream((connection) => connection.stream(series(100))).pipe(
        Stream.tap(() => ++seen === 10 ? Effect.sleep("400 millis") : Effect.void)
      )
      const error = yield* failsWith(Stream.runDrain(rows), "ConnectionLost")
      assert.include(error.message, "the server had forgotten the statement")
      assert.strictEqual(seen, 10)
    }))

  it.scopedLive("is NoSuchConnection in a lease, and ConnectionLost in a transaction", () =>
    Effect.gen(function*() {
      const { url } = yield* shared
      const between = yield* gateway.make(url)
      const { names, pool, sql, table } = yield* makeTable(url, trusting, between.url)
      const forget = Effect.sync(() => between.on("Execute", gateway.forgotten(url), 1))
      yield* forget
      const insert = `insert into ${table} values (?, ?)`
      yield* failsWith(pool.use((connection) => connection.query(insert, [1, "one"])), "NoSuchConnection")
      yield* forget
      const error = yield* failsWith(pool.withTransaction(sql.unsafe(insert, [1, "one"])), "ConnectionLost")
      assert.isTrue(error.inTransaction)
      assert.deepStrictEqual(yield* names, [])
    }))
})

describe("behind a load balancer", () => {
  it.scopedLive("that goes by the socket a connection stays on its own, through pauses and at once", () =>
    Effect.gen(function*() {
      const servers = [yield* AvaticaServer.make(), yield* AvaticaServer.make()]
      let accepted = 0
      const balancer = yield* listening(net.createServer((client) => {
        const server = servers[accepted++ % 2]!
        const upstream = net.connect(server.port, server.host)
        for (const [socket, other] of [[client, upstream], [upstream, client]] as const) {
          socket.on("error", () => {})
          socket.on("close", () => other.destroy())
        }
        client.pipe(upstream).pipe(client)
      }))
      const { pool, sql } = yield* makePool(balancer, { maxConnections: 4 })
      const many = Effect.forEach(Array.from({ length: 100 }, (_, i) => i), (i) => sql.unsafe(`values ${i}`), {
        concurrency: 8
      })
      yield* many
      yield* Effect.sleep("300 millis")
      yield* many
      const { opened } = yield* pool.stats
      assert.strictEqual(accepted, opened)
      for (const server of servers) assert.isAbove((yield* counts(server)).connections, 0)
    }))

  it.scopedLive("that sends each request elsewhere nothing works, and the error says why", () =>
    Effect.gen(function*() {
      const servers = [yield* AvaticaServer.make(), yield* AvaticaServer.make()]
      let requests = 0
      const balancer = yield* listening(http.createServer((request, response) => {
        const { host, port } = servers[requests++ % 2]!
        request.pipe(http.request({ host, port, method: "POST" }, (answer) => {
          response.writeHead(answer.statusCode!, answer.headers)
          answer.pipe(response)
        }))
      }))
      const error = yield* Effect.flip(makePool(balancer, { initializeTimeout: "2 seconds" }))
      assert.strictEqual(error._tag, "ConnectFailed")
      assert.include(error.message, "does a load balancer send each request elsewhere?")
    }))

  it.scopedLive("that keeps a client on its node by a cookie, the cookie is sent back", () =>
    Effect.gen(function*() {
      const servers = [yield* AvaticaServer.make(), yield* AvaticaServer.make()]
      let requests = 0
      const balancer = yield* listening(http.createServer((request, response) => {
        const node = /node=(\d)/.exec(request.headers.cookie ?? "")?.[1] ?? String(requests++ % 2)
        const { host, port } = servers[Number(node)]!
        request.pipe(http.request({ host, port, method: "POST" }, (answer) => {
          response.writeHead(answer.statusCode!, {
            ...answer.headers,
            "set-cookie": [`node=${node}; Path=/; HttpOnly`]
          })
          answer.pipe(response)
        }))
      }))
      const { sql } = yield* makePool(balancer, { maxConnections: 2 })
      for (let i = 0; i < 5; i++) assert.deepStrictEqual(yield* sql.unsafe(`values ${i}`).values, [[i]])
    }))
})

const listening = (server: net.Server | http.Server) =>
  Effect.acquireRelease(
    Effect.async<string>((resume) => {
      server.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed(`http://127.0.0.1:${(server.address() as net.AddressInfo).port}`)))
    }),
    () =>
      Effect.sync(() => {
        server.close()
        if (server instanceof http.Server) {
          server.closeAllConnections()
        }
      })
  )
