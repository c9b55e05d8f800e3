/**
 * Avatica's messages, as far as this client speaks: their field numbers, from the protocol's reference
 * (https://calcite.apache.org/avatica/docs/protobuf_reference.html).
 */
import type { Field, Value } from "./protobuf.js"
import { many, Message, message, one, scalar, scalars } from "./protobuf.js"

/** the Java type of a value on its way @internal */
export const Rep = {
  BOOLEAN: 8,
  INTEGER: 12,
  LONG: 13,
  FLOAT: 14,
  DOUBLE: 15,
  JAVA_SQL_TIME: 16,
  JAVA_SQL_TIMESTAMP: 17,
  JAVA_SQL_DATE: 18,
  BYTE_STRING: 20,
  STRING: 21,
  NULL: 24,
  BIG_DECIMAL: 26,
  ARRAY: 27
} as const

/** `java.sql.Types`; on the way they are unsigned, so that BIGINT is 4294967291 @internal */
export const SqlType = {
  TINYINT: -6,
  SMALLINT: 5,
  INTEGER: 4,
  BIGINT: -5,
  FLOAT: 6,
  REAL: 7,
  DOUBLE: 8,
  NUMERIC: 2,
  DECIMAL: 3,
  DATE: 91,
  TIME: 92,
  TIMESTAMP: 93,
  ARRAY: 2003
} as const

/** @internal */
export interface TypedValue {
  readonly type: number
  readonly bool: boolean
  readonly string: string
  readonly number: bigint
  readonly bytes: Uint8Array
  readonly double: number
  readonly null: boolean
  readonly array: ReadonlyArray<TypedValue>
  readonly componentType: number
}

/** @internal */
export const TypedValue: Message<TypedValue> = new Message<TypedValue>(() => ({
  type: scalar(1, "uint32"),
  bool: scalar(2, "bool"),
  string: scalar(3, "string"),
  number: scalar(4, "sint64"),
  bytes: scalar(5, "bytes"),
  double: scalar(6, "double"),
  null: scalar(7, "bool"),
  array: many(8, TypedValue),
  componentType: scalar(9, "uint32")
}))

/** @internal */
export interface AvaticaType {
  readonly id: number
  readonly name: string
  readonly component: AvaticaType | undefined
}

const AvaticaType: Message<AvaticaType> = new Message<AvaticaType>(() => ({
  id: scalar(1, "uint32"),
  name: scalar(2, "string"),
  component: one(5, AvaticaType)
}))

const ColumnMetaData = message({
  ordinal: scalar(1, "uint32"),
  nullable: scalar(6, "uint32"),
  label: scalar(9, "string"),
  columnName: scalar(10, "string"),
  schemaName: scalar(11, "string"),
  precision: scalar(12, "uint32"),
  scale: scalar(13, "uint32"),
  tableName: scalar(14, "string"),
  type: one(20, AvaticaType)
})

/** @internal */
export type ColumnMetaData = Value<FieldsOf<typeof ColumnMetaData>>

type FieldsOf<M> = M extends Message<infer A> ? { readonly [K in keyof A]: Field<A[K]> } : never

const AvaticaParameter = message({
  parameterType: scalar(4, "uint32"),
  typeName: scalar(5, "string")
})

const Signature = message({
  columns: many(1, ColumnMetaData),
  parameters: many(3, AvaticaParameter)
})

/** @internal */
export type AvaticaParameter = Value<FieldsOf<typeof AvaticaParameter>>

/** @internal */
export type Signature = Value<FieldsOf<typeof Signature>>

const StatementHandle = message({
  connectionId: scalar(1, "string"),
  id: scalar(2, "uint32"),
  signature: one(3, Signature)
})

/** its field 1, every value a second time, is not read @internal */
export const ColumnValue = message({
  array: many(2, TypedValue),
  hasArray: scalar(3, "bool"),
  scalar: one(4, TypedValue)
})

/** @internal */
export type ColumnValue = Value<FieldsOf<typeof ColumnValue>>

const Row = message({ values: many(1, ColumnValue) })

const Frame = message({
  offset: scalar(1, "uint64"),
  done: scalar(2, "bool"),
  rows: many(3, Row)
})

/** @internal */
export type Frame = Value<FieldsOf<typeof Frame>>

const ConnectionProperties = message({
  autoCommit: scalar(2, "bool"),
  readOnly: scalar(3, "bool"),
  transactionIsolation: scalar(4, "uint32"),
  hasAutoCommit: scalar(7, "bool"),
  hasReadOnly: scalar(8, "bool")
})

/** @internal */
export type ConnectionProperties = Value<FieldsOf<typeof ConnectionProperties>>

const ResultSet = message({
  statementId: scalar(2, "uint32"),
  signature: one(4, Signature),
  firstFrame: one(5, Frame),
  updateCount: scalar(6, "uint64")
})

/** @internal */
export type ResultSet = Value<FieldsOf<typeof ResultSet>>

const Entry = message({ key: scalar(1, "string"), value: scalar(2, "string") })

const onConnection = message({ connectionId: scalar(1, "string") })

const onStatement = message({ connectionId: scalar(1, "string"), statementId: scalar(2, "uint32") })

const empty = message({})

const Execute = message({
  results: many(1, ResultSet),
  missingStatement: scalar(2, "bool")
})

const ExecuteBatch = message({
  updateCounts: scalars(3, "uint64"),
  missingStatement: scalar(4, "bool")
})

/** what can be asked, and what is answered; the names are the protocol's, without `Request` and `Response` @internal */
export const calls = {
  OpenConnection: {
    request: message({ connectionId: scalar(1, "string"), info: many(2, Entry) }),
    answer: "OpenConnection",
    response: empty
  },
  CloseConnection: { request: onConnection, answer: "CloseConnection", response: empty },
  ConnectionSync: {
    request: message({ connectionId: scalar(1, "string"), properties: one(2, ConnectionProperties) }),
    answer: "ConnectionSync",
    response: message({ properties: one(1, ConnectionProperties) })
  },
  CreateStatement: {
    request: onConnection,
    answer: "CreateStatement",
    response: message({ statementId: scalar(2, "uint32") })
  },
  CloseStatement: { request: onStatement, answer: "CloseStatement", response: empty },
  Prepare: {
    request: message({
      connectionId: scalar(1, "string"),
      sql: scalar(2, "string"),
      maxRowsTotal: scalar(4, "int64")
    }),
    answer: "Prepare",
    response: message({ statement: one(1, StatementHandle) })
  },
  Execute: {
    request: message({
      statement: one(1, StatementHandle),
      parameters: many(2, TypedValue),
      hasParameters: scalar(4, "bool"),
      firstFrameMaxSize: scalar(5, "int32")
    }),
    answer: "Execute",
    response: Execute
  },
  PrepareAndExecute: {
    request: message({
      connectionId: scalar(1, "string"),
      sql: scalar(2, "string"),
      statementId: scalar(4, "uint32"),
      maxRowsTotal: scalar(5, "int64"),
      firstFrameMaxSize: scalar(6, "int32")
    }),
    answer: "Execute",
    response: Execute
  },
  Fetch: {
    request: message({
      connectionId: scalar(1, "string"),
      statementId: scalar(2, "uint32"),
      offset: scalar(3, "uint64"),
      frameMaxSize: scalar(5, "int32")
    }),
    answer: "Fetch",
    response: message({
      frame: one(1, Frame),
      missingStatement: scalar(2, "bool"),
      missingResults: scalar(3, "bool")
    })
  },
  ExecuteBatch: {
    request: message({
      connectionId: scalar(1, "string"),
      statementId: scalar(2, "uint32"),
      updates: many(3, message({ parameters: many(1, TypedValue) }))
    }),
    answer: "ExecuteBatch",
    response: ExecuteBatch
  },
  PrepareAndExecuteBatch: {
    request: message({
      connectionId: scalar(1, "string"),
      statementId: scalar(2, "uint32"),
      statements: scalars(3, "string")
    }),
    answer: "ExecuteBatch",
    response: ExecuteBatch
  },
  Commit: { request: onConnection, answer: "Commit", response: empty },
  Rollback: { request: onConnection, answer: "Rollback", response: empty },
  Tables: {
    request: message({
      catalog: scalar(1, "string"),
      schemaPattern: scalar(2, "string"),
      tableNamePattern: scalar(3, "string"),
      types: scalars(4, "string"),
      hasTypes: scalar(6, "bool"),
      connectionId: scalar(7, "string"),
      hasCatalog: scalar(8, "bool"),
      hasSchemaPattern: scalar(9, "bool"),
      hasTableNamePattern: scalar(10, "bool")
    }),
    answer: "ResultSet",
    response: ResultSet
  },
  Columns: {
    request: message({
      catalog: scalar(1, "string"),
      schemaPattern: scalar(2, "string"),
      tableNamePattern: scalar(3, "string"),
      columnNamePattern: scalar(4, "string"),
      connectionId: scalar(5, "string"),
      hasCatalog: scalar(6, "bool"),
      hasSchemaPattern: scalar(7, "bool"),
      hasTableNamePattern: scalar(8, "bool"),
      hasColumnNamePattern: scalar(9, "bool")
    }),
    answer: "ResultSet",
    response: ResultSet
  }
} as const

/** @internal */
export type Calls = typeof calls

/** @internal */
export type Request<K extends keyof Calls> = Calls[K]["request"] extends Message<infer A> ? Partial<A> : never

/** @internal */
export type Response<K extends keyof Calls> = Calls[K]["response"] extends Message<infer A> ? A : never

/** @internal */
export const ErrorResponse = message({
  exceptions: scalars(1, "string"),
  errorMessage: scalar(2, "string"),
  severity: scalar(3, "uint32"),
  errorCode: scalar(4, "uint32"),
  sqlState: scalar(5, "string")
})

/** every message travels in one of these @internal */
export const WireMessage = message({ name: scalar(1, "string"), wrapped: scalar(2, "bytes") })
