/**
 * Rows as they come: a frame is fetched when the consumer asks for it, so that the server waits. The statement lives as
 * long as the stream, and the connection is busy with it.
 */
import type { Objection } from "@dbpool/sql/Driver"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { AvaticaConnection, Job } from "./connection.js"
import type { Cursor } from "./statement.js"
import { named, open } from "./statement.js"

/** @internal */
export const make = (
  connection: AvaticaConnection,
  sql: string,
  params: ReadonlyArray<unknown>,
  objection: Objection | undefined
): Stream.Stream<any, unknown> =>
  Stream.unwrapScoped(Effect.map(
    acquire(connection, objection),
    (portal) =>
      Stream.repeatEffectChunkOption(
        Effect.flatMap(
          Effect.mapError(portal.read(sql, params), Option.some),
          (rows) => rows === undefined ? Effect.fail(Option.none()) : Effect.succeed(Chunk.unsafeFromArray(rows))
        )
      )
  ))

const acquire = (
  connection: AvaticaConnection,
  objection: Objection | undefined
): Effect.Effect<Portal, unknown, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(connection.occupy(restore, objection), (job) => {
      const portal = new Portal(connection, job, objection)
      return Effect.as(Effect.addFinalizer(() => Effect.sync(() => portal.close())), portal)
    })
  )

class Portal {
  private cursor: Cursor | undefined = undefined
  private names: ReadonlyArray<string> = []
  /** what is under way, which goes on when its reader is interrupted */
  private reading: Promise<void> | undefined = undefined

  constructor(
    private readonly connection: AvaticaConnection,
    private readonly job: Job,
    private readonly objection: Objection | undefined
  ) {}

  /** the next rows; `undefined` at the end */
  read(sql: string, params: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<any> | undefined, unknown> {
    return Effect.async((resume) => {
      const rows = this.cursor === undefined ? this.first(sql, params) : this.cursor.next(this.job)
      this.reading = rows.then(
        (rows) => Effect.succeed(rows?.map(named(this.names))),
        Effect.fail
      ).then((outcome) => {
        this.reading = undefined
        resume(outcome)
      })
    })
  }

  private async first(sql: string, params: ReadonlyArray<unknown>) {
    this.cursor = await open(this.connection, this.job, sql, params, this.objection)
    this.names = this.cursor.columns.map(({ label }) => label)
    return this.cursor.first
  }

  /** the connection is free at once, unless a request is under way */
  close(): void {
    this.job.wanted = false
    const end = () => {
      this.cursor?.close()
      this.connection.leave()
    }
    if (this.reading === undefined) end()
    else this.reading.then(end)
  }
}
