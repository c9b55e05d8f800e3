/**
 * A lease of the SQL layer: what `SqlPool.use` and `acquire` lend, and what `SqlClient.reserve` wraps.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { QueryOptions, SqlConnection } from "../SqlConnection.js"
import type { QueryError } from "../SqlPoolError.js"
import { LeaseReleased } from "../SqlPoolError.js"
import type { Channel, Mode } from "./channel.js"
import type { Member } from "./member.js"
import { abandonUnfinished } from "./member.js"
import { Mutex } from "./mutex.js"
import { toQueryError } from "./queryError.js"

/** @internal */
export class SqlLease implements SqlConnection, Channel {
  private ended = false
  private readonly mutex = new Mutex(() => {
    if (!this.ended) abandonUnfinished(this.member)
  })

  constructor(readonly member: Member) {}

  /** from here on the connection may be somebody else's */
  end(): void {
    this.ended = true
  }

  query(
    sql: string,
    params: ReadonlyArray<unknown> = [],
    options?: QueryOptions
  ): Effect.Effect<ReadonlyArray<any>, QueryError> {
    return this.run(sql, params, "object", options)
  }

  values(
    sql: string,
    params: ReadonlyArray<unknown> = [],
    options?: QueryOptions
  ): Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, QueryError> {
    return this.run(sql, params, "array", options)
  }

  raw(
    sql: string,
    params: ReadonlyArray<unknown> = [],
    options?: QueryOptions
  ): Effect.Effect<unknown, QueryError> {
    return this.run(sql, params, "raw", options)
  }

  run(
    sql: string,
    params: ReadonlyArray<unknown>,
    mode: Mode,
    options?: QueryOptions
  ): Effect.Effect<any, QueryError> {
    return this.mutex.withLock(Effect.mapError(
      this.member.proof.before(
        "statement",
        this.member.send(sql, params, mode, options, this.objection),
        this.objection
      ),
      (cause) => this.failed(cause)
    ))
  }

  stream(
    sql: string,
    params: ReadonlyArray<unknown> = [],
    options?: QueryOptions
  ): Stream.Stream<any, QueryError> {
    return Stream.unwrapScoped(Effect.as(
      this.mutex.scoped,
      Stream.mapError(
        this.member.proof.beforeStream(
          this.member.sendStream(sql, params, options, this.objection),
          this.objection
        ),
        (cause) => this.failed(cause)
      )
    ))
  }

  private readonly objection = (): QueryError | undefined => {
    this.began = this.member.connection.transactionStatus() !== "none"
    return this.ended ? new LeaseReleased({ pool: this.member.dialect.name, what: "lease" }) : undefined
  }

  /** whether the statement that was sent last was sent in a transaction that its user had begun by hand */
  private began = false

  private failed(cause: unknown): QueryError {
    return toQueryError(this.member.dialect, cause, this.began)
  }
}
