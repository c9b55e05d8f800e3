/**
 * What becomes of the values of placeholders: the same on the server, whether they are sent beside a prepared statement
 * or written into its text.
 */
import mysql from "mysql2"
import { ClientError } from "./errors.js"

const int64 = { least: -(2n ** 63n), most: 2n ** 63n - 1n }
const uint64 = 2n ** 64n - 1n

const isPlain = (value: object): boolean =>
  Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype || "toJSON" in value

/** for the prepared protocol: `mysql2` would send a bigint as a text, which the server compares as a float @internal */
export const toSend = (value: unknown): unknown => {
  if (typeof value === "bigint") {
    if (value >= int64.least && value <= int64.most) return mysql.TypedParameter.BIGINT(value)
    return value > 0n && value <= uint64 ? mysql.TypedParameter.BIGINT.unsigned(value) : String(value)
  }
  if (typeof value === "symbol") throw unsendable("a symbol")
  return value instanceof Uint8Array && !Buffer.isBuffer(value) ? Buffer.from(value) : value
}

const unsendable = (what: string) => new ClientError(new TypeError(`a parameter cannot be ${what}`))

/** @internal */
export const miscounted = (given: number, expected: number) =>
  new ClientError(new TypeError(`${given} parameters for ${expected} placeholders`))

/** what a session makes of texts @internal */
export interface Dialect {
  /** whether a backslash begins an escape */
  readonly backslash: boolean
  readonly timezone: string
}

/** what may hold a question mark that is none, and those that are */
const tokens = {
  escaped: /'(?:[^'\\]|\\[^]|'')*'|"(?:[^"\\]|\\[^]|"")*"|`[^`]*`|--\s[^\n]*|#[^\n]*|\/\*[^]*?\*\/|\?/g,
  plain: /'[^']*'|"[^"]*"|`[^`]*`|--\s[^\n]*|#[^\n]*|\/\*[^]*?\*\/|\?/g
}

/** The statement with its values written into it. @internal */
export const format = (sql: string, params: ReadonlyArray<unknown>, dialect: Dialect): string => {
  if (params.length === 0) return sql
  let used = 0
  const text = sql.replace(
    dialect.backslash ? tokens.escaped : tokens.plain,
    (token) => token === "?" ? literal(params[used++], dialect) : token
  )
  if (used === params.length) return text
  throw miscounted(params.length, used)
}

const literal = (value: unknown, dialect: Dialect): string => {
  switch (typeof value) {
    case "string":
      return quote(value, dialect.backslash)
    case "bigint":
      return String(value)
    case "boolean":
      return value ? "1" : "0"
    case "number":
      if (Number.isFinite(value)) return String(value)
      break
    case "object":
      if (value === null) return "NULL"
      if (value instanceof Date) return mysql.escape(value, false, dialect.timezone)
      if (value instanceof Uint8Array) return `X'${Buffer.from(value).toString("hex")}'`
      return quote(isPlain(value) ? JSON.stringify(value) : String(value), dialect.backslash)
  }
  throw unsendable(typeof value === "number" ? String(value) : typeof value)
}

const quote = (text: string, backslash: boolean): string =>
  `'${
    (backslash ? text.replaceAll("\\", "\\\\") : text).replaceAll("'", "''").replaceAll("\0", backslash ? "\\0" : "\0")
  }'`
