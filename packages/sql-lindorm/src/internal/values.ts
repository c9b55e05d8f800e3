/**
 * From JavaScript to the values of the protocol and back. What a value is on its way depends on the column as well as on
 * the value: a date travels as the number of its day, a REAL as the bits of its float.
 */
import { ClientError } from "./errors.js"
import type { AvaticaParameter, AvaticaType, ColumnMetaData, ColumnValue } from "./schema.js"
import { Rep, SqlType, TypedValue } from "./schema.js"

const millisPerDay = 86_400_000

/** Reads a column's values. @internal */
export type Reader = (value: ColumnValue) => unknown

/** @internal */
export const reader = ({ type }: ColumnMetaData): Reader => {
  const read = readerOf(type)
  const element = readerOf(type?.component)
  return ({ array, hasArray, scalar }) => hasArray ? array.map(element) : scalar === undefined ? null : read(scalar)
}

const readerOf = (type: AvaticaType | undefined): (value: TypedValue) => unknown => {
  // unsigned on the way
  const read = readers[(type?.id ?? 0) | 0] ?? plain
  return (value) => value.null || value.type === Rep.NULL ? null : read(value)
}

const plain = (value: TypedValue): unknown => {
  switch (value.type) {
    case 0:
    case Rep.BOOLEAN:
      return value.bool
    // bytes, shorts and integers, primitive or not
    case 1:
    case 3:
    case 4:
    case 9:
    case 11:
    case Rep.INTEGER:
      return Number(value.number)
    case 5:
    case Rep.LONG:
      return value.number
    case 6:
    case Rep.FLOAT:
      return floatOf(value)
    case 7:
    case Rep.DOUBLE:
      return value.double
    case Rep.BYTE_STRING:
      return value.bytes
    case 2:
    case 10:
    case Rep.STRING:
    case 25:
    case Rep.BIG_DECIMAL:
      return value.string
    case Rep.ARRAY:
      return value.array.map(readerOf(undefined))
    default:
      throw new ClientError(`a value of Avatica's type ${value.type} cannot be read`)
  }
}

const bits = new DataView(new ArrayBuffer(4))

const floatOf = ({ number }: TypedValue): number => {
  bits.setInt32(0, Number(number))
  return bits.getFloat32(0)
}

/** what a type does to the numbers in which it travels; other values say themselves what they are */
const numeric = (convert: (value: bigint) => unknown) => (value: TypedValue): unknown =>
  value.type === Rep.INTEGER || value.type === Rep.LONG ||
    value.type >= Rep.JAVA_SQL_TIME && value.type <= Rep.JAVA_SQL_DATE
    ? convert(value.number)
    : plain(value)

/** the last millisecond that JavaScript has a date for */
const lastMilli = 8.64e15

const dateAt = (millis: number): Date => {
  if (Math.abs(millis) <= lastMilli) return new Date(millis)
  throw new ClientError("a date beyond those that JavaScript has cannot be read; select it as a text")
}

const readers: Record<number, (value: TypedValue) => unknown> = {
  [SqlType.TINYINT]: numeric(Number),
  [SqlType.SMALLINT]: numeric(Number),
  [SqlType.INTEGER]: numeric(Number),
  [SqlType.BIGINT]: numeric((number) => number),
  [SqlType.DATE]: numeric((day) => dateAt(Number(day) * millisPerDay).toISOString().split("T")[0]),
  [SqlType.TIME]: numeric((millis) => {
    const [, time, fraction] = /T([\d:]+)\.(\d+)/.exec(new Date(Number(millis)).toISOString())!
    return fraction === "000" ? time : `${time}.${fraction}`
  }),
  [SqlType.TIMESTAMP]: numeric((millis) => dateAt(Number(millis)))
}

const isDecimal = (type: number): boolean => type === SqlType.DECIMAL || type === SqlType.NUMERIC

const isFloating = (type: number): boolean => type === SqlType.DOUBLE || type === SqlType.FLOAT || type === SqlType.REAL

/** CHAR to LONGNVARCHAR, national or not */
const isText = (type: number): boolean => [1, 12, -1, -15, -9, -16].includes(type)

const fitsLong = (value: bigint): boolean => BigInt.asIntN(64, value) === value

const none = TypedValue.decode(new Uint8Array(0))

const value = (type: number, rest: Partial<TypedValue>): TypedValue => ({ ...none, type, ...rest })

const text = (string: string) => value(Rep.STRING, { string })
const long = (number: bigint) => value(Rep.LONG, { number })
const decimal = (string: string) => value(Rep.BIG_DECIMAL, { string })

/** how to bind a JavaScript value to a parameter of the statement @internal */
export const bind = (given: unknown, parameter: AvaticaParameter, position: number): TypedValue => {
  const refuse = (what: string) => new ClientError(`parameter ${position} is ${what}`)
  const type = parameter.parameterType | 0
  if (given === null || given === undefined) return value(Rep.NULL, { null: true })
  switch (typeof given) {
    case "boolean":
      return value(Rep.BOOLEAN, { bool: given })
    case "string":
      return bindText(given, type)
    case "number":
      if (isDecimal(type)) {
        if (!Number.isFinite(given)) throw refuse(`${given}, which is no decimal`)
        return decimal(String(given))
      }
      if (isText(type)) return text(String(given))
      return Number.isSafeInteger(given) && !Object.is(given, -0) && !isFloating(type)
        ? long(BigInt(given))
        : value(Rep.DOUBLE, { double: given })
    case "bigint":
      return isDecimal(type) || !fitsLong(given)
        ? decimal(String(given))
        : isText(type)
        ? text(String(given))
        : long(given)
    case "object":
      if (given instanceof Date) return bindDate(given, type, refuse)
      if (given instanceof Uint8Array) return value(Rep.BYTE_STRING, { bytes: given })
      if (Array.isArray(given)) return bindArray(given, position)
  }
  throw refuse(`${typeof given === "object" ? "an object" : `a ${typeof given}`}, which no column takes`)
}

const bindText = (given: string, type: number): TypedValue => {
  if (isDecimal(type) && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(given)) return decimal(given)
  if (type === SqlType.BIGINT && /^[+-]?\d+$/.test(given) && fitsLong(BigInt(given))) return long(BigInt(given))
  // as they are read: a database may not take them for what they are when they come as texts
  if (type === SqlType.DATE && /^\d{4}-\d\d-\d\d$/.test(given)) return exactly(given, `${given}T00:00:00Z`, date)
  if (type === SqlType.TIME && /^\d\d:\d\d:\d\d(\.\d{1,3})?$/.test(given)) {
    return exactly(given, `1970-01-01T${given}Z`, time)
  }
  return text(given)
}

/** JavaScript makes the second of March of the thirtieth of February; what to do with it is for the database to say */
const exactly = (given: string, instant: string, make: (millis: number) => TypedValue): TypedValue => {
  const millis = Date.parse(instant)
  return !Number.isNaN(millis) && new Date(millis).toISOString().includes(given) ? make(millis) : text(given)
}

const date = (millis: number) => value(Rep.JAVA_SQL_DATE, { number: BigInt(Math.floor(millis / millisPerDay)) })
const time = (millis: number) => value(Rep.JAVA_SQL_TIME, { number: BigInt(millis) })

const bindDate = (given: Date, type: number, refuse: (what: string) => ClientError): TypedValue => {
  const millis = given.getTime()
  if (Number.isNaN(millis)) throw refuse("an invalid Date")
  if (isText(type)) return text(given.toISOString())
  if (type === SqlType.DATE) return date(millis)
  if (type === SqlType.TIME) return time(((millis % millisPerDay) + millisPerDay) % millisPerDay)
  return value(Rep.JAVA_SQL_TIMESTAMP, { number: BigInt(millis) })
}

const unknown: AvaticaParameter = { parameterType: 0, typeName: "" }

const bindArray = (given: ReadonlyArray<unknown>, position: number): TypedValue => {
  const array = given.map((element) => bind(element, unknown, position))
  const componentType = array.find(({ type }) => type !== Rep.NULL)?.type ?? Rep.STRING
  return value(Rep.ARRAY, { array, componentType })
}
