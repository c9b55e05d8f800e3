/**
 * Judges a pool by its ten rules. What can be seen the moment it happens is judged then; the rest is judged at rest, when
 * everything has happened that needs no time (`judge`), because a hand-off takes a few steps that cannot be seen from
 * outside.
 */
import type { PoolConfig } from "@dbpool/core/PoolConfig"
import type { PoolStats } from "@dbpool/core/PoolStats"
import type { Rule } from "../PoolRules.js"
import { RuleBroken } from "../PoolRules.js"
import type { Account, Books, Event } from "./books.js"
import type { Call } from "./calls.js"
import { Calls } from "./calls.js"

/** how many lines of history a report has */
const remembered = 40

/**
 * What is wrong, if it still is at the next look.
 *
 * @internal
 */
export interface Finding {
  readonly rule: Rule
  readonly what: string
}

/** @internal */
export class Referee {
  readonly calls = new Calls()
  readonly found: Array<RuleBroken> = []
  suspended = false
  closingAt = Infinity
  /** rung after everything that happens, so that somebody looks */
  onChange: () => void = () => {}
  private readonly history: Array<string> = []
  /** how many connections there may be, and how many there still may be after a shrink, by the books and by stats */
  private max: number
  private allowed: number
  private allowedOpen: number
  private troubleAt = -Infinity
  /** when an operator last closed what was idle or open */
  private purgedAt = -Infinity
  private readonly condemned = new Map<Account, number>()

  constructor(
    readonly books: Books,
    readonly config: PoolConfig,
    readonly tolerance: number,
    private readonly slowestRetry: number
  ) {
    this.max = this.allowed = this.allowedOpen = config.maxConnections
    books.follower = (event, account) => this.happened(event, account)
  }

  get closing(): boolean {
    return this.closingAt !== Infinity
  }

  private record(line: string): void {
    this.history.push(`${Math.round(this.books.now() * 1000) / 1000} ms: ${line}`)
    if (this.history.length > remembered) this.history.shift()
    this.onChange()
  }

  blame({ rule, what }: Finding): void {
    this.found.push(new RuleBroken({ pool: this.config.name, rule, what, history: this.history.slice() }))
  }

  // ------------------------------------------------------------------ what callers do

  asks(timeout: number | undefined, session: Call["session"]): Call {
    const call = this.calls.ask(this.books.now() + (timeout ?? this.config.acquireTimeout), session)
    this.record(`${call} asks`)
    return call
  }

  /** it has got a connection, or a session, of which it cannot be seen on which connection it is */
  served(call: Call, connection?: unknown): void {
    const account = connection === undefined ? undefined : this.books.of(connection)
    this.record(`${call} gets ${account === undefined ? "a session" : `connection ${account.id}`}`)
    this.checkDeadline(call)
    this.calls.serve(call)
    if (account === undefined) return
    const holder = this.calls.holders.get(account)
    if (holder !== undefined && holder !== this.calls.ownerOf(call, account)) {
      this.blame({ rule: 2, what: `connection ${account.id} was lent to ${call} while ${holder} had it` })
    }
    // in a session it is the session that was lent to
    if (holder === undefined) this.checkLent(account)
    account.lent++
    this.calls.hold(call, account)
  }

  private checkLent(account: Account): void {
    const now = this.books.now()
    const wrong = (what: string) => this.blame({ rule: 8, what: `connection ${account.id} was lent ${what}` })
    if (account.closingAt < now - this.tolerance || account.destroyed > 0) return wrong("after it was closed")
    if (account.lostAt < now - this.tolerance) return wrong("after it had died")
    const condition = this.books.conditionOf(account)
    if (condition === "busy" || condition === "dirty") return wrong(`while ${condition}`)
    const age = now - account.readyAt
    if (age > this.config.maxLifetime + this.tolerance) {
      wrong(`${age} ms old, and maxLifetime is ${this.config.maxLifetime} ms`)
    }
    if (now > (this.condemned.get(account) ?? Infinity) + this.tolerance) wrong("after a hard drain")
  }

  gaveBack(call: Call): void {
    if (call.account !== undefined) this.record(`${call} gives connection ${call.account.id} back`)
    this.calls.release(call)
  }

  /** it has an error, or was interrupted */
  left(call: Call): void {
    if (call.answered) return
    this.record(`${call} leaves without a connection`)
    this.checkDeadline(call)
    this.calls.answer(call)
  }

  private checkDeadline(call: Call): void {
    const late = this.books.now() - call.deadline
    if (late > this.tolerance) this.blame({ rule: 5, what: `${call} was answered ${late} ms after its deadline` })
  }

  // ------------------------------------------------------------------ what operators do

  /** A new size holds already while the pool grows, and only afterwards when it shrinks. Answers what it was. */
  grows(max: number | undefined): number {
    const before = this.max
    this.max = Math.max(before, max ?? 0)
    return before
  }

  resized(max: number, open: number): void {
    this.record(`there may be ${max} connections`)
    this.max = max
    this.allowedOpen = Math.max(max, open)
    this.checkOccupancy()
  }

  /** what is idle, or was open, is closed */
  purges(what: string): void {
    this.record(what)
    this.purgedAt = this.books.now()
  }

  /** what is open, or being opened */
  standing(): ReadonlyArray<Account> {
    return this.books.accounts.filter(({ connecting, open }) => connecting || open)
  }

  /** these must not be lent after so many milliseconds */
  condemns(accounts: ReadonlyArray<Account>, millis: number): void {
    const at = this.books.now() + millis
    for (const account of accounts) {
      this.condemned.set(account, Math.min(at, this.condemned.get(account) ?? Infinity))
    }
  }

  closes(): void {
    this.record("the pool closes")
    this.closingAt = this.books.now()
  }

  // ------------------------------------------------------------------ what happens to connections

  private happened(event: Event, account: Account): void {
    const named = event === "hook" ? account.hook ?? event : event
    this.record(`connection ${account.id} ${named}`)
    switch (event) {
      case "interrupted":
        this.checkCut(account)
        this.troubleAt = this.books.now()
        break
      case "failed":
      case "lost":
      case "broken":
        this.troubleAt = this.books.now()
        break
      case "hook":
        this.checkReserved(account)
        break
      case "hookEnded":
        if (account.doubtful) this.troubleAt = this.books.now()
        break
      case "closing":
        this.checkDropped(account)
        break
      case "closed":
      case "destroyed":
        this.checkClosedOnce(account)
        break
      default:
    }
    this.checkOccupancy()
  }

  /** A slot is taken until its connection is closed or destroyed; one that has died may be with its holder still. */
  private checkOccupancy(): void {
    const { closeTimeout, connectTimeout } = this.config
    const now = this.books.now()
    let taken = 0
    for (const account of this.books.accounts) {
      // one that is stuck loses its slot when the pool has given it up, which cannot be seen
      if (account.connecting) {
        if (now < account.startedAt + connectTimeout + closeTimeout / 2) taken++
      } else if (account.open && account.lostAt === Infinity) taken++
    }
    this.allowed = Math.max(this.max, Math.min(this.allowed, taken))
    if (taken > this.allowed) this.blame({ rule: 1, what: `${taken} connections, and there may be ${this.allowed}` })
  }

  private checkCut({ id, startedAt }: Account): void {
    const { connectTimeout } = this.config
    const after = this.books.now() - startedAt
    if (!this.closing && after < connectTimeout - Math.min(this.tolerance, connectTimeout / 2)) {
      this.blame({ rule: 6, what: `the connect of connection ${id} was cut off after ${after} ms` })
    }
  }

  /** somebody left before his connection was open: that is no reason to close it */
  private checkDropped(account: Account): void {
    const { connectTimeout, idleSchedule, idleTimeout, lifetimeJitter, maxIdle, maxLifetime } = this.config
    const now = this.books.now()
    if (
      this.closing || idleSchedule !== undefined || account.lent > 0 || account.doubtful || account.lostAt !== Infinity
    ) return
    if (now - account.readyAt > 5 || account.openedAt - account.startedAt >= connectTimeout) return
    if (Math.min(idleTimeout, maxLifetime * (1 - lifetimeJitter)) <= 5 || account.startedAt <= this.purgedAt) return
    const others = this.books.accounts.filter(({ closingAt, connecting, open }) =>
      connecting || (open && closingAt === Infinity)
    )
    const idle = others.filter((other) => !other.connecting && !this.calls.holders.has(other))
    if (others.length >= this.max || idle.length >= maxIdle) return
    this.blame({ rule: 6, what: `connection ${account.id} was closed unused as soon as it was open` })
  }

  /** nothing runs on a connection that somebody has */
  private checkReserved(account: Account): void {
    const holder = this.calls.holders.get(account)
    if (holder !== undefined) {
      this.blame({ rule: 2, what: `${account.hook} ran on connection ${account.id} while ${holder} had it` })
    }
  }

  private checkClosedOnce({ closed, closedAt, destroyed, id }: Account): void {
    if (closed > 1 || destroyed > 1) {
      this.blame({ rule: 9, what: `connection ${id} was closed ${closed} and destroyed ${destroyed} times` })
    } else if (destroyed > 0 && closedAt < this.books.now() - this.tolerance) {
      this.blame({ rule: 9, what: `connection ${id} was destroyed after it had been closed` })
    }
  }

  // ------------------------------------------------------------------ at rest

  /** What looks wrong now. A fiber that has not run yet may explain it: only what is seen twice is wrong. */
  judge(stats: PoolStats): ReadonlyArray<Finding> {
    const now = this.books.now()
    const findings: Array<Finding> = []
    const wrong = (rule: Rule, what: string) => void findings.push({ rule, what })
    for (const call of [...this.calls.waiting, ...this.calls.turning]) {
      if (now > call.deadline + this.tolerance) wrong(5, `${call} still waits, after its deadline`)
    }
    this.allowedOpen = Math.max(this.max, Math.min(this.allowedOpen, stats.open))
    if (stats.open > this.allowedOpen) wrong(1, `stats says that ${stats.open} of ${this.allowedOpen} are open`)
    const surplus = stats.open - stats.closing - this.max
    if (surplus > 0 && stats.idle > 0) {
      wrong(1, `${stats.idle} connections are kept idle, although there are ${surplus} too many`)
    }
    if (stats.leased > this.calls.owners.size) {
      wrong(7, `${stats.leased} connections are lent, and ${this.calls.owners.size} callers have one`)
    }
    this.judgeClosing(now, wrong)
    if (this.closing) return findings
    for (const [early, late] of this.calls.overtakings) {
      wrong(4, `${late} was served before ${early}, which still waits`)
    }
    const known = stats.open - stats.closing
    const open =
      this.books.accounts.filter(({ closingAt, lostAt, open }) => open && closingAt === Infinity && lostAt === Infinity)
        .length
    if (open > known) wrong(9, `${open} connections are open, and the pool knows of ${known}`)
    this.judgeWaiting(stats, now, wrong)
    return findings
  }

  private judgeClosing(now: number, wrong: (rule: Rule, what: string) => void): void {
    const { closeTimeout } = this.config
    for (const { closingAt, id, open } of this.books.accounts) {
      if (open && now > closingAt + closeTimeout + this.tolerance) {
        wrong(10, `connection ${id} is still being closed, and closeTimeout is ${closeTimeout} ms`)
      }
    }
  }

  private judgeWaiting(stats: PoolStats, now: number, wrong: (rule: Rule, what: string) => void): void {
    const [first] = this.calls.waiting
    const unserved = this.calls.waiting.size - stats.reserved
    if (first === undefined || unserved <= 0 || this.suspended) return
    if (stats.idle > 0) return wrong(3, `${first} waits, and ${stats.idle} connections are idle`)
    const room = stats.open < stats.maxConnections && stats.connecting === 0
    if (room && now > this.lastTrouble(now) + this.slowestRetry) {
      wrong(
        3,
        `${first} waits, there are ${stats.open} of ${stats.maxConnections} connections, and none is being opened`
      )
    }
  }

  /** when something last went wrong that makes a pool wait before it connects again */
  private lastTrouble(now: number): number {
    const { connectTimeout } = this.config
    let at = this.troubleAt
    for (const { connecting, openedAt, startedAt } of this.books.accounts) {
      const overdueAt = startedAt + connectTimeout
      if (overdueAt <= Math.min(openedAt, now) && (connecting || openedAt !== Infinity)) at = Math.max(at, overdueAt)
    }
    return at
  }

  /** The pool has closed. */
  judgeEnd(stats: PoolStats): void {
    for (const { closedAt, closingAt, connecting, connection, destroyed, id } of this.books.accounts) {
      // an attempt that was interrupted may have opened something all the same, which nobody knows to destroy
      const over = connection === undefined ? closingAt : closedAt
      if (!connecting && over === Infinity && destroyed === 0) {
        this.blame({ rule: 9, what: `connection ${id} was never closed` })
      }
    }
    const { abandoned, closed, idle, leased, open, opened, waiting } = stats
    if (open + idle + leased + waiting > 0) {
      this.blame({
        rule: 9,
        what:
          `stats says that ${open} connections are open, ${idle} idle, ${leased} leased, and ${waiting} callers waiting`
      })
    }
    if (closed !== opened) this.blame({ rule: 9, what: `${opened} connections were opened, and ${closed} closed` })
    for (const call of [...this.calls.waiting, ...this.calls.turning]) {
      this.blame({ rule: 9, what: `${call} waits for a pool that is closed` })
    }
    const given = this.books.accounts.filter(({ connecting, destroyed }) => connecting || destroyed > 0).length
    if (given > abandoned) {
      this.blame({ rule: 10, what: `${given} connections were given up, and ${abandoned} counted as abandoned` })
    }
  }
}
