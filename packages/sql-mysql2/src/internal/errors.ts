/**
 * What the errors of MySQL and MariaDB mean.
 * https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html, https://mariadb.com/kb/en/mariadb-error-codes/
 */
import type * as Pool from "@dbpool/core/Pool"
import type * as Driver from "@dbpool/sql/Driver"
import type { StatementReason } from "@dbpool/sql/StatementError"
import * as Cause from "effect/Cause"

const messageOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

/** nothing of the statement was sent, or the server said that it did not look at it @internal */
export class Unsent extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause })
  }
}

/** this side could not go on: a parameter that cannot be sent, or a value that cannot be read @internal */
export class ClientError extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause })
  }
}

/** the effect that gives the password failed @internal */
export class PasswordUnavailable extends Error {
  constructor(cause: Cause.Cause<unknown>) {
    super(`the password is not to be had: ${messageOf(Cause.squash(cause))}`, { cause })
  }
}

/** an error as `mysql2` makes it of what the server says @internal */
export interface ServerError extends Error {
  readonly errno: number
  readonly sqlState: string
}

/** @internal */
export const isServerError = (error: unknown): error is ServerError =>
  error instanceof Error && "errno" in error && typeof error.errno === "number" && "sqlState" in error

/**
 * The server is about to close the connection, without a word about what it was doing: it shuts down, somebody killed
 * the connection, or a packet was lost or too large.
 *
 * @internal
 */
export const isFatal = ({ errno }: ServerError): boolean => fatal.has(errno)

const fatal = new Set([1053, 1080, 1152, 1153, 1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161, 1184, 1927, 3169])

/** MySQL's last word to a connection that was idle for too long; MariaDB uses the number for something else @internal */
export const idleTooLong = 4031

/** the server takes no writes any more: another one has become the primary. A transaction may be read only on purpose. @internal */
export const isReadOnlyServer = ({ errno, message }: ServerError, inReadOnlyTransaction: boolean): boolean =>
  errno === 1836 ||
  (errno === 1290 && /read[-_]only/i.test(message)) ||
  (errno === 1792 && !inReadOnlyTransaction)

/** the prepared statement is not what it was, and was not executed @internal */
export const isForgotten = ({ errno }: ServerError): boolean => errno === 1243 || errno === 1615

/** the server prepares no more statements, and has not executed this one @internal */
export const isPreparedLimit = ({ errno }: ServerError): boolean => errno === 1461

/** the statement is not of the kind that can be prepared, and was not executed @internal */
export const isUnpreparable = ({ errno }: ServerError): boolean => errno === 1295

/** the server does not know the command @internal */
export const isUnknownCommand = ({ errno }: ServerError): boolean => [1047, 1235, 1295].includes(errno)

/** @internal */
export const isRefusedPassword = (error: unknown): boolean =>
  isServerError(error) && (error.errno === 1045 || error.errno === 1698)

const reasons: Record<number, StatementReason> = {
  1062: "UniqueViolation",
  1169: "UniqueViolation",
  1557: "UniqueViolation",
  1586: "UniqueViolation",
  1216: "ForeignKeyViolation",
  1217: "ForeignKeyViolation",
  1451: "ForeignKeyViolation",
  1452: "ForeignKeyViolation",
  1048: "NotNullViolation",
  1263: "NotNullViolation",
  1364: "NotNullViolation",
  3819: "CheckViolation",
  4025: "CheckViolation",
  1213: "Deadlock",
  1614: "Deadlock",
  1205: "LockTimeout",
  3572: "LockTimeout",
  // another transaction, of this server or of another one of its cluster, was first
  1020: "SerializationFailure",
  3101: "SerializationFailure",
  // prepared anew, and not what it was all the same
  1243: "StalePlan",
  1615: "StalePlan",
  1969: "StatementTimeout",
  3024: "StatementTimeout",
  1317: "Cancelled",
  1290: "ReadOnly",
  1792: "ReadOnly",
  1836: "ReadOnly",
  1044: "Permission",
  1095: "Permission",
  1142: "Permission",
  1143: "Permission",
  1227: "Permission",
  1370: "Permission",
  1410: "Permission",
  1226: "Unknown"
}

const reasonOf = ({ errno, message, sqlState }: ServerError): StatementReason => {
  // --read-only is but one of the options that forbid a statement
  if (errno === 1290 && !/read[-_]only/i.test(message)) return "Permission"
  return reasons[errno] ??
    (sqlState === "40001"
      ? "SerializationFailure"
      : sqlState.startsWith("42")
      ? "Syntax"
      : sqlState.startsWith("28")
      ? "Authentication"
      : "Unknown")
}

/** the server names it in its message only, and only where that is in English; MySQL names the table of a key, too */
const constraintOf = ({ message }: ServerError): string | undefined =>
  /(?: for key '(?:[^'.]+\.)?|CONSTRAINT `|Check constraint ')([^'`]+)['`]/.exec(message)?.[1]

/** @internal */
export const classify = (error: unknown): Driver.Failure => {
  if (error instanceof Unsent) return { _tag: "unsent" }
  if (error instanceof ClientError) {
    return { _tag: "refused", reason: "Unknown", code: undefined, constraint: undefined }
  }
  if (!isServerError(error) || isFatal(error)) return { _tag: "lost" }
  return { _tag: "refused", reason: reasonOf(error), code: String(error.errno), constraint: constraintOf(error) }
}

/** too many connections: of all, of this account at once, of this account in an hour */
const full = new Set([1040, 1203, 1226])

/** a refused account, password, database, host or privilege; and what the driver and the server cannot agree on */
const hopeless = new Set([1044, 1045, 1049, 1129, 1130, 1131, 1227, 1251, 1275, 1524, 1698, 1820, 1862, 3118, 4151])

/** @internal */
export const connectFault = (error: unknown): Pool.Fault => {
  const { code = "", errno = 0, message = "" } = error as {
    readonly code?: string
    readonly errno?: number
    readonly message?: string
  }
  if (full.has(errno)) return "refused"
  if (hopeless.has(errno)) return "fatal"
  // whoever gives it may be back in a moment, whatever it says
  if (error instanceof PasswordUnavailable) return "transient"
  // what setup runs may be wrong, too
  if (isServerError(error) && error.sqlState.startsWith("42")) return "fatal"
  // certificates do not mend themselves, nor does a server without TLS
  return /CERT|ERR_TLS|ERR_SSL|UNABLE_TO_VERIFY|HANDSHAKE_NO_SSL|HANDSHAKE_SSL|AUTH_SWITCH/.test(`${code} ${message}`)
    ? "fatal"
    : "transient"
}
