/**
 * A lease of the SQL layer: what `SqlPool.use` and `acquire` lend, and what `SqlClient.reserve` wraps.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { SqlConnection } from "../SqlConnection.js"
import type { QueryError } from "../SqlPoolError.js"
import { LeaseReleased } from "../SqlPoolError.js"
import type { Channel, Member, Mode } from "./member.js"
import { toQueryError } from "./member.js"
import { Mutex } from "./mutex.js"

/** @internal */
export class SqlLease implements SqlConnection, Channel {
  private ended = false
  private readonly mutex = new Mutex()

  constructor(private readonly member: Member) {}

  /** from here on the connection may be somebody else's */
  end(): void {
    this.ended = true
  }

  query(sql: string, params: ReadonlyArray<unknown> = []): Effect.Effect<ReadonlyArray<any>, QueryError> {
    return this.run(sql, params, "object")
  }

  values(
    sql: string,
    params: ReadonlyArray<unknown> = []
  ): Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, QueryError> {
    return this.run(sql, params, "array")
  }

  raw(sql: string, params: ReadonlyArray<unknown> = []): Effect.Effect<unknown, QueryError> {
    return this.run(sql, params, "raw")
  }

  run(sql: string, params: ReadonlyArray<unknown>, mode: Mode): Effect.Effect<any, QueryError> {
    return this.mutex.withLock(Effect.suspend(() => {
      if (this.ended) return this.refusal
      const { connection, dialect } = this.member
      const inTransaction = connection.transactionStatus() !== "none"
      return Effect.mapError(
        connection.execute(sql, params, mode),
        (cause) => toQueryError(dialect, cause, inTransaction)
      )
    }))
  }

  stream(sql: string, params: ReadonlyArray<unknown> = []): Stream.Stream<any, QueryError> {
    return Stream.unwrapScoped(Effect.map(this.mutex.scoped, () => {
      if (this.ended) return Stream.fromEffect(this.refusal)
      const { connection, dialect } = this.member
      const inTransaction = connection.transactionStatus() !== "none"
      return Stream.mapError(
        connection.stream(sql, params),
        (cause) => toQueryError(dialect, cause, inTransaction)
      )
    }))
  }

  private get refusal(): Effect.Effect<never, LeaseReleased> {
    return Effect.fail(new LeaseReleased({ pool: this.member.dialect.name, what: "lease" }))
  }
}
