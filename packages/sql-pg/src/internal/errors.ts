/**
 * What PostgreSQL's errors mean. Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
import type * as Pool from "@dbpool/core/Pool"
import type * as Driver from "@dbpool/sql/Driver"
import type { StatementReason } from "@dbpool/sql/StatementError"
import pg from "pg"

/** the connection was known to be dead before anything of the statement was sent @internal */
export class Unsent extends Error {}

const reasons: Record<string, StatementReason> = {
  "23505": "UniqueViolation",
  "23503": "ForeignKeyViolation",
  "23502": "NotNullViolation",
  "23514": "CheckViolation",
  "23P01": "CheckViolation",
  "40001": "SerializationFailure",
  "40P01": "Deadlock",
  "55P03": "LockTimeout",
  "57014": "Cancelled",
  "25006": "ReadOnly",
  "42501": "Permission"
}

/** @internal */
export const isServerError = (error: unknown): error is pg.DatabaseError => error instanceof pg.DatabaseError

/** after FATAL the server closes the connection, without a word about what it was doing @internal */
export const isFatal = (error: unknown): boolean =>
  isServerError(error) && (error.severity === "FATAL" || error.severity === "PANIC")

/** @internal */
export const classify = (error: unknown): Driver.Failure => {
  if (error instanceof Unsent) return { _tag: "unsent" }
  if (!isServerError(error)) return isLocal(error) ? refused("Unknown", error) : { _tag: "lost" }
  if (isFatal(error)) {
    // 57P05 (idle_session_timeout) is said to idle sessions only; 57P01 and its kind may hit a statement half done
    return error.code === "57P05" ? { _tag: "unsent" } : { _tag: "lost" }
  }
  return refused(reasonOf(error), error)
}

/** refused by the driver itself, before anything was sent: a parameter that cannot be serialised */
const isLocal = (error: unknown): boolean => error instanceof TypeError || error instanceof RangeError

const refused = (reason: StatementReason, error: unknown): Driver.Failure => ({
  _tag: "refused",
  reason,
  code: isServerError(error) ? error.code : undefined,
  constraint: isServerError(error) ? error.constraint : undefined
})

const reasonOf = (error: pg.DatabaseError): StatementReason => {
  const code = error.code ?? ""
  // the code of a cancelled statement does not say by whom; the text of a timeout does, in every language but by this word
  if (code === "57014" && /statement timeout/.test(error.message)) return "StatementTimeout"
  return reasons[code] ??
    (code.startsWith("42") ? "Syntax" : code.startsWith("28") ? "Authentication" : "Unknown")
}

/** @internal */
export const connectFault = (error: unknown): Pool.Fault => {
  const { code, message } = error as { readonly code?: string; readonly message?: string }
  if (code === "53300") return "refused"
  if (code === "3D000" || code?.startsWith("28") === true) return "fatal"
  // certificates do not mend themselves, nor does a missing password or a server without TLS
  return /CERT|ERR_TLS|ERR_SSL/.test(code ?? "") || /SASL|does not support SSL|must be a string/.test(message ?? "")
    ? "fatal"
    : "transient"
}
