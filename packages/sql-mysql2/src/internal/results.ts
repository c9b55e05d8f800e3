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
  private results: Array<unknown> = []
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

  /** as `mysql2` gives it; leaves nothing here */
  takeRaw(): unknown {
    const results = this.take()
    return results.length === 1 ? results[0] : results
  }

  /** the rows; of several results the rows of each, which may be none; leaves nothing here */
  takeRows(): ReadonlyArray<any> {
    const results = this.take()
    if (results.length === 1) return Array.isArray(results[0]) ? results[0] : []
    return results.map((result) => Array.isArray(result) ? result : [])
  }

  /** what is kept is not collected young, if the statement it belongs to is not */
  private take(): Array<unknown> {
    const { results } = this
    this.results = this.last = []
    return results
  }
}
