/**
 * What becomes of the values of placeholders: the same on the server, whether they are sent beside a prepared statement
 * or written into its text.
 */
import mysql from "mysql2"
import { ClientError } from "./errors.js"

const int64 = { least: -(2n ** 63n), most: 2n ** 63n - 1n }
const uint64 = 2n ** 64n - 1n

/** a value that says itself what it is to be sent as */
const Typed = mysql.TypedParameter.BIGINT(0n).constructor as abstract new() => object

/**
 * What is sent as the JSON it stands for. `mysql2` would write it when it is too late to say that it cannot be written: the
 * statement is on its way by then.
 */
const json = (value: object): string => {
  const isPlain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype || "toJSON" in value ||
    Object.getPrototypeOf(value) === null
  const text = isPlain ? JSON.stringify(value) : undefined
  if (text === undefined) throw unsendable(`an object of the class ${value.constructor?.name}`)
  return text
}

/** for the prepared protocol: `mysql2` would send a bigint as a text, which the server compares as a float @internal */
export const toSend = (value: unknown): unknown => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value
    case "bigint":
      if (value >= int64.least && value <= int64.most) return mysql.TypedParameter.BIGINT(value)
      return value > 0n && value <= uint64 ? mysql.TypedParameter.BIGINT.unsigned(value) : String(value)
    case "number":
      if (Number.isFinite(value)) return value
      break
    case "object":
      if (value === null || value instanceof Typed) return value
      if (value instanceof Date) return valid(value)
      if (value instanceof Uint8Array) return Buffer.isBuffer(value) ? value : Buffer.from(value)
      return mysql.TypedParameter.JSON(json(value))
  }
  throw unsendable(typeof value === "number" ? String(value) : typeof value)
}

const unsendable = (what: string) => new ClientError(new TypeError(`a parameter cannot be ${what}`))

/** the server would be told that it is no date at all, and believe it */
const valid = (date: Date): Date => {
  if (Number.isNaN(date.getTime())) throw unsendable("an invalid Date")
  return date
}

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
      if (value instanceof Date) return mysql.escape(valid(value), false, dialect.timezone)
      if (value instanceof Uint8Array) return `X'${Buffer.from(value).toString("hex")}'`
      return quote(json(value), dialect.backslash)
  }
  throw unsendable(typeof value === "number" ? String(value) : typeof value)
}

const quote = (text: string, backslash: boolean): string =>
  `'${
    (backslash ? text.replaceAll("\\", "\\\\") : text).replaceAll("'", "''").replaceAll("\0", backslash ? "\\0" : "\0")
  }'`
