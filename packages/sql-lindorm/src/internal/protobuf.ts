/**
 * Protobuf messages from tables of field numbers: `schema.ts` has the tables, the types follow from them. Fields that a
 * table does not name are skipped.
 */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire"

interface Scalars {
  readonly bool: boolean
  readonly bytes: Uint8Array
  readonly double: number
  readonly int32: number
  readonly int64: bigint
  readonly sint64: bigint
  readonly string: string
  readonly uint32: number
  readonly uint64: bigint
}

type Scalar = keyof Scalars

const noBytes = new Uint8Array(0)

const zeros: { readonly [K in Scalar]: Scalars[K] } = {
  bool: false,
  bytes: noBytes,
  double: 0,
  int32: 0,
  int64: 0n,
  sint64: 0n,
  string: "",
  uint32: 0,
  uint64: 0n
}

const wireTypes: Record<Scalar, WireType> = {
  bool: WireType.Varint,
  bytes: WireType.LengthDelimited,
  double: WireType.Bit64,
  int32: WireType.Varint,
  int64: WireType.Varint,
  sint64: WireType.Varint,
  string: WireType.LengthDelimited,
  uint32: WireType.Varint,
  uint64: WireType.Varint
}

/** what the reader gives is `bigint` in every Node */
const readScalar = (reader: BinaryReader, type: Scalar): any => {
  const value = reader[type]()
  // the reader's bytes are a view of the whole answer, which a value must not keep alive
  return type === "bytes" ? new Uint8Array(value as Uint8Array) : value
}

/** One field of a message. @internal */
export interface Field<A> {
  readonly no: number
  readonly initial: A
  readonly read: (reader: BinaryReader, wireType: WireType, previous: A) => A
  /** writes nothing for the initial value */
  readonly write: (writer: BinaryWriter, value: A) => void
}

/** @internal */
export type Fields = Readonly<Record<string, Field<any>>>

/** @internal */
export type Value<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer A> ? A : never }

/** @internal */
export const scalar = <K extends Scalar>(no: number, type: K): Field<Scalars[K]> => ({
  no,
  initial: zeros[type],
  read: (reader) => readScalar(reader, type),
  write: (writer, value) => {
    // not by ===, which takes -0 for 0
    if (!Object.is(value, zeros[type])) writer.tag(no, wireTypes[type])[type](value as never)
  }
})

const none: ReadonlyArray<never> = []

/** numbers come packed or one by one, whatever the schema says @internal */
export const scalars = <K extends Scalar>(no: number, type: K): Field<ReadonlyArray<Scalars[K]>> => ({
  no,
  initial: none,
  read: (reader, wireType, previous) => {
    const values = previous === none ? [] : previous as Array<Scalars[K]>
    if (wireType === WireType.LengthDelimited && wireTypes[type] !== WireType.LengthDelimited) {
      for (const end = reader.uint32() + reader.pos; reader.pos < end;) values.push(readScalar(reader, type))
    } else values.push(readScalar(reader, type))
    return values
  },
  write: (writer, values) => {
    for (const value of values) writer.tag(no, wireTypes[type])[type](value as never)
  }
})

/** Reads and writes one kind of message. @internal */
export class Message<A extends object> {
  private table:
    | { readonly names: ReadonlyMap<Field<any>, string>; readonly byNumber: ReadonlyMap<number, Field<any>> }
    | undefined = undefined
  private blank: A | undefined = undefined

  /** the fields come late, since a message may contain itself */
  constructor(private readonly fields: () => { readonly [K in keyof A]: Field<A[K]> }) {}

  decode(bytes: Uint8Array): A {
    const reader = new BinaryReader(bytes)
    return this.read(reader, reader.len)
  }

  encode(value: Partial<A>): Uint8Array {
    const writer = new BinaryWriter()
    this.write(writer, value)
    return writer.finish()
  }

  read(reader: BinaryReader, length: number): A {
    const { byNumber, names } = this.known
    const message: any = { ...this.blank }
    for (const end = reader.pos + length; reader.pos < end;) {
      const [no, wireType] = reader.tag()
      const field = byNumber.get(no)
      if (field === undefined) reader.skip(wireType, no)
      else {
        const name = names.get(field)!
        message[name] = field.read(reader, wireType, message[name])
      }
    }
    return message
  }

  write(writer: BinaryWriter, value: Partial<A>): void {
    for (const [field, name] of this.known.names) {
      const content = value[name as keyof A]
      if (content !== undefined) field.write(writer, content)
    }
  }

  private get known() {
    if (this.table === undefined) {
      const fields = Object.entries<Field<any>>(this.fields())
      this.blank = Object.fromEntries(fields.map(([name, { initial }]) => [name, initial])) as A
      this.table = {
        names: new Map(fields.map(([name, field]) => [field, name])),
        byNumber: new Map(fields.map(([, field]) => [field.no, field]))
      }
    }
    return this.table
  }
}

/** @internal */
export const message = <F extends Fields>(fields: F): Message<Value<F>> => new Message(() => fields as never)

/** @internal */
export const one = <A extends object>(no: number, type: Message<A>): Field<A | undefined> => ({
  no,
  initial: undefined,
  read: (reader) => type.read(reader, reader.uint32()),
  write: (writer, value) => {
    if (value === undefined) return
    writer.tag(no, WireType.LengthDelimited).fork()
    type.write(writer, value)
    writer.join()
  }
})

/** @internal */
export const many = <A extends object>(no: number, type: Message<A>): Field<ReadonlyArray<A>> => {
  const single = one(no, type)
  return {
    no,
    initial: none,
    read: (reader, _, previous) => {
      const values = previous === none ? [] : previous as Array<A>
      values.push(type.read(reader, reader.uint32()))
      return values
    },
    write: (writer, values) => {
      for (const value of values) single.write(writer, value)
    }
  }
}
