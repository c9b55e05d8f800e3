/**
 * Rows as they come: a portal of the extended protocol, read in batches, so that the server waits for the consumer.
 */
import type { Objection } from "@dbpool/sql/Driver"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import Cursor from "pg-cursor"
import { ClientError } from "./errors.js"
import type { Line, Sent } from "./line.js"

const batch = 128

/** a batch that is being read when its stream ends gets that long, where a cancel would cost the whole transaction */
const grace = 100

/** @internal */
export const stream = (
  line: Line,
  sql: string,
  params: ReadonlyArray<unknown>,
  objection: Objection | undefined
): Stream.Stream<any, unknown> =>
  Stream.unwrapScoped(Effect.map(open(line, sql, params, objection), (portal) =>
    Stream.repeatEffectChunkOption(
      Effect.flatMap(Effect.mapError(portal.read, Option.some), (rows) =>
        rows.length === 0 ? Effect.fail(Option.none()) : Effect.succeed(Chunk.unsafeFromArray(rows)))
    )))

const open = (
  line: Line,
  sql: string,
  params: ReadonlyArray<unknown>,
  objection: Objection | undefined
): Effect.Effect<Portal, unknown, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) => {
    const attempt: Effect.Effect<Portal, unknown, Scope.Scope> = Effect.suspend(() => {
      const refusal = line.refuses(objection)
      if (refusal !== undefined) return Effect.fail(refusal)
      if (!line.isFree) return Effect.zipRight(restore(line.turn), attempt)
      return Effect.flatMap(
        // a parameter that cannot be serialised throws before anything is sent
        Effect.try({ try: () => new Portal(line, sql, params), catch: (cause) => new ClientError(cause) }),
        (portal) => Effect.as(Effect.addFinalizer(() => Effect.sync(() => portal.close())), portal)
      )
    })
    return attempt
  })

/** what `pg` tells the statement that runs */
interface Receiver {
  handleDataRow: (message: unknown) => void
  handleCopyInResponse: (wire: { readonly sendCopyFail: (why: string) => void }) => void
  handleCopyData: () => void
}

class Portal implements Sent {
  wanted = true
  private readonly cursor: Cursor
  private reading = false
  /** the server has answered with an error, and closes the portal by itself */
  private failed = false
  /** what came and cannot be read: `pg-cursor` would let it end the process */
  private unreadable: ClientError | undefined = undefined

  constructor(private readonly line: Line, sql: string, params: ReadonlyArray<unknown>) {
    const cursor = new Cursor(sql, params as Array<unknown>)
    const receiver = cursor as unknown as Receiver
    const handleDataRow = receiver.handleDataRow.bind(cursor)
    receiver.handleDataRow = (message) => {
      try {
        handleDataRow(message)
      } catch (cause) {
        this.unreadable ??= new ClientError(cause)
      }
    }
    receiver.handleCopyInResponse = (wire) => wire.sendCopyFail("a stream has nothing to send")
    receiver.handleCopyData = () => {
      this.unreadable ??= new ClientError(new Error("COPY answers with no rows"))
    }
    this.cursor = cursor
    line.send(cursor as never, this)
  }

  /** the next rows; none at the end */
  readonly read: Effect.Effect<Array<any>, unknown> = Effect.async<Array<any>, unknown>((resume) => {
    this.reading = true
    this.cursor.read(batch, (error: unknown, rows: Array<any>) => {
      this.reading = false
      if (error !== null && error !== undefined) {
        this.failed = true
        this.line.fails(error)
        resume(Effect.zipRight(Effect.ignore(this.line.untilReady), Effect.fail(error)))
      } else resume(this.unreadable === undefined ? Effect.succeed(rows) : Effect.fail(this.unreadable))
    })
  })

  /**
   * Without a read the portal closes at once. With one, which a stream that reads ahead has when it is ended early, the
   * server goes on to the end of the batch, unless it is cancelled.
   */
  close(): void {
    if (this.failed || this.line.isFree || this.line.isBroken !== undefined) return
    this.cursor.close(() => {})
    this.line.leaves(this)
    if (this.reading && this.line.transactionStatus() === "none") return
    this.line.endsByItself()
    if (!this.reading) return
    const timer = setTimeout(() => this.line.overruns(), grace)
    this.line.whenOver(() => clearTimeout(timer))
  }
}
