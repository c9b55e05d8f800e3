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
  private readonly results: Array<unknown> = []
  private last: Array<any> = []

  begin(): void {
    this.last = []
    this.results.push(this.last)
  }

  row(row: any): void {
    this.last.push(row)
  }

  header(header: unknown): void {
    this.results.push(header)
  }

  /** as `mysql2` gives it */
  get raw(): unknown {
    return this.results.length === 1 ? this.results[0] : this.results
  }

  /** the rows; of several results the rows of each, which may be none */
  get rows(): ReadonlyArray<any> {
    const each = this.results.map((result) => Array.isArray(result) ? result : [])
    return each.length === 1 ? each[0]! : each
  }
}
