/**
 * The idle connections, ordered by when they were last used: a doubly linked list through the entries themselves, so
 * that lending the newest, closing the oldest and dropping a dead one in the middle all cost the same.
 */
import type { Entry } from "./entry.js"

/** @internal */
export class IdleStore<C> {
  oldest: Entry<C> | undefined = undefined
  private newest: Entry<C> | undefined = undefined
  size = 0

  constructor(private readonly order: "lifo" | "fifo") {}

  /**
   * The one to lend next: the most recently used, which is the likeliest to be alive and lets the others grow old enough
   * to be closed; or, in `fifo` order, the one that has rested longest, which keeps all of them in use.
   */
  peek(): Entry<C> | undefined {
    return this.order === "lifo" ? this.newest : this.oldest
  }

  /** keeps the order by `idleSince`; a connection that comes back from a validation goes to its old place */
  add(entry: Entry<C>): void {
    let older = this.newest
    while (older !== undefined && older.idleSince > entry.idleSince) older = older.older
    const newer = older === undefined ? this.oldest : older.newer
    entry.older = older
    entry.newer = newer
    if (older === undefined) this.oldest = entry
    else older.newer = entry
    if (newer === undefined) this.newest = entry
    else newer.older = entry
    this.size++
  }

  remove(entry: Entry<C>): void {
    const { newer, older } = entry
    if (older === undefined) this.oldest = newer
    else older.newer = newer
    if (newer === undefined) this.newest = older
    else newer.older = older
    entry.older = undefined
    entry.newer = undefined
    this.size--
  }

  /** oldest first; the one just yielded may be removed */
  *[Symbol.iterator](): Generator<Entry<C>> {
    let entry = this.oldest
    while (entry !== undefined) {
      const next = entry.newer
      yield entry
      entry = next
    }
  }
}
