/**
 * What comes of a statement: one result, or several where a text holds several statements or calls a procedure. A result
 * is rows, or a header without rows.
 */

/** takes what comes, in order @internal */
export interface Results {
  /** a result with rows begins */
  readonly begin: () => void
  /** belongs to the result that was begun last */
  readonly row: (row: any) => void
  /** a result without rows */
  readonly header: (header: unknown) => void
}

/** keeps it all @internal */
export class Answer implements Results {
  /** most statements have one result */
  private only: unknown = undefined
  private all: Array<unknown> | undefined = undefined
  private rows: Array<any> | undefined = undefined

  begin(): void {
    this.rows = []
    this.add(this.rows)
  }

  row(row: any): void {
    this.rows!.push(row)
  }

  header(header: unknown): void {
    this.add(header)
  }

  private add(result: unknown): void {
    if (this.only === undefined) this.only = result
    else (this.all ??= [this.only]).push(result)
  }

  /** as `mysql2` gives it */
  get raw(): unknown {
    return this.all ?? this.only ?? []
  }

  /** the rows; of several results the rows of each, which may be none */
  get allRows(): ReadonlyArray<any> {
    return this.all === undefined ? rowsOf(this.only) : this.all.map(rowsOf)
  }
}

const rowsOf = (result: unknown): ReadonlyArray<any> => Array.isArray(result) ? result : []
