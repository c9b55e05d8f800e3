/**
 * `npx tsx packages/examples/src/service.ts`: a small web service that can be looked into. It needs a PostgreSQL at
 * `DATABASE_URL`, and listens on `PORT` (3000).
 *
 * - `GET /healthz`: whether this process should get requests, for readiness probes
 * - `GET /metrics`: the metrics of the pool and of its statements, for Prometheus
 * - `GET /pause/SECONDS`: what such a service does, standing for anything that takes the database so long
 *
 * On SIGTERM it says on `/healthz` that it is going, still serves for `GRACE` (5 seconds) until everybody has noticed,
 * finishes what it has begun, gives its connections back and ends.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import { DatabaseLive } from "./service/database.js"
import { Departure } from "./service/departure.js"
import { HttpLive } from "./service/http.js"

const ServerLive = NodeHttpServer.layerConfig(createServer, {
  host: Config.string("HOST").pipe(Config.withDefault("127.0.0.1")),
  port: Config.port("PORT").pipe(Config.withDefault(3000))
})

const main = Effect.gen(function*() {
  const departure = yield* Departure
  // only now, when there is somebody to answer, and the first of all to close
  yield* Layer.build(Layer.provide(HttpLive, ServerLive))
  yield* Effect.never.pipe(Effect.onInterrupt(() => departure.depart))
}).pipe(Effect.scoped, Effect.provide([DatabaseLive, Departure.Default]))

NodeRuntime.runMain(main)
