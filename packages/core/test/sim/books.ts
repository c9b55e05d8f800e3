/**
 * What the pool tells those who listen to its events, and whether it adds up: whatever was opened is retired and closed,
 * whatever was acquired is released, and no trouble begins twice.
 */
import type { PoolOccurrence } from "@dbpool/core/PoolEvent"
import type { RetireReason } from "@dbpool/core/PoolStats"
import type { Engine } from "../../src/internal/engine.js"
import type { Blame } from "./broken.js"
import type { Coverage } from "./coverage.js"
import { count } from "./coverage.js"

/** what was told of one connection */
class Account {
  retired: RetireReason | undefined
  closed = false
  /** how many have it, and how many of those for too long; several only where it is shared */
  leases = 0
  overdue = 0
}

export class Books {
  /** those that are open, by their numbers */
  private readonly accounts = new Map<number, Account>()
  private trouble: string | undefined
  private listens = false

  constructor(
    private readonly engine: Engine<any>,
    private readonly coverage: Coverage,
    private readonly blame: Blame
  ) {}

  /** nobody may listen, too */
  listen(): void {
    this.listens = true
    this.engine.hub.listen({ leases: true, hear: (event) => this.told(event), end: () => {} })
  }

  private told(event: PoolOccurrence): void {
    count(this.coverage, `event: ${event._tag}`)
    switch (event._tag) {
      case "ConnectionOpened":
        return void this.accounts.set(event.connectionId, new Account())
      case "ConnectionRetired": {
        count(this.coverage, `retired: ${event.reason}`)
        const account = this.account(event)
        if (account.retired !== undefined) this.refuse(event)
        account.retired = event.reason
        return
      }
      case "ConnectionClosed": {
        if (event.abandoned) count(this.coverage, "closed: abandoned")
        const account = this.account(event)
        if (account.retired !== event.reason || account.closed) this.refuse(event)
        account.closed = true
        return this.forget(event.connectionId)
      }
      case "Acquired":
      case "Released": {
        const account = this.account(event)
        if (
          event._tag === "Acquired"
            ? account.leases > 0 && this.engine.sharing === undefined
            : account.leases === 0
        ) {
          this.refuse(event)
        }
        account.leases += event._tag === "Acquired" ? 1 : -1
        // whose lease it was is not told; it may have been that one
        if (event._tag === "Released") account.overdue = Math.max(0, account.overdue - 1)
        return this.forget(event.connectionId)
      }
      case "LeaseOverdue": {
        const account = this.account(event.holder)
        if (account.overdue === account.leases) this.refuse(event)
        account.overdue++
        return
      }
      case "TroubleBegan":
        if (this.trouble !== undefined) this.refuse(event)
        this.trouble = event.trouble
        return
      case "TroubleEnded":
        if (this.trouble !== event.trouble) this.refuse(event)
        this.trouble = undefined
    }
  }

  /** one that dies while it is lent is closed before it is released, or after */
  private forget(connectionId: number): void {
    const account = this.accounts.get(connectionId)
    if (account?.closed === true && account.leases === 0) this.accounts.delete(connectionId)
  }

  private account({ connectionId }: { readonly connectionId: number }): Account {
    const account = this.accounts.get(connectionId)
    if (account === undefined) this.blame("events", `connection ${connectionId} is spoken of, and is not open`)
    return account ?? new Account()
  }

  private refuse(event: PoolOccurrence): void {
    this.blame("events", `${event._tag} does not follow from what was told before`)
  }

  /** the pool has closed, and nobody holds anything any more */
  balance(): void {
    const { counters: { acquired, closed, opened, retired } } = this.engine
    if (opened !== closed) this.blame("events", `${opened} opened, and ${closed} closed`)
    const reasons = Object.values(retired).reduce((sum, n) => sum + n, 0)
    if (reasons !== closed) this.blame("events", `${closed} closed, and ${reasons} retired`)
    if (this.listens && this.accounts.size > 0) {
      this.blame("events", `of ${acquired} leases, ${this.accounts.size} connections are still told to be there`)
    }
  }
}
