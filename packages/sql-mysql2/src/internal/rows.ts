/**
 * Rows as they come. While nobody takes them the socket is not read, so that the server waits for the consumer.
 */
import type { Objection } from "@dbpool/sql/Driver"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { MysqlConnection } from "./connection.js"
import type { Results } from "./results.js"
import type { Running } from "./running.js"
import { Statement } from "./statement.js"

const batch = 128

/** how long the rest of a result that nobody reads may come in, before it is cancelled; in milliseconds */
const remainder = 10

/** @internal */
export const stream = (
  connection: MysqlConnection,
  sql: string,
  params: ReadonlyArray<unknown>,
  objection: Objection | undefined
): Stream.Stream<any, unknown> =>
  Stream.unwrapScoped(Effect.map(open(connection, sql, params, objection), (cursor) =>
    Stream.repeatEffectChunkOption(
      Effect.flatMap(Effect.mapError(cursor.read, Option.some), (rows) =>
        rows.length === 0 ? Effect.fail(Option.none()) : Effect.succeed(Chunk.unsafeFromArray(rows)))
    )))

const open = (
  connection: MysqlConnection,
  sql: string,
  params: ReadonlyArray<unknown>,
  objection: Objection | undefined
): Effect.Effect<Cursor, unknown, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) => {
    const attempt: Effect.Effect<Cursor, unknown, Scope.Scope> = Effect.suspend(() => {
      const refusal = connection.refuses(objection)
      if (refusal !== undefined) return Effect.fail(refusal)
      if (!connection.isFree) return Effect.zipRight(restore(connection.turn), attempt)
      return Effect.flatMap(
        Effect.try({ try: () => new Cursor(connection, sql, params), catch: (error) => error }),
        (cursor) => Effect.as(Effect.addFinalizer(() => Effect.sync(() => cursor.close())), cursor)
      )
    })
    return attempt
  })

class Cursor implements Results {
  private readonly running: Running
  private rows: Array<any> = []
  private failure: { readonly error: unknown } | undefined = undefined
  private ended = false
  private closed = false
  private waiting: (() => void) | undefined = undefined
  private isScheduled = false

  constructor(private readonly connection: MysqlConnection, sql: string, params: ReadonlyArray<unknown>) {
    this.running = connection.begin(
      (running) => connection.send(running, new Statement(sql, params, false, false), this),
      (error) => {
        this.ended = true
        if (error !== undefined) this.failure = { error }
        this.waiting?.()
      },
      false,
      remainder
    )
  }

  /** the next rows; none at the end */
  readonly read: Effect.Effect<Array<any>, unknown> = Effect.async<Array<any>, unknown>((resume) => {
    const look = () => {
      if (this.rows.length === 0 && !this.ended) return
      this.waiting = undefined
      const { rows } = this
      this.rows = []
      if (rows.length > 0 || this.failure === undefined) resume(Effect.succeed(rows))
      else resume(Effect.fail(this.failure.error))
    }
    this.waiting = look
    look()
    if (this.waiting !== undefined) this.connection.wire.resume()
  })

  /** What is left is read and dropped; if it does not end soon, whoever needs the connection next has it cancelled. */
  close(): void {
    this.closed = true
    this.rows = []
    this.waiting = undefined
    if (this.ended) return
    this.connection.leaves(this.running)
    this.connection.wire.resume()
  }

  begin(): void {}

  row(row: any): void {
    if (this.closed) return
    this.rows.push(row)
    if (this.rows.length >= batch) this.connection.wire.pause()
    if (this.waiting === undefined || this.isScheduled) return
    // those that came in the same packet of the network are taken together
    this.isScheduled = true
    queueMicrotask(() => {
      this.isScheduled = false
      this.waiting?.()
    })
  }

  header(): void {}
}
