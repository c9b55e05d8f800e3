/**
 * What the service answers.
 */
import * as PoolHealth from "@dbpool/core/PoolHealth"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Departure } from "./departure.js"
import { Prometheus } from "./prometheus.js"

/** A pool that is merely degraded still serves: taking the process out would only move the load elsewhere. */
const healthz = Effect.gen(function*() {
  const pool = yield* SqlPool.SqlPool
  const health = yield* pool.health
  const departing = yield* Effect.flatMap(Departure, ({ announced }) => announced)
  return yield* HttpServerResponse.json(
    { ready: health._tag !== "Down" && !departing, departing, pool: PoolHealth.describe(health) },
    { status: health._tag === "Down" || departing ? 503 : 200 }
  )
})

const metrics = Effect.gen(function*() {
  const { text } = yield* Prometheus
  return HttpServerResponse.text(yield* text, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
})

const pause = Effect.gen(function*() {
  const { seconds } = yield* HttpRouter.schemaPathParams(Schema.Struct({ seconds: Schema.NumberFromString }))
  const sql = yield* SqlClient.SqlClient
  yield* sql`select pg_sleep(${seconds})`
  return HttpServerResponse.text(`paused for ${seconds} s\n`)
}).pipe(
  SqlPool.refineErrors,
  Effect.catchTags({
    AcquireTimeout: ({ message }) => HttpServerResponse.text(message, { status: 503 }),
    ConnectFailed: ({ message }) => HttpServerResponse.text(message, { status: 503 }),
    TooManyConnections: ({ message }) => HttpServerResponse.text(message, { status: 503 }),
    ParseError: ({ message }) => HttpServerResponse.text(message, { status: 400 })
  }),
  Effect.withSpan("GET /pause")
)

const router = HttpRouter.empty.pipe(
  HttpRouter.get("/healthz", healthz),
  HttpRouter.get("/metrics", metrics),
  HttpRouter.get("/pause/:seconds", pause)
)

export const HttpLive = HttpServer.serve(router).pipe(Layer.provide(Prometheus.Default), HttpServer.withLogAddress)
