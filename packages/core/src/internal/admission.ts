/**
 * Who may open a connection, and when an outage is told to callers instead of making them wait.
 *
 * Plain data and decisions, no effects: the engine asks, and reports what happened. All times are the pool's monotonic
 * milliseconds.
 *
 * - `down`: no connect has worked since one failed. One attempt at a time, at the pace of `connectRetry`.
 * - `limited`: the server refuses more connections while some are alive. The same pace, but callers go on waiting.
 * - `quiet`: down, and nothing has worked for `failFastAfter`. Callers get the cause at once.
 */

/**
 * How a failed connect is to be taken.
 *
 * @internal
 */
export type Fault = "transient" | "fatal" | "refused"

/**
 * Why there are no more connections.
 *
 * @internal
 */
export interface Trouble {
  readonly cause: unknown
  readonly fault: Fault
  readonly attempts: number
  /** when it began, as far as anybody knows, and when it last showed */
  readonly since: number
  readonly at: number
}

/** each step of growth beyond the first needs the head waiter to have waited so much longer */
const growEvery = 25

/**
 * The least pause before the next attempt after a fatal error, whatever the schedule says: hammering a server locks
 * accounts. Also the pause where the schedule cannot say, or ended while callers wait.
 */
const slowestPace = 5000

/** @internal */
export class Admission {
  outage: Trouble | undefined = undefined
  private limited: Trouble | undefined = undefined
  private lastGood = -Infinity
  private lastReturn = -Infinity
  /** the attempt that seems to have ended an outage, and that outage; nobody has given its connection back yet */
  private unproved: { readonly attempt: number; readonly outage: Trouble } | undefined = undefined
  /** attempts so far, and how many of them had begun when one last failed: those say nothing about what came after */
  private attempts = 0
  private outdated = 0
  /** no attempt before that while down or limited; `Infinity` while the schedule is being asked */
  next = -Infinity
  /** doubles with each success after an outage: 1, 2, 4, ... so that a server that comes back is not stormed */
  private ramp = 1
  /** how many connects the queue has earned by waiting; 1 again as soon as it is empty */
  private grow = 1
  private lastStart = -Infinity
  private lastGrowth = -Infinity
  /** somebody was turned away since the last attempt: a reason to try, although nobody waits */
  private turnedAway = false
  /** the schedule has ended: only a caller is a reason to try again */
  private resting = false

  /** `attemptTakes`: how long one attempt may take at most */
  constructor(
    public failFastAfter: number,
    private readonly concurrency: number,
    private readonly attemptTakes: number
  ) {}

  get down(): boolean {
    return this.outage !== undefined
  }

  /** one attempt at a time; a new connection must also be valid, because a proxy may be up while the server is down */
  get paced(): boolean {
    return this.trouble !== undefined
  }

  get serverLimited(): boolean {
    return this.limited !== undefined
  }

  /** how bad it is */
  get troubled(): "outage" | "limit" | undefined {
    return this.outage !== undefined ? "outage" : this.limited !== undefined ? "limit" : undefined
  }

  get trouble(): Trouble | undefined {
    return this.outage ?? this.limited
  }

  /** from when on a caller that arrived then gets the cause of the outage; never while nothing is wrong */
  failsAt(arrival: number): number {
    return this.outage === undefined
      ? Infinity
      : Math.max(arrival, this.outage.since, this.lastGood) + this.failFastAfter
  }

  /**
   * Whether a caller that comes now is told at once: waiting would not help it. A cause that has not been checked since
   * an attempt was due is old news, though: then the caller waits for the attempt that is under way.
   */
  hopeless(now: number, live: number, connecting: number): boolean {
    return this.lost(now, live) && (now < this.next || (connecting > 0 && now <= this.next + this.attemptTakes))
  }

  /** whether those that wait are told now */
  lost(now: number, live: number): boolean {
    return this.outage !== undefined &&
      (this.failsAt(-Infinity) <= now || (this.outage.fault === "fatal" && live === 0))
  }

  turnAway(): void {
    this.turnedAway = true
  }

  /** how many connections are wanted by those that wait, or were turned away */
  demand(waiting: number): number {
    return waiting > 0 ? waiting : this.outage !== undefined && this.turnedAway ? 1 : 0
  }

  /** how many more connects may start now */
  allowance(now: number, connecting: number, live: number): number {
    if (this.paced) return connecting === 0 && now >= this.next ? 1 : 0
    return Math.min(this.concurrency, this.ramp, live === 0 ? Infinity : this.grow) - connecting
  }

  /** whether the minimum and replacements are a reason to connect */
  get refills(): boolean {
    return !this.resting
  }

  /** growth is earned by the head of the queue; with nobody there it is forgotten */
  observeQueue(now: number, headSince: number | undefined): void {
    if (headSince === undefined) this.grow = 1
    else if (now >= this.growsAt(headSince)) {
      this.grow++
      this.lastGrowth = now
    }
  }

  growsAt(headSince: number): number {
    return this.grow < this.concurrency
      ? Math.max(this.lastStart, this.lastGrowth, headSince) + growEvery
      : Infinity
  }

  /** an attempt begins; returns its number */
  started(now: number): number {
    this.lastStart = now
    this.turnedAway = false
    this.resting = false
    return ++this.attempts
  }

  /** a connect worked; what began before the last failure proves nothing */
  connected(now: number, attempt: number): void {
    if (attempt <= this.outdated) return
    this.ramp = this.outage === undefined ? Math.min(this.ramp * 2, Number.MAX_SAFE_INTEGER) : 1
    if (this.outage !== undefined) this.unproved = { attempt, outage: this.outage }
    this.outage = undefined
    this.limited = undefined
    this.lastGood = now
  }

  /**
   * A connection died before its first healthy return. If it was the one that seemed to end an outage, that goes on: a
   * proxy lets everybody in while the server behind it is down. Returns since when there is trouble.
   */
  disproved(attempt: number, now: number): number {
    if (this.unproved?.attempt !== attempt) return now
    const { since } = this.unproved.outage
    this.unproved = undefined
    this.lastGood = this.lastReturn
    if (this.outage !== undefined) this.outage = { ...this.outage, since }
    return since
  }

  /**
   * A connect failed, or its connection died before its first healthy return. Returns whether the schedule is to be
   * asked for the next attempt: of several that failed together only the first counts. `since` is when the trouble
   * began as far as anybody knows.
   */
  failed(attempt: number, since: number, now: number, fault: Fault, cause: unknown, live: number): boolean {
    const next = (trouble: Trouble | undefined): Trouble => ({
      cause,
      fault,
      attempts: (trouble?.attempts ?? 0) + 1,
      since: trouble?.since ?? since,
      at: now
    })
    if (fault === "refused" && live > 0 && this.outage === undefined) this.limited = next(this.limited)
    else {
      if (this.outage === undefined) this.ramp = 1
      this.outage = next(this.outage)
    }
    if (attempt <= this.outdated) return false
    this.outdated = this.attempts
    this.next = Infinity
    return true
  }

  /** the schedule has answered; `undefined` is that it could not */
  retryIn(now: number, delay: number | undefined): void {
    const least = delay === undefined || this.outage?.fault === "fatal" ? slowestPace : 0
    this.next = now + Math.max(delay ?? 0, least)
  }

  /** The schedule has ended: the next caller starts it anew. Those who wait while the server is full go on waiting. */
  retryEnded(now: number): void {
    this.resting = this.outage !== undefined
    this.next = this.resting ? now : now + slowestPace
  }

  /** a connection came back in order; returns whether the schedule starts anew with the next failure */
  returned(now: number, attempt: number): boolean {
    this.lastGood = now
    this.lastReturn = now
    this.unproved = undefined
    return attempt > this.outdated
  }
}
