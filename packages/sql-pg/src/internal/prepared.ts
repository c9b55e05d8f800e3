/**
 * The named statements of one connection. A text gets a name when it is run for the second time: what is run once is not
 * worth a name, and does not push out what is run often.
 *
 * What is known here and what the server has may differ: users and proxies discard statements, and the shape of a result
 * changes under a statement that was planned before. Then the server refuses it before it does anything, and it is
 * prepared anew.
 */
import { isOfPlan, isServerError } from "./errors.js"
import type { QueryConfig, Wire } from "./wire.js"
import { Query } from "./wire.js"

/** Longer texts are made by programs, are hardly ever run twice, and would be kept for nothing. In characters. */
const longest = 16_384

const oldest = <K>(kept: Iterable<K>): K => kept[Symbol.iterator]().next().value as K

/** @internal */
export class PreparedStatements {
  private readonly seenOnce = new Set<string>()
  /** by text; the one used last stands last */
  private readonly names = new Map<string, string>()
  /** the server may still have them; told to forget them with the next named statement */
  private obsolete: Array<string> = []
  private count = 0

  constructor(private readonly most: number) {}

  /** the name to run a text by, if it has one */
  nameOf(text: string): string | undefined {
    if (this.most === 0 || text.length > longest) return undefined
    const known = this.names.get(text)
    if (known !== undefined) {
      this.names.delete(text)
      this.names.set(text, known)
      return known
    }
    if (!this.seenOnce.delete(text)) {
      if (this.seenOnce.size >= this.most) this.seenOnce.delete(oldest(this.seenOnce))
      this.seenOnce.add(text)
      return undefined
    }
    if (this.names.size >= this.most) this.drop(...oldest(this.names))
    // never a name twice: what the server has under an old one does not matter
    const name = `dbpool_${++this.count}`
    this.names.set(text, name)
    return name
  }

  /** whether a text still goes by that name */
  has(text: string, name: string): boolean {
    return this.names.get(text) === name
  }

  /** what the server need not keep any longer; it is asked once */
  takeObsolete(): ReadonlyArray<string> {
    const { obsolete } = this
    if (obsolete.length > 0) this.obsolete = []
    return obsolete
  }

  /**
   * The next time it gets another name, at once; the server is told, unless the name is somebody else's. Does nothing when
   * it has another name already.
   */
  drop(text: string, name: string, ours = true): void {
    if (!this.has(text, name)) return
    this.names.delete(text)
    if (ours) this.obsolete.push(name)
    this.seenOnce.add(text)
    if (this.seenOnce.size > this.most) this.seenOnce.delete(oldest(this.seenOnce))
  }

  /** the server has forgotten all of them */
  clear(wire: Wire): void {
    this.names.clear()
    this.obsolete = []
    for (const name of Object.keys(wire.parsedStatements)) delete wire.parsedStatements[name]
  }

  /** how many texts are kept, with a name and without */
  get size(): readonly [named: number, seenOnce: number] {
    return [this.names.size, this.seenOnce.size]
  }
}

/**
 * Whether the server refused a named statement for its name alone, before it did anything: `stale` when its plan does not
 * hold any more or is forgotten, `taken` when the name is somebody else's.
 *
 * @internal
 */
export const nameTrouble = (error: unknown, name: string): "stale" | "taken" | undefined => {
  if (!isServerError(error)) return undefined
  if (isOfPlan(error)) return "stale"
  return error.code === "42P05" && error.message.includes(name) ? "taken" : undefined
}

const discarding = new Set(["DISCARD ALL", "DEALLOCATE ALL"])

/** A statement that keeps the account of named ones right. @internal */
export class PgStatement extends Query {
  private readonly before: ReadonlyArray<string>
  /** how many of those before it the server has executed */
  private done = 0

  /** `batch`: where it is said; else on the wire that it is submitted to */
  constructor(private readonly prepared: PreparedStatements, config: QueryConfig, private readonly batch?: Wire) {
    // of a config `pg` makes a copy, property by property, which costs more than all the rest; of a text it does not
    super(config.rowMode === undefined ? config.text : config, config.values, config.callback)
    this.name = config.name
    this.queryMode = config.queryMode
    this.before = config.before
  }

  override submit(client: Wire): Error | null {
    const wire = this.batch ?? client
    if (this.name !== undefined) {
      for (const name of this.prepared.takeObsolete()) {
        delete wire.parsedStatements[name]
        wire.close({ type: "S", name })
      }
    }
    return this.before.length === 0 ? super.submit(wire) : this.submitAll(wire)
  }

  /** up to one Sync, or in one text: after an error the server skips what is left of either */
  private submitAll(wire: Wire): Error | null {
    if (!this.requiresPreparation()) {
      this.text = this.prefix + this.text
      return super.submit(wire)
    }
    wire.stream.cork()
    for (const text of this.before) {
      wire.parse({ text })
      wire.bind({})
      wire.execute({})
    }
    const error = super.submit(wire)
    wire.stream.uncork()
    return error
  }

  private get prefix(): string {
    return this.before.map((text) => `${text}; `).join("")
  }

  override handleError(error: unknown, wire: Wire): void {
    // the server counts from the beginning of the text that it got
    if (isServerError(error) && !this.requiresPreparation()) {
      const position = Number(error.position) - this.prefix.length
      if (position > 0) error.position = String(position)
    }
    super.handleError(error, wire)
  }

  override handleCommandComplete(message: { readonly text: string }, wire: Wire): void {
    if (this.done < this.before.length) {
      this.done++
      return
    }
    if (discarding.has(message.text)) this.prepared.clear(wire)
    super.handleCommandComplete(message, wire)
  }
}
