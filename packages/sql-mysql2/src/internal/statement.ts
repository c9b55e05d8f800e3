/**
 * A text, its parameters, and how it is to be sent.
 *
 * What is made for each statement is of a class: V8 puts object literals among the old, for good, when it has once seen that
 * all of them survive, as the first ones of a program do. Old objects keep young ones, and all of them are collected late.
 */

/** @internal */
export class Statement {
  constructor(
    readonly sql: string,
    readonly params: ReadonlyArray<unknown>,
    /** as a text, into which the parameters are written; else prepared */
    readonly isText: boolean,
    readonly asArrays: boolean,
    /** it is none of the program's, and what the program has to say about values is not meant for it */
    readonly isOwn = false,
    /** it is not sent again, whatever the server says */
    readonly isLast = false
  ) {}

  get asText(): Statement {
    return new Statement(this.sql, this.params, true, this.asArrays)
  }

  get forTheLastTime(): Statement {
    return new Statement(this.sql, this.params, this.isText, this.asArrays, false, true)
  }

  /** for `mysql2`, which would copy options; that costs as much as to send the statement */
  get asMysql2(): string | object {
    return this.asArrays ? { sql: this.sql, rowsAsArray: true } : this.sql
  }
}
