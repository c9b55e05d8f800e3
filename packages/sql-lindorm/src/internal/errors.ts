/**
 * What the server's errors mean. Avatica drops the codes of SQL errors, so most is told by the names of Java's exceptions
 * and by the words of the database behind it.
 */
import type * as Pool from "@dbpool/core/Pool"
import type * as Driver from "@dbpool/sql/Driver"
import type { StatementReason } from "@dbpool/sql/StatementError"
import { AvaticaError, AvaticaProtocolError } from "../AvaticaError.js"

const messageOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

/** the statement was certainly not executed, and the connection cannot be used any more @internal */
export class Unsent extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause })
  }
}

/** this side could not go on: wrong parameters, or a value that it cannot read @internal */
export class ClientError extends Error {}

/** nobody waits for it any more, so it was not gone on with @internal */
export class Abandoned extends Error {
  constructor() {
    super("the statement was given up")
  }
}

const textOf = ({ errorMessage, exceptions }: AvaticaError): string => [errorMessage, ...exceptions].join("\n")

/** the code of a missing connection; the text is usually empty, and some servers send only the name of the exception */
const missingConnection = 1

/** the server does not know the connection @internal */
export const isForgotten = (error: unknown): error is AvaticaError =>
  error instanceof AvaticaError &&
  (error.errorCode === missingConnection || /\bNoSuchConnection/.test(textOf(error)))

/** what JDBC drivers say of a connection that was closed under them, which is how an expiry can look, too */
const closedUnder =
  /(SQLNonTransientConnection|SQLTransientConnection|SQLRecoverable|ConnectionDisconnected)Exception|connection exception: closed|object is already closed/

/** the server knows the connection no more, or what it knows of it is of no use @internal */
export const isFatal = (error: unknown): boolean =>
  !(error instanceof AvaticaError) || isForgotten(error) || closedUnder.test(textOf(error))

/** the statement was looked up and not found @internal */
export const isMissingStatement = (error: unknown): boolean =>
  error instanceof AvaticaError && /\bNoSuchStatement/.test(textOf(error))

/** @internal */
export const classify = (error: unknown): Driver.Failure => {
  if (error instanceof Unsent) return { _tag: "unsent" }
  if (error instanceof ClientError) return refused("Unknown")
  if (error instanceof Abandoned) return refused("Cancelled")
  return error instanceof AvaticaError && !isFatal(error)
    ? refused(reasonOf(error), codeOf(error), constraintOf(error))
    : { _tag: "lost" }
}

const refused = (reason: StatementReason, code?: string, constraint?: string): Driver.Failure => ({
  _tag: "refused",
  reason,
  code,
  constraint
})

/** LindormTable's, which are MySQL's */
const byCode: Record<number, StatementReason> = {
  1045: "Authentication",
  1049: "Syntax",
  1054: "Syntax",
  1062: "UniqueViolation",
  1064: "Syntax",
  1146: "Syntax",
  3024: "StatementTimeout"
}

const byState: ReadonlyArray<readonly [RegExp, StatementReason]> = [
  [/^23505/, "UniqueViolation"],
  [/^(23503|23506)/, "ForeignKeyViolation"],
  [/^23502/, "NotNullViolation"],
  [/^2351[34]/, "CheckViolation"],
  [/^40P01/, "Deadlock"],
  [/^40/, "SerializationFailure"],
  [/^HYT00/, "LockTimeout"],
  [/^57014/, "StatementTimeout"],
  [/^42/, "Syntax"],
  [/^28/, "Authentication"],
  [/^25006/, "ReadOnly"]
]

const byText: ReadonlyArray<readonly [RegExp, StatementReason]> = [
  [/deadlock/i, "Deadlock"],
  [/not null check constraint/i, "NotNullViolation"],
  [/foreign key/i, "ForeignKeyViolation"],
  [/unique constraint/i, "UniqueViolation"],
  [/check constraint/i, "CheckViolation"],
  [/SQLTransactionRollbackException/, "SerializationFailure"],
  [/SQLTimeoutException/, "StatementTimeout"],
  [/SQLInvalidAuthorizationSpecException/, "Authentication"],
  [/SQLSyntaxErrorException/, "Syntax"]
]

const reasonOf = (error: AvaticaError): StatementReason => {
  const state = stateOf(error)
  const known = byCode[error.errorCode] ?? (state === undefined ? undefined : lookUp(byState, state))
  // the codes of a deadlock are those of any conflict
  return known === undefined || known === "SerializationFailure"
    ? lookUp(byText, textOf(error)) ?? known ?? "Unknown"
    : known
}

const lookUp = (table: ReadonlyArray<readonly [RegExp, StatementReason]>, text: string) =>
  table.find(([pattern]) => pattern.test(text))?.[1]

/** the server's, or where the database behind it puts it: `ERROR 601 (42P00): ` (Phoenix), `[42102-232]` (H2) */
const stateOf = (error: AvaticaError): string | undefined => {
  if (!["", "00000"].includes(error.sqlState)) return error.sqlState
  const text = textOf(error)
  return /\bERROR \d+ \(([0-9A-Z]{5})\):/.exec(text)?.[1] ?? /\[([0-9A-Z]{5})-\d+\]/.exec(text)?.[1]
}

/** -1 stands for none */
const codeOf = (error: AvaticaError): string | undefined =>
  error.errorCode > 0 ? String(error.errorCode) : stateOf(error)

const constraintOf = ({ errorMessage }: AvaticaError): string | undefined =>
  /(?:constraint or index violation|no (?:parent|action)|check constraint)\s*;\s*(\S+)/.exec(errorMessage)?.[1]

/** @internal */
export const isRefusedLogin = (error: unknown): boolean =>
  error instanceof AvaticaError &&
  (unauthorized.has(error.errorCode) || /SQLInvalidAuthorizationSpecException|access denied/i.test(textOf(error)))

/** Avatica's own code, and LindormTable's */
const unauthorized = new Set([2, 1045])

/** @internal */
export const connectFault = (error: unknown): Pool.Fault => {
  if (error instanceof AvaticaProtocolError) {
    // a proxy says 5xx while its server is down; nothing else of this mends itself
    return error.status < 500 || /JSON/.test(error.problem) ? "fatal" : "transient"
  }
  if (error instanceof AvaticaError) {
    const text = textOf(error)
    if (error.errorCode === 1040 || /too many connections/i.test(text)) return "refused"
    return isRefusedLogin(error) || error.errorCode === 1049 || /unknown database/i.test(text) ? "fatal" : "transient"
  }
  const { code = "" } = (error ?? {}) as { readonly code?: string }
  return /CERT|ERR_TLS|ERR_SSL|UNABLE_TO_VERIFY|EPROTO/.test(code) ? "fatal" : "transient"
}
