/**
 * Who asked for a connection, who waits, and who has which.
 */
import type { Account } from "./books.js"

/**
 * One call for a connection: of `use`, `acquire`, `stream` or `session`.
 *
 * @internal
 */
export class Call {
  /** it has its connection, an error, or has left */
  answered = false
  account: Account | undefined = undefined

  constructor(
    readonly id: number,
    readonly deadline: number,
    /** the session it was made in waits for its own turns, not for the pool */
    readonly session: Session | undefined
  ) {}

  toString(): string {
    return `call ${this.id}`
  }
}

/**
 * A session: one lease, however many calls take turns on it.
 *
 * @internal
 */
export class Session {
  ended = false
  turns = 0
  account: Account | undefined = undefined

  constructor(readonly id: number) {}

  toString(): string {
    return `session ${this.id}`
  }
}

/** @internal */
export class Calls {
  /** those that wait for the pool, in the order in which they came */
  readonly waiting = new Set<Call>()
  /** those that wait for a turn in their session */
  readonly turning = new Set<Call>()
  /** the leases that go on */
  readonly owners = new Set<Call | Session>()
  readonly holders = new Map<Account, Call | Session>()
  /** who was served while somebody waited who had come before */
  readonly overtakings = new Map<Call, Call>()
  private count = 0

  /** somebody asks */
  ask(deadline: number, session: Session | undefined): Call {
    const call = new Call(++this.count, deadline, session)
    ;(session === undefined ? this.waiting : this.turning).add(call)
    return call
  }

  /** it has been answered, by a connection or otherwise */
  answer(call: Call): void {
    call.answered = true
    this.waiting.delete(call)
    this.turning.delete(call)
    this.overtakings.delete(call)
  }

  /** it has got a connection; all that wait had come before, or are newer */
  serve(call: Call): void {
    const inQueue = this.waiting.has(call)
    this.answer(call)
    if (!inQueue) return
    for (const other of this.waiting) {
      if (other.id < call.id && !this.overtakings.has(other)) this.overtakings.set(other, call)
    }
  }

  openSession(): Session {
    const session = new Session(++this.count)
    this.owners.add(session)
    return session
  }

  endSession(session: Session): void {
    session.ended = true
    this.settle(session)
  }

  /** on whose behalf a call has a connection */
  ownerOf({ session }: Call, account: Account): Session | undefined {
    if (session === undefined || (session.ended && session.turns === 0)) return undefined
    return session.account === undefined || session.account === account ? session : undefined
  }

  hold(call: Call, account: Account): void {
    const session = this.ownerOf(call, account)
    const owner = session ?? call
    call.account = account
    if (session !== undefined) {
      session.account = account
      session.turns++
    }
    this.owners.add(owner)
    this.holders.set(account, owner)
  }

  release(call: Call): void {
    const { account } = call
    if (account === undefined) return
    call.account = undefined
    const owner = this.owners.has(call) ? call : call.session
    if (owner === undefined) return
    if (owner instanceof Session) {
      owner.turns--
      this.settle(owner)
    } else {
      this.owners.delete(owner)
      if (this.holders.get(account) === owner) this.holders.delete(account)
    }
  }

  private settle(session: Session): void {
    if (!session.ended || session.turns > 0) return
    this.owners.delete(session)
    if (session.account !== undefined && this.holders.get(session.account) === session) {
      this.holders.delete(session.account)
    }
  }
}
