/**
 * Calls that have been handed a connection, and start their operations when the decision that did so is complete.
 */

/** @internal */
export interface Starter {
  readonly begin: () => void
}

/** @internal */
export class Starters {
  private readonly due: Array<Starter> = []
  private running = false

  add(starter: Starter): void {
    this.due.push(starter)
  }

  /** One after the other: what an operation hands on by ending at once starts after it, however many do so. */
  run(): void {
    if (this.running || this.due.length === 0) return
    this.running = true
    try {
      for (let next = this.due.shift(); next !== undefined; next = this.due.shift()) next.begin()
    } finally {
      this.running = false
    }
  }
}
