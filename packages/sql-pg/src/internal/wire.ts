/**
 * What `pg` does not declare: the protocol underneath a client, and the statement that it sends there.
 */
import type { Socket } from "node:net"
import pg from "pg"

/** @internal */
export interface Wire {
  readonly stream: Socket
  /** the named statements that the server is known to have, by name */
  readonly parsedStatements: Record<string, string>
  readonly on: (event: "readyForQuery", listener: () => void) => void
  /** tells the server to forget a statement, as part of what is sent next */
  readonly close: (what: { readonly type: "S"; readonly name: string }) => void
  readonly parse: (what: { readonly text: string }) => void
  readonly bind: (what: { readonly values?: Array<unknown> }) => void
  readonly execute: (what: { readonly portal?: string }) => void
}

/** @internal */
export const wireOf = (client: pg.Client): Wire => (client as unknown as { readonly connection: Wire }).connection

/** Whether the client sends what it is given at once, or when what it was given before is over. Only between statements. @internal */
export const pipelining = (client: pg.Client, on: boolean): void => {
  Object.assign(client, { pipeline: on })
}

/** @internal */
export interface QueryConfig {
  readonly text: string
  readonly values: Array<unknown>
  /** statements without parameters and rows; unless all of them succeed the text is not run */
  readonly before: ReadonlyArray<string>
  readonly name?: string | undefined
  readonly rowMode?: "array" | undefined
  /** by the extended protocol, even if it has no parameters */
  readonly queryMode?: "extended" | undefined
  /** called twice when a parameter cannot be serialised */
  readonly callback: (error: unknown, result: any) => void
}

/** what a client sends @internal */
export interface Sendable {
  submit(wire: Wire): unknown
}

interface QueryMethods extends Sendable {
  text: string
  name: string | undefined
  queryMode: "extended" | undefined
  submit(wire: Wire): Error | null
  requiresPreparation(): boolean
  handleCommandComplete(message: { readonly text: string }, wire: Wire): void
  handleError(error: unknown, wire: Wire): void
}

/** the class, with its methods declared as such, so that they can be overridden @internal */
export const Query = pg.Query as unknown as new(
  config: QueryConfig | string,
  values: QueryConfig["values"],
  callback: QueryConfig["callback"]
) => QueryMethods

/**
 * The same wire, except that all that is said there in one go leaves in one write. A statement alone is five messages, each
 * of which would be a piece of its own for the system to collect.
 *
 * @internal
 */
export const batched = (wire: Wire): Wire => {
  let messages: Array<Buffer> = []
  const flush = () => {
    const together = Buffer.concat(messages)
    messages = []
    if (wire.stream.writable) wire.stream.write(together)
  }
  const send = (message: Buffer) => {
    if (messages.push(message) === 1) process.nextTick(flush)
  }
  return Object.create(wire, { _send: { value: send } })
}
