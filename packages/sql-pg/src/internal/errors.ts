/**
 * What PostgreSQL's errors mean. Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
import type * as Pool from "@dbpool/core/Pool"
import type * as Driver from "@dbpool/sql/Driver"
import type { StatementReason } from "@dbpool/sql/StatementError"
import * as Cause from "effect/Cause"
import pg from "pg"

const messageOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

/** the connection was known to be dead before anything of the statement was sent @internal */
export class Unsent extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause })
  }
}

/** this side could not go on: a parameter that cannot be serialised, or a value that a type parser refused @internal */
export class ClientError extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause })
  }
}

/** the effect that gives the password, or both user and password, has failed; nothing was dialled @internal */
export class LoginUnavailable extends Error {
  constructor(cause: Cause.Cause<unknown>) {
    const error = Cause.squash(cause)
    super(`the login could not be had: ${messageOf(error)}`, { cause: error })
  }
}

const reasons: Record<string, StatementReason> = {
  "23505": "UniqueViolation",
  "23503": "ForeignKeyViolation",
  // ON DELETE RESTRICT, since PostgreSQL 18
  "23001": "ForeignKeyViolation",
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

/** the server shuts down, was told to end the session, or ends it for its own timeouts */
const endsSession = new Set(["57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04"])

/**
 * After FATAL the server closes the connection, without a word about what it was doing. It says the word in the language
 * of its `lc_messages`, so those that matter most are known by their codes.
 *
 * @internal
 */
export const isFatal = (error: unknown): boolean =>
  isServerError(error) &&
  (error.severity === "FATAL" || error.severity === "PANIC" || endsSession.has(error.code ?? ""))

/** @internal */
export const classify = (error: unknown): Driver.Failure => {
  if (error instanceof Unsent) return { _tag: "unsent" }
  if (error instanceof ClientError) return refused("Unknown", error)
  if (!isServerError(error)) return { _tag: "lost" }
  if (isFatal(error)) {
    // 57P05 (idle_session_timeout) is said to idle sessions only; 57P01 and its kind may hit a statement half done
    return error.code === "57P05" ? { _tag: "unsent" } : { _tag: "lost" }
  }
  return refused(reasonOf(error), error)
}

const refused = (reason: StatementReason, error: unknown): Driver.Failure => ({
  _tag: "refused",
  reason,
  code: isServerError(error) ? error.code : undefined,
  constraint: isServerError(error) ? error.constraint : undefined
})

const reasonOf = (error: pg.DatabaseError): StatementReason => {
  const code = error.code ?? ""
  if (isOfPlan(error)) return "StalePlan"
  // the code does not say who cancelled the statement, only the text, and that only where the server speaks English
  if (code === "57014" && /statement timeout/.test(error.message)) return "StatementTimeout"
  return reasons[code] ??
    (code.startsWith("42") ? "Syntax" : code.startsWith("28") ? "Authentication" : "Unknown")
}

/** names of ours, that is: what a user prepared under other names is the user's to repair @internal */
export const isOfPlan = ({ code, message, routine }: pg.DatabaseError): boolean =>
  (code === "0A000" && routine === "RevalidateCachedQuery") || (code === "26000" && /\bdbpool_\d+\b/.test(message))

/** @internal */
export const connectFault = (error: unknown): Pool.Fault => {
  if (error instanceof LoginUnavailable) return "transient"
  const { code = "", message = "" } = error as { readonly code?: string; readonly message?: string }
  if (code === "53300") return "refused"
  // an unknown database, a refused role or password, a missing privilege, a setting that the server does not know
  if (code === "3D000" || code === "22023" || code.startsWith("28") || code.startsWith("42")) return "fatal"
  // certificates do not mend themselves, nor does a missing password, a server without TLS, or a proxy without a setting
  return /CERT|ERR_TLS|ERR_SSL|UNABLE_TO_VERIFY/.test(code) ||
      /SASL|does not support SSL|must be a string|unsupported startup parameter/.test(message)
    ? "fatal"
    : "transient"
}
