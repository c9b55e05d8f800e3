/**
 * Rows as they come: a portal of the extended protocol, read in batches, so that the server waits for the consumer.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import Cursor from "pg-cursor"
import type { PgConnection } from "./connection.js"
import { Unsent } from "./errors.js"

const batch = 128

/** @internal */
export const stream = (
  connection: PgConnection,
  sql: string,
  params: ReadonlyArray<unknown>
): Stream.Stream<any, unknown> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    if (connection.condition() === "broken") return Stream.fail(new Unsent("the connection is gone"))
    yield* connection.cancel
    let reading = false
    const cursor = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const cursor = new Cursor(sql, params as Array<unknown>)
        connection.begin(cursor as never)
        return cursor
      }),
      (cursor) =>
        Effect.suspend(() => {
          if (connection.condition() === "broken") return Effect.void
          cursor.close(() => {})
          // an interrupted read goes on at the server: who needs the connection next cancels it
          return reading ? Effect.void : Effect.ignore(connection.untilReady)
        })
    )
    const read = Effect.async<Array<any>, unknown>((resume) => {
      reading = true
      cursor.read(batch, (error: unknown, rows: Array<any>) => {
        reading = false
        resume(error === null || error === undefined ? Effect.succeed(rows) : Effect.fail(error))
      })
    })
    return Stream.repeatEffectChunkOption(Effect.flatMap(Effect.mapError(read, Option.some), (rows) =>
      rows.length === 0 ? Effect.fail(Option.none()) : Effect.succeed(Chunk.unsafeFromArray(rows))))
  }))
