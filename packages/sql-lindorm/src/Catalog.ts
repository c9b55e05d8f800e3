/**
 * What the database behind an Avatica server knows about its tables: the requests of the protocol that JDBC calls
 * `getTables` and `getColumns`. LindormTable has `SHOW TABLES` and `DESCRIBE` besides.
 *
 * @since 0.1.0
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { AvaticaResult } from "./AvaticaResult.js"
import { CatalogQuery } from "./internal/request.js"

/**
 * What is asked for. `schema`, `table` and `column` are patterns, where `%` and `_` stand for any text and any letter.
 *
 * @since 0.1.0
 * @category models
 */
export interface Filter {
  readonly catalog?: string | undefined
  readonly schema?: string | undefined
  readonly table?: string | undefined
}

/**
 * What is asked for when tables are.
 *
 * @since 0.1.0
 * @category models
 */
export interface TableFilter extends Filter {
  /** Such as `TABLE` and `VIEW`; the names are the database's. */
  readonly types?: ReadonlyArray<string> | undefined
}

/**
 * What is asked for when columns are.
 *
 * @since 0.1.0
 * @category models
 */
export interface ColumnFilter extends Filter {
  readonly column?: string | undefined
}

/**
 * A table, by the names that JDBC has for what is known about it: `TABLE_SCHEM`, `TABLE_NAME`, `TABLE_TYPE` and others.
 *
 * @since 0.1.0
 * @category models
 */
export interface TableRow {
  readonly TABLE_SCHEM: string | null
  readonly TABLE_NAME: string
  readonly TABLE_TYPE: string
  readonly [name: string]: unknown
}

/**
 * A column: `COLUMN_NAME`, `DATA_TYPE` (the number in `java.sql.Types`), `TYPE_NAME`, `NULLABLE` and others.
 *
 * @since 0.1.0
 * @category models
 */
export interface ColumnRow {
  readonly TABLE_SCHEM: string | null
  readonly TABLE_NAME: string
  readonly COLUMN_NAME: string
  readonly DATA_TYPE: number
  readonly TYPE_NAME: string
  readonly [name: string]: unknown
}

/**
 * The tables of a database.
 *
 * @example
 * ```ts
 * import * as Catalog from "@dbpool/sql-lindorm/Catalog"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * const names = SqlClient.SqlClient.pipe(
 *   Effect.flatMap((sql) => Catalog.tables(sql, { schema: "test" })),
 *   Effect.map((tables) => tables.map(({ TABLE_NAME }) => TABLE_NAME))
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const tables = (
  sql: SqlClient.SqlClient,
  filter: TableFilter = {}
): Effect.Effect<ReadonlyArray<TableRow>, SqlError> => ask(sql, new CatalogQuery("Tables", filter))

/**
 * The columns of tables, table by table and in order.
 *
 * @example
 * ```ts
 * import * as Catalog from "@dbpool/sql-lindorm/Catalog"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * const types = SqlClient.SqlClient.pipe(
 *   Effect.flatMap((sql) => Catalog.columns(sql, { table: "tb" })),
 *   Effect.map((columns) => columns.map(({ COLUMN_NAME, TYPE_NAME }) => [COLUMN_NAME, TYPE_NAME]))
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const columns = (
  sql: SqlClient.SqlClient,
  filter: ColumnFilter = {}
): Effect.Effect<ReadonlyArray<ColumnRow>, SqlError> => ask(sql, new CatalogQuery("Columns", filter))

/** the names are JDBC's, which no transformation of the program's must touch */
const ask = (sql: SqlClient.SqlClient, query: CatalogQuery): Effect.Effect<ReadonlyArray<any>, SqlError> =>
  Effect.map(sql.unsafe(query.what, [query]).raw, (result) => {
    const { columns, rows } = result as AvaticaResult
    return rows.map((row) => Object.fromEntries(columns.map(({ name }, i) => [name, row[i]])))
  })
