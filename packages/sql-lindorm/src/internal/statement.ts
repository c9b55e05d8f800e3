/**
 * One statement: made on the server, executed, read frame by frame, and closed.
 *
 * Statements are never kept for later ones. The server forgets them after five minutes without use, executing one does not
 * tell it that the connection is in use, and making a new one, which does, is also what proves that the connection still
 * exists before anything is executed.
 */
import type { Objection } from "@dbpool/sql/Driver"
import { MissingStatement } from "../AvaticaError.js"
import type { AvaticaColumn, AvaticaResult } from "../AvaticaResult.js"
import type { AvaticaConnection, Job } from "./connection.js"
import { ClientError, isMissingStatement, Unsent } from "./errors.js"
import { BatchOfRows, BatchOfStatements, CatalogQuery } from "./request.js"
import type { AvaticaParameter, ColumnMetaData, Frame, ResultSet, Signature } from "./schema.js"
import * as values from "./values.js"

/** @internal */
export type Mode = "object" | "array" | "raw"

type Row = ReadonlyArray<unknown>

/** @internal */
export const execute = async (
  connection: AvaticaConnection,
  job: Job,
  sql: string,
  params: ReadonlyArray<unknown>,
  mode: Mode,
  objection: Objection | undefined
): Promise<unknown> => {
  if (typeof sql !== "string" || !Array.isArray(params)) {
    throw new ClientError("a statement is a text and an array of parameters")
  }
  const [request] = params
  if (request instanceof BatchOfRows || request instanceof BatchOfStatements) {
    const updateCounts = await batch(connection, job, sql, request, objection)
    const updateCount = updateCounts.reduce((sum, count) => sum + Math.max(count, 0), 0)
    return shape({ columns: [], rows: [], updateCount, updateCounts }, mode)
  }
  const cursor = await open(connection, job, sql, params, objection)
  try {
    const rows: Array<Row> = []
    for (let next = cursor.first; next !== undefined; next = await cursor.next(job)) {
      for (const row of next) rows.push(row)
    }
    return shape(
      { columns: cursor.columns.map(describe), rows, updateCount: cursor.updateCount, updateCounts: [] },
      mode
    )
  } finally {
    cursor.close()
  }
}

const describe = ({ label, tableName, type }: ColumnMetaData): AvaticaColumn => ({
  name: label,
  table: tableName,
  typeName: type?.name ?? "",
  typeId: (type?.id ?? 0) | 0
})

const shape = (result: AvaticaResult, mode: Mode): unknown => {
  if (mode === "raw") return result
  return mode === "array" ? result.rows : result.rows.map(named(result.columns.map(({ name }) => name)))
}

/** makes objects of rows @internal */
export const named = (names: ReadonlyArray<string>) => (row: Row): Record<string, unknown> => {
  const object: Record<string, unknown> = {}
  for (let i = 0; i < names.length; i++) object[names[i]!] = row[i]
  return object
}

/** A statement that has been executed, and what is left to be fetched of its rows. @internal */
export interface Cursor {
  readonly columns: ReadonlyArray<ColumnMetaData>
  readonly updateCount: number
  /** `undefined` when there are none */
  readonly first: ReadonlyArray<Row> | undefined
  /** the rows of the next frame; `undefined` at the end */
  readonly next: (job: Job) => Promise<ReadonlyArray<Row> | undefined>
  readonly close: () => void
}

/** Makes a statement and executes it. If that fails nothing of it is left. @internal */
export const open = async (
  connection: AvaticaConnection,
  job: Job,
  sql: string,
  params: ReadonlyArray<unknown>,
  objection: Objection | undefined
): Promise<Cursor> => {
  await connection.begins(job, objection)
  const [request] = params
  if (request instanceof CatalogQuery) {
    const result = await connection.call(request.what, filterOf(request))
    return cursorOver(connection, result.statementId, result, undefined)
  }
  // no size may ever be left out: Avatica takes that for zero, and answers a query with no rows and "done"
  const size = { firstFrameMaxSize: connection.options.frameSize, maxRowsTotal: -1n }
  if (params.length === 0) {
    const { statementId } = await connection.call("CreateStatement", {})
    return orClose(connection, statementId, async () => {
      connection.check(job, objection)
      const answer = await executing(
        connection,
        "PrepareAndExecute",
        () => connection.call("PrepareAndExecute", { ...size, sql, statementId })
      )
      return cursorOver(connection, statementId, soleResult(connection, answer), undefined)
    })
  }
  const { id, signature } = await prepare(connection, sql)
  return orClose(connection, id, async () => {
    const parameters = bindAll(params, signature.parameters)
    connection.check(job, objection)
    const answer = await executing(connection, "Execute", () =>
      connection.call("Execute", {
        statement: { connectionId: connection.connectionId, id, signature: { columns: [], parameters: [] } },
        parameters,
        hasParameters: true,
        firstFrameMaxSize: size.firstFrameMaxSize
      }))
    return cursorOver(connection, id, soleResult(connection, answer), signature.columns)
  })
}

const filterOf = ({ filter: { catalog, column, schema, table, types } }: CatalogQuery) => ({
  catalog: catalog ?? "",
  hasCatalog: catalog !== undefined,
  schemaPattern: schema ?? "",
  hasSchemaPattern: schema !== undefined,
  tableNamePattern: table ?? "",
  hasTableNamePattern: table !== undefined,
  columnNamePattern: column ?? "",
  hasColumnNamePattern: column !== undefined,
  types: types ?? [],
  hasTypes: types !== undefined
})

const prepare = async (
  connection: AvaticaConnection,
  sql: string
): Promise<{ readonly id: number; readonly signature: Signature }> => {
  const { statement } = await connection.call("Prepare", { sql, maxRowsTotal: -1n })
  if (statement === undefined) throw new Unsent(connection.puzzled("Prepare", "no statement"))
  return { id: statement.id, signature: statement.signature ?? { columns: [], parameters: [] } }
}

/** A row with too few values would silently get those that the statement was executed with before: nobody else counts. */
const bindAll = (params: ReadonlyArray<unknown>, parameters: ReadonlyArray<AvaticaParameter>) => {
  if (params.length !== parameters.length) {
    throw new ClientError(`the statement has ${parameters.length} parameters, and ${params.length} were given`)
  }
  return params.map((value, i) => values.bind(value, parameters[i]!, i + 1))
}

const orClose = async <A>(connection: AvaticaConnection, statementId: number, work: () => Promise<A>): Promise<A> => {
  try {
    return await work()
  } catch (error) {
    closeStatement(connection, statementId)
    throw error
  }
}

const closeStatement = (connection: AvaticaConnection, statementId: number): void =>
  connection.tidy(() => connection.call("CloseStatement", { statementId }))

/** A statement that the server could not find was not executed; that may also come as success, without a result. */
const executing = async <A extends { readonly missingStatement: boolean }>(
  connection: AvaticaConnection,
  request: string,
  work: () => Promise<A>
): Promise<A> => {
  let answer: A | undefined
  try {
    answer = await work()
    if (!answer.missingStatement) return answer
  } catch (error) {
    if (!isMissingStatement(error)) throw error
  }
  const missing = new MissingStatement({ request })
  connection.breaks(missing)
  throw new Unsent(missing)
}

const soleResult = (
  connection: AvaticaConnection,
  { results }: { readonly results: ReadonlyArray<ResultSet> }
): ResultSet => {
  // what does not say that it was done is not taken for done
  if (results[0] === undefined) throw connection.puzzled("Execute", "neither a result nor an error")
  return results[0]
}

const cursorOver = (
  connection: AvaticaConnection,
  statementId: number,
  result: ResultSet,
  prepared: ReadonlyArray<ColumnMetaData> | undefined
): Cursor => {
  // unsigned on the way: -1 stands for a query
  const updateCount = Number(BigInt.asIntN(64, result.updateCount))
  const named = result.signature?.columns ?? []
  const columns = named.length > 0 ? named : updateCount < 0 ? prepared ?? [] : []
  const readers = columns.map(values.reader)
  const read = ({ rows }: Frame): ReadonlyArray<Row> =>
    rows.map(({ values }) => readers.map((reader, i) => values[i] === undefined ? null : reader(values[i]!)))
  const isQuery = updateCount < 0
  const frame = result.firstFrame
  let offset = BigInt(frame?.rows.length ?? 0)
  let done = !isQuery || frame?.done === true
  return {
    columns,
    updateCount,
    first: isQuery ? frame === undefined ? [] : read(frame) : undefined,
    // "done" alone tells the end: a last frame that is exactly full does not, and one may be empty in between
    next: async (job) => {
      if (done) return undefined
      const next = await executed(async () => {
        connection.check(job)
        await connection.refresh()
        connection.check(job)
        return await fetch(connection, statementId, offset)
      })
      offset += BigInt(next.rows.length)
      done = next.done
      return read(next)
    },
    close: () => closeStatement(connection, statementId)
  }
}

/** from here on a dead connection is no proof any more that nothing was done */
const executed = async <A>(work: () => Promise<A>): Promise<A> => {
  try {
    return await work()
  } catch (error) {
    throw error instanceof Unsent ? error.cause : error
  }
}

/** Never repeated: the server does not go by the offset, and would answer with the rows after those that were lost. */
const fetch = async (connection: AvaticaConnection, statementId: number, offset: bigint): Promise<Frame> => {
  const { frame, missingResults, missingStatement } = await connection.call("Fetch", {
    statementId,
    offset,
    frameMaxSize: connection.options.frameSize
  })
  if (frame !== undefined && !missingStatement && !missingResults) return frame
  const missing = new MissingStatement({ request: "Fetch" })
  connection.breaks(missing)
  throw missing
}

const batch = async (
  connection: AvaticaConnection,
  job: Job,
  sql: string,
  request: BatchOfRows | BatchOfStatements,
  objection: Objection | undefined
): Promise<ReadonlyArray<number>> => {
  await connection.begins(job, objection)
  if (request instanceof BatchOfStatements) {
    const { statementId } = await connection.call("CreateStatement", {})
    return orClose(connection, statementId, async () => {
      connection.check(job, objection)
      const answer = await executing(
        connection,
        "PrepareAndExecuteBatch",
        () => connection.call("PrepareAndExecuteBatch", { statementId, statements: request.statements })
      )
      return counts(connection, statementId, answer, request.statements.length)
    })
  }
  const { id: statementId, signature } = await prepare(connection, sql)
  return orClose(connection, statementId, async () => {
    const updates = request.rows.map((row) => ({ parameters: bindAll(row, signature.parameters) }))
    connection.check(job, objection)
    const answer = await executing(
      connection,
      "ExecuteBatch",
      () => connection.call("ExecuteBatch", { statementId, updates })
    )
    return counts(connection, statementId, answer, updates.length)
  })
}

/**
 * Avatica's server (1.28) forgets to say that it has forgotten the statement: all that shows it is that nothing is
 * counted, which is no proof either that nothing was done.
 */
const counts = (
  connection: AvaticaConnection,
  statementId: number,
  { updateCounts }: { readonly updateCounts: ReadonlyArray<bigint> },
  expected: number
): ReadonlyArray<number> => {
  if (updateCounts.length !== expected) {
    const problem = `${updateCounts.length} counts for a batch of ${expected}; ` +
      "the server had forgotten the statement, or does not count"
    throw connection.puzzled("ExecuteBatch", problem)
  }
  closeStatement(connection, statementId)
  // unsigned on the way: -2 stands for "done, and nobody counted"
  return updateCounts.map((count) => Number(BigInt.asIntN(64, count)))
}
