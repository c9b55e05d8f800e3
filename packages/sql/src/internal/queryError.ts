/**
 * What a statement fails with: the driver's own error, which the driver classifies, or one of ours.
 */
import { InvalidPoolConfig } from "@dbpool/core/PoolError"
import type { QueryError } from "../SqlPoolError.js"
import { ConnectionLost, LeaseReleased, NoSuchConnection } from "../SqlPoolError.js"
import type { StatementReason } from "../StatementError.js"
import { StatementError } from "../StatementError.js"
import type { Dialect } from "./member.js"
import { textOf } from "./text.js"

/** it took longer than it may @internal */
export class TimedOut extends Error {
  constructor(millis: number) {
    super(`no answer within ${millis} ms`)
  }
}

/** its transaction is not what its caller thinks: nothing is left of it but to roll back @internal */
export class Spoiled extends Error {
  constructor(readonly reason: StatementReason, why: string) {
    super(`not sent, because ${why}: the transaction can only be rolled back`)
  }
}

/** the connection did not pass validation; nothing was sent on it @internal */
export class Stale extends Error {
  constructor(cause: unknown) {
    super(`it did not pass validation: ${textOf(cause)}`, { cause })
  }
}

/** @internal */
export const toQueryError = (dialect: Dialect, cause: unknown, inTransaction: boolean): QueryError => {
  const pool = dialect.name
  const refused = (reason: StatementReason, code?: string, constraint?: string) =>
    new StatementError({ pool, reason, code, constraint, inTransaction, cause })
  if (cause instanceof LeaseReleased || cause instanceof InvalidPoolConfig) return cause
  if (cause instanceof TimedOut) return refused("StatementTimeout")
  if (cause instanceof Spoiled) return refused(cause.reason)
  if (cause instanceof Stale) return new NoSuchConnection({ pool, cause })
  const failure = dialect.driver.classify(cause)
  switch (failure._tag) {
    case "refused":
      return refused(failure.reason, failure.code, failure.constraint)
    case "unsent":
      // inside a transaction, whose earlier statements are gone with the connection, that is no comfort
      return inTransaction
        ? new ConnectionLost({ pool, inTransaction, cause })
        : new NoSuchConnection({ pool, cause })
    case "lost":
      return new ConnectionLost({ pool, inTransaction, cause })
  }
}
