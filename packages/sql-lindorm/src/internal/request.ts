/**
 * What Avatica can be asked besides a statement with parameters. These take the way of statements, through leases and
 * transactions, as their only parameter.
 */

/** the statement, once for each of these rows of parameters @internal */
export class BatchOfRows {
  constructor(readonly rows: ReadonlyArray<ReadonlyArray<unknown>>) {}
}

/** these statements, which have no parameters, instead @internal */
export class BatchOfStatements {
  constructor(readonly statements: ReadonlyArray<string>) {}
}

/** what the database knows about its tables or columns, instead; `undefined` does not narrow it @internal */
export class CatalogQuery {
  constructor(
    readonly what: "Tables" | "Columns",
    readonly filter: {
      readonly catalog?: string | undefined
      readonly schema?: string | undefined
      readonly table?: string | undefined
      readonly column?: string | undefined
      readonly types?: ReadonlyArray<string> | undefined
    }
  ) {}
}
