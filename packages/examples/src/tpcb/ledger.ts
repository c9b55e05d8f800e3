/**
 * What the program believes to have happened, transaction by transaction. In the end the database is asked.
 */
export class Ledger {
  readonly ids = { committed: new Set<string>(), rolledBack: new Set<string>(), unknown: new Set<string>() }
  readonly errors: Record<string, number> = {}
  readonly acquireMs: Array<number> = []
  readonly txMs: Array<number> = []
  /** transactions that lost their connection half way */
  hits = 0
  private last = 0

  nextId(): string {
    return `tx-${String(++this.last).padStart(12, "0")}`
  }

  /** transactions that will not be tried again */
  get done(): number {
    return this.ids.committed.size + this.ids.unknown.size
  }

  committed(id: string, waited: bigint, took: bigint): void {
    this.ids.committed.add(id)
    this.acquireMs.push(Number(waited) / 1e6)
    this.txMs.push(Number(took) / 1e6)
  }

  rolledBack(id: string): void {
    this.ids.rolledBack.add(id)
  }

  unknown(id: string): void {
    this.ids.unknown.add(id)
  }

  error(tag: string): void {
    this.errors[tag] = (this.errors[tag] ?? 0) + 1
  }
}

export interface Percentiles {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

export const percentiles = (samples: ReadonlyArray<number>): Percentiles => {
  const sorted = Float64Array.from(samples).sort()
  const at = (share: number) => {
    const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
    return Math.round(value * 100) / 100
  }
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}
