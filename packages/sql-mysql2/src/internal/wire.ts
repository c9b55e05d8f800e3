/**
 * What `mysql2` does not declare: the protocol underneath a connection. It hides the status flags of all answers but
 * those without rows, so they are read here, from the packets, before it sees them.
 * https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html
 */
import type mysql from "mysql2"
import { channel } from "node:diagnostics_channel"
import type { Duplex } from "node:stream"
import type { Statement } from "./statement.js"

/** a statement that the server has prepared */
interface Prepared {
  readonly parameters: ReadonlyArray<unknown>
  readonly execute: (values: ReadonlyArray<unknown>) => Command
}

/** one command of the protocol, from its first packet to the end of its answer */
export interface Command {
  /** for the errors of the server */
  sql: string
  /** the state it is in; none before it was sent */
  readonly next: unknown
  start: (packet: unknown, wire: Wire) => unknown
  /** of one that executes a prepared statement, once it is prepared */
  readonly statement?: Prepared
  readonly listenerCount: (event: Event) => number
  emit: (event: Event, what?: any, index?: number) => boolean
}

/** an error and then the end, or the end alone; before it the columns of each result, and its rows by its number @internal */
export type Event = "end" | "error" | "fields" | "result"

/** @internal */
export interface Ear {
  readonly hears: (event: Event, what: any, index: number | undefined) => void
}

/** In place of listeners: to keep them costs as much as to read a row. @internal */
export const tells = (command: Command, ear: Ear): void => {
  // those who trace `mysql2` do have listeners
  const others = command.listenerCount("end") > 0 ? command.emit.bind(command) : undefined
  command.emit = (event, what, index) => {
    ear.hears(event, what, index)
    return others?.(event, what, index) ?? true
  }
}

/** Has a prepared statement executed only if it takes so many parameters; others the server might read from nowhere. @internal */
export const expects = (command: Command, count: number, miscounted: (expected: number) => Error): void => {
  const start = command.start.bind(command)
  command.start = (packet, wire) => {
    const expected = command.statement?.parameters.length ?? count
    if (expected === count) return start(packet, wire)
    command.emit("error", miscounted(expected))
    return null
  }
}

/** A statement that is prepared already, if it is. @internal */
export const preparedOn = (wire: Wire, sql: string, asArrays: boolean): Prepared | undefined =>
  wire._statements.get(`undefined/undefined/${asArrays ? true : undefined}${sql}`)

/** those who listen to what `mysql2` executes do not hear of what it does not look for */
const listeners = channel("tracing:mysql2:execute:start")

/** Executes a statement; one that is known to be prepared, and whose rows are objects, need not be looked for. @internal */
export const execute = (
  wire: Wire,
  prepared: Prepared | undefined,
  { asArrays, asMysql2, sql }: Statement,
  values: ReadonlyArray<unknown>
): Command => {
  if (prepared === undefined || asArrays || listeners.hasSubscribers) return wire.execute(asMysql2, values)
  const command = prepared.execute(values)
  command.sql = sql
  return command
}

/** @internal */
export interface Packet {
  readonly sequenceId: number
  readonly buffer: Buffer
  readonly offset: number
  readonly isEOF: () => boolean
  readonly isError: () => boolean
}

/** @internal */
export interface Wire {
  readonly stream: Duplex & { readonly setTimeout?: (millis: number) => void }
  readonly _command: Command | null | undefined
  readonly _paused: boolean
  readonly _isMariaDB: boolean
  /** what is prepared, by a key of its own */
  readonly _statements: { readonly clear: () => void; readonly get: (key: string) => Prepared | undefined }
  sequenceId: number
  readonly config: { charsetNumber: number; readonly timezone: string }
  handlePacket: (packet?: Packet) => void
  readonly ping: (done: (error: unknown) => void) => Command
  readonly reset: (done: (error: unknown) => void) => Command
  readonly changeUser: (options: object, done: (error: unknown) => void) => Command
  readonly query: (options: object) => Command
  readonly execute: (what: string | object, values: ReadonlyArray<unknown>) => Command
  readonly unprepare: (what: string | object) => void
  readonly pause: () => void
  readonly resume: () => void
}

/** @internal */
export const wireOf = (client: mysql.Connection): Wire => client as unknown as Wire

const flags = { inTransaction: 1, autocommit: 2, noBackslash: 512, readOnlyTransaction: 0x2000 }

/** What the server has said last about the session. @internal */
export class Status {
  private flags = flags.autocommit
  /** an error says nothing of it; what was open before may be so no more, and the other way round */
  known = true

  get inTransaction(): boolean {
    return (this.flags & flags.inTransaction) !== 0
  }

  get inReadOnlyTransaction(): boolean {
    return (this.flags & flags.readOnlyTransaction) !== 0
  }

  get autocommit(): boolean {
    return (this.flags & flags.autocommit) !== 0
  }

  get backslash(): boolean {
    return (this.flags & flags.noBackslash) === 0
  }

  learn(said: number): void {
    this.flags = said
    this.known = true
  }

  /** the session said so when it was asked: the flags of a new one of MySQL are wrong */
  autocommitIsOff(): void {
    this.flags &= ~flags.autocommit
  }

  /** nothing is known of what a failed statement has left, except that it was sent in a transaction */
  forget(): void {
    this.known = false
  }
}

/** a command whose whole answer is an OK packet, which begins as the first packet of other answers may */
const plain = new WeakSet<Command>()

/** @internal */
export const isPlain = (command: Command): Command => {
  plain.add(command)
  return command
}

/** Looks at every packet before `mysql2` does; `heard` is called for each. @internal */
export const listen = (wire: Wire, status: Status, heard: (command: Command | null | undefined) => void): void => {
  const handle = wire.handlePacket.bind(wire)
  wire.handlePacket = (packet) => {
    // what comes while it is paused is handed in again later
    if (packet !== undefined && !wire._paused) {
      const command = wire._command
      // the last word of a server that closes the connection answers nothing, and so is out of order
      if (packet.sequenceId === 0 && packet.isError()) wire.sequenceId = 0
      const isBareOk = packet.buffer[packet.offset] === 0 && command !== null && command !== undefined &&
        plain.has(command)
      if (packet.isEOF() || isBareOk) status.learn(packet.buffer.readUInt16LE(packet.offset + 3))
      heard(command)
    }
    handle(packet)
  }
}
