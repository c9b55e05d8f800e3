/**
 * What a statement came to, as `SqlConnection.raw` and the `raw` of a `SqlClient`'s statement give it.
 *
 * @since 0.1.0
 */

/**
 * A column of a result.
 *
 * @since 0.1.0
 * @category models
 */
export interface AvaticaColumn {
  readonly name: string
  readonly table: string
  /** The server's name for the type, such as `VARCHAR`. */
  readonly typeName: string
  /** The number of the type in `java.sql.Types`. */
  readonly typeId: number
}

/**
 * Columns and rows of a query, or how many rows a statement changed.
 *
 * @since 0.1.0
 * @category models
 */
export interface AvaticaResult {
  readonly columns: ReadonlyArray<AvaticaColumn>
  readonly rows: ReadonlyArray<ReadonlyArray<unknown>>
  /** How many rows were changed; -1 for a query. */
  readonly updateCount: number
  /** How many rows each row of a batch changed; empty for other statements. */
  readonly updateCounts: ReadonlyArray<number>
}
