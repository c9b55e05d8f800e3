/** TLS, against a server that takes nothing else, with certificates made for the purpose. */
import type * as PgPool from "@dbpool/sql-pg/PgPool"
import * as PgServer from "@dbpool/testing/PgServer"
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { Pair } from "./certificates.js"
import { makeAuthority } from "./certificates.js"
import { eventually, failsWith, makePool, makeProxy } from "./support.js"

/** lines into a file of the server's directory, which it alone may read */
const write = (file: string, content: string) =>
  `copy (select * from unnest(string_to_array($file$${content}$file$, E'\\n')))
   to program 'umask 077; cat > ${file}'`

const makeTlsServer = Effect.gen(function*() {
  const server = yield* PgServer.make()
  const authority = yield* makeAuthority
  // opened before the server takes to TLS
  const { pool } = yield* makePool({ url: Redacted.make(server.url), maxConnections: 1, maxLifetime: Infinity })
  const admin = (sql: string) => Effect.orDie(pool.use((connection) => connection.query(sql)))
  const use = (pair: Pair) =>
    Effect.gen(function*() {
      yield* admin(write("server.crt", pair.cert.trim()))
      yield* admin(write("server.key", pair.key.trim()))
      yield* admin("select pg_reload_conf()")
    })
  const good = yield* authority.issue("DNS:localhost,IP:127.0.0.1")
  yield* admin(write("pg_hba.conf", "hostssl all all all scram-sha-256"))
  yield* admin("alter system set ssl = on")
  yield* use(good)
  return { address: { url: Redacted.make(server.url), initializeTimeout: "20 seconds" as const }, authority, good, use }
})

class Tls extends Context.Tag("test/Tls")<Tls, Effect.Effect.Success<typeof makeTlsServer>>() {}

const TlsLive = Layer.scoped(Tls, makeTlsServer)

const isEncrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"

/** what a pool is refused with, which must be final */
const refusal = (options: PgPool.PgPoolOptions) =>
  Effect.scoped(Effect.map(failsWith(makePool(options), "ConnectFailed"), (error) => {
    assert.isTrue(error.fatal, error.message)
    return error
  }))

layer(TlsLive, { excludeTestServices: true, timeout: "30 seconds" })("a server that takes nothing but TLS", (it) => {
  it.scoped("is reached when its certificate is good, by options and by URL", () =>
    Effect.gen(function*() {
      const { address, authority: { ca, file } } = yield* Tls
      const path = file("root.crt", ca)
      const byUrl = Redacted.make(`${Redacted.value(address.url)}?sslmode=verify-full&sslrootcert=${path}`)
      for (const options of [{ ...address, ssl: { ca } }, { ...address, url: byUrl }]) {
        const { pool } = yield* makePool(options)
        assert.deepStrictEqual(yield* pool.use((connection) => connection.values(isEncrypted)), [[true]])
      }
    }))

  it.scoped("is not when nobody vouches for it, or it goes by another name: fatal", () =>
    Effect.gen(function*() {
      const { address, authority, good, use } = yield* Tls
      const { ca } = authority
      const unknown = yield* refusal({ ...address, ssl: true })
      assert.match((unknown.cause as { readonly code: string }).code, /UNABLE_TO_VERIFY|CERT/)
      yield* use(yield* authority.issue("DNS:elsewhere.example", "elsewhere.example"))
      yield* Effect.addFinalizer(() => use(good))
      const another = yield* eventually(
        Effect.either(makePool({ ...address, ssl: { ca } })),
        (result) => result._tag === "Left",
        "the server shows its new certificate"
      )
      assert.strictEqual(another._tag, "Left")
      const error = yield* refusal({ ...address, ssl: { ca } })
      assert.strictEqual((error.cause as { readonly code: string }).code, "ERR_TLS_CERT_ALTNAME_INVALID")
      // asked for the name that it has, it is the same server
      const { pool } = yield* makePool({ ...address, ssl: { ca, checkServerIdentity: () => undefined } })
      yield* pool.use(() => Effect.void)
    }))

  it.scoped("refuses who speaks plainly: fatal", () =>
    Effect.gen(function*() {
      const { address } = yield* Tls
      const error = yield* refusal({ ...address, ssl: false })
      assert.strictEqual((error.cause as { readonly code: string }).code, "28000")
    }))

  it.scoped("gets its cancels encrypted, too, and the connection is lent again", () =>
    Effect.gen(function*() {
      const { address, authority: { ca } } = yield* Tls
      const { hostname: host, port } = new URL(Redacted.value(address.url))
      const heard: Array<Buffer> = []
      const proxy = yield* makeProxy((socket, _, pass) => {
        socket.on("data", (chunk: Buffer) => heard.push(chunk))
        pass()
      }, { host, port: Number(port) })
      const { pool } = yield* makePool({ ...address, ...proxy.address, maxConnections: 1, ssl: { ca } })
      for (let n = 0; n < 3; n++) {
        const fiber = yield* Effect.fork(pool.use((connection) => connection.query("select pg_sleep(30)")))
        yield* Effect.sleep("100 millis")
        yield* Fiber.interrupt(fiber)
        yield* pool.use((connection) => connection.query("select 1"))
      }
      assert.strictEqual((yield* pool.stats).opened, 1)
      assert.isAtLeast(proxy.accepted(), 4)
      // an SSLRequest, and then no CancelRequest in plain sight
      assert.deepStrictEqual([...heard[0]!], [0, 0, 0, 8, 4, 210, 22, 47])
      assert.isFalse(Buffer.concat(heard).includes(Buffer.from([0, 0, 0, 16, 4, 210, 22, 46])))
    }))
})
