import * as PgServer from "@dbpool/testing/PgServer"
import * as TcpProxy from "@dbpool/testing/TcpProxy"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { createServer } from "node:net"
import { promtool } from "./promtool.js"
import { start } from "./run.js"

const freePort = Effect.async<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as { port: number }
    server.close(() => resume(Effect.succeed(port)))
  })
})

const running = (url: string, env: Record<string, string> = {}) =>
  Effect.gen(function*() {
    const port = yield* freePort
    const service = yield* start("src/service.ts", [], {
      DATABASE_URL: url,
      PORT: String(port),
      GRACE: "500 millis",
      ...env
    })
    const output = yield* Effect.fork(service.output)
    const get = (path: string) =>
      Effect.gen(function*() {
        const response = yield* HttpClient.get(`http://127.0.0.1:${port}${path}`)
        return { status: response.status, text: yield* response.text }
      })
    yield* Effect.retry(get("/healthz"), Schedule.intersect(Schedule.spaced("100 millis"), Schedule.recurs(200)))
    return { get, child: service.child, output: Fiber.join(output) }
  })

/** asks again and again, for half a minute at most */
const until = <A, E, R>(ask: Effect.Effect<A, E, R>, isIt: (answer: A) => boolean): Effect.Effect<A, E | Error, R> =>
  Effect.timeoutFail(Effect.repeat(Effect.delay(ask, "50 millis"), { until: isIt }), {
    duration: "30 seconds",
    onTimeout: () => new Error("it never came to that")
  })

const live = Layer.mergeAll(NodeContext.layer, FetchHttpClient.layer)

describe("the service of docs/observability.md", () => {
  it.scopedLive("has metrics that promtool accepts, with those of the pool and of its statements", () =>
    Effect.gen(function*() {
      const { get } = yield* running((yield* PgServer.make()).url)
      assert.strictEqual((yield* get("/pause/0.01")).status, 200)
      const { text } = yield* get("/metrics")
      const { code, stderr } = yield* promtool(["check", "metrics"], text)
      assert.strictEqual(code, 0, stderr + text)
      const names = [
        "connections",
        "connection_idle_max",
        "connection_idle_min",
        "connection_max",
        "connection_pending_requests",
        "connection_timeouts_total",
        "connection_create_time_seconds_count",
        "connection_wait_time_seconds_count",
        "connection_use_time_seconds_count"
      ]
      for (const name of names) {
        assert.match(text, new RegExp(`^db_client_${name}\\{.*pool_name="main".*\\} \\d`, "m"))
      }
      assert.match(
        text,
        /^db_client_operation_duration_seconds_count\{.*db_system_name="postgresql".*pool_name="main".*\} 1$/m
      )
    }).pipe(Effect.provide(live)))

  it.scopedLive("is ready while it can serve, not ready when its database is gone, and says why", () =>
    Effect.gen(function*() {
      const server = yield* PgServer.make()
      const proxy = yield* TcpProxy.make(server)
      const through = new URL(server.url)
      through.host = `${proxy.host}:${proxy.port}`
      const { get } = yield* running(through.href)
      const well = yield* get("/healthz")
      assert.deepStrictEqual([well.status, JSON.parse(well.text).pool], [200, "Pool \"main\" is ready."])
      yield* proxy.stop
      yield* proxy.cut
      yield* Effect.exit(get("/pause/0"))
      const ill = yield* until(get("/healthz"), ({ status }) => status === 503)
      assert.match(ill.text, /could not connect/)
    }).pipe(Effect.provide(live)))

  it.scopedLive("departs by first saying so, then finishing what it has begun", () =>
    Effect.gen(function*() {
      const { child, get, output } = yield* running((yield* PgServer.make()).url)
      const pause = yield* Effect.fork(get("/pause/2"))
      yield* Effect.sleep("500 millis")
      yield* Effect.fork(child.kill("SIGTERM"))
      const leaving = yield* until(get("/healthz"), ({ status }) => status === 503)
      assert.isTrue(JSON.parse(leaving.text).departing)
      assert.strictEqual((yield* Fiber.join(pause)).status, 200)
      const { stderr, stdout } = yield* output
      assert.include(stdout + stderr, "Pool \"main\" is closing")
    }).pipe(Effect.provide(live)))
})
