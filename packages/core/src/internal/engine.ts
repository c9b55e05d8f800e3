/**
 * The pool's state and the decisions about it.
 *
 * Every method is one synchronous step: it leaves the state consistent and does no I/O. What takes time is done by the
 * tasks of `tasks.ts`, in fibers of the pool, which report back here. Only the pump (`pump.ts`) lends to waiters and
 * starts connects, and it runs after every step that could allow it to. Calls (`call.ts`) start when all is decided.
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import type { AcquireOptions } from "../AcquireOptions.js"
import type { PoolConfig } from "../PoolConfig.js"
import type { RetireReason } from "../PoolStats.js"
import * as Account from "./account.js"
import type { Fault } from "./admission.js"
import { Admission } from "./admission.js"
import { Alarm } from "./alarm.js"
import type { Budget } from "./budget.js"
import { Counters } from "./counters.js"
import { Entry, Ledger, State } from "./entry.js"
import type { Condition, Hooks } from "./hooks.js"
import { conditionOf, isWorn, validatesOn } from "./hooks.js"
import * as Housekeeping from "./housekeeping.js"
import { Hub } from "./hub.js"
import { IdleStore } from "./idleStore.js"
import * as Loss from "./loss.js"
import * as Outage from "./outage.js"
import * as Pump from "./pump.js"
import * as Refusal from "./refusal.js"
import { Replacement } from "./replacement.js"
import { Retry } from "./retry.js"
import type { Sharing } from "./sharing.js"
import { Starters } from "./starters.js"
import * as Tasks from "./tasks.js"
import * as Time from "./time.js"
import type { Waiter } from "./waiterQueue.js"
import { WaiterQueue } from "./waiterQueue.js"

/** @internal */
export class Engine<C> {
  readonly ledger = new Ledger()
  readonly idle: IdleStore<C>
  readonly queue = new WaiterQueue<C>()
  readonly admission: Admission
  readonly replacement = new Replacement<C>()
  readonly retry: Retry
  readonly counters = new Counters()
  readonly hub: Hub
  /** only where connections may be shared */
  sharing: Sharing<C> | undefined = undefined
  closing = false
  /** nothing is lent or opened; what is out comes back, and deadlines run on */
  suspended = false
  /** those who wait for the state to become something, see `until.ts` */
  readonly observers = new Set<() => void>()
  readonly starters = new Starters()
  /** how many sessions are going on; while there are none, nobody has to look for the one it is in */
  sessions = 0
  /** the spans in which callers held a connection that have been warned about waiting for another */
  readonly nestedWarnings = new Set<string>()
  /** everything that is open, for the shutdown; entries leave when they are gone */
  readonly entries = new Set<Entry<C>>()
  /** tasks that are still running */
  readonly tasks = new Map<Fiber.RuntimeFiber<void>, Entry<C> | undefined>()
  /** milliseconds since the pool was made */
  readonly now: () => number
  readonly alarm: Alarm
  private readonly taskRuntime: Runtime.Runtime<never>
  /** whether what comes back clean is lent on as it is, and whether what is idle has to be validated before */
  private readonly keepsClean: boolean
  private readonly validatesIdle: boolean
  private pumping = false
  private pumpAgain = false

  constructor(
    /** replaced as a whole by `resize` */
    public config: PoolConfig,
    readonly hooks: Hooks<C>,
    readonly runtime: Runtime.Runtime<never>,
    readonly clock: Clock.Clock,
    /** what it shares with other pools, if so */
    readonly budget?: Budget
  ) {
    this.now = Time.since(clock)
    this.hub = new Hub(config.name, clock)
    this.keepsClean = hooks.reset.onClean === undefined && !validatesOn(config, hooks, "return")
    this.validatesIdle = validatesOn(config, hooks, "acquire")
    this.idle = new IdleStore(config.order)
    this.admission = new Admission(
      config.failFastAfter,
      config.connectConcurrency,
      config.connectTimeout + config.validateTimeout
    )
    this.retry = new Retry(config.connectRetry, clock)
    this.taskRuntime = Runtime.disableRuntimeFlag(runtime, RuntimeFlags.Interruption)
    this.alarm = new Alarm(runtime, clock, () => this.now(), () => this.tick())
    budget?.join(this)
  }

  // ------------------------------------------------------------------ callers

  /** The fast path: an idle connection that needs no validation, when nobody is waiting for it. */
  lendIdle(): Entry<C> | undefined {
    if (this.queue.size > 0 || this.suspended || this.closing) return undefined
    const entry = this.idle.peek()
    const now = this.now()
    if (entry === undefined || !this.isFresh(entry, now)) return undefined
    this.lend(entry, now)
    this.taken(entry, 0)
    return entry
  }

  /** The slow path. Answers through the waiter, perhaps at once. */
  request(
    waiter: Waiter<C>,
    timeout: AcquireOptions["timeout"],
    whenExhausted: AcquireOptions["whenExhausted"]
  ): void {
    const now = this.now()
    waiter.since = now
    const patience = Refusal.patience(this, timeout, whenExhausted)
    const refusal = typeof patience === "number" ? Refusal.refuse(this, waiter, whenExhausted) : patience
    if (refusal !== undefined) {
      Refusal.turnAway(this, waiter, refusal)
      this.pump(now)
      return
    }
    waiter.deadline = now + (patience as number)
    this.queue.add(waiter)
    this.pump(now)
    if (waiter.queued) this.counters.waited++
  }

  /** The borrower has it, and runs: from here on it ends in `release`. */
  taken(entry: Entry<C>, waitedMillis: number): void {
    this.counters.acquired++
    this.counters.waitedMillis += waitedMillis
    if (entry.uses++ > 0) this.counters.reused++
    if (entry.uses >= this.config.maxUses) entry.wears("maxUses")
    if (this.hub.leasesHeard) {
      this.hub.tell({ _tag: "Acquired", connectionId: entry.id, waitedMillis })
    }
  }

  /** The waiter's fiber has been interrupted, or got an error: whatever it was handed goes to the next one. */
  withdraw(waiter: Waiter<C>): void {
    if (waiter.queued) {
      this.queue.remove(waiter)
      // the last one to leave takes with it what the queue has earned; one that wanted a connection for itself has kept others
      if (this.queue.size === 0 || this.sharing !== undefined) this.pump(this.now())
    }
    const entry = waiter.entry
    if (entry === undefined) return
    waiter.entry = undefined
    if (waiter.shared && this.sharing!.withdraws(entry)) return
    if (entry.state === State.detached) this.finish(entry)
    else if (entry.state === State.leased) {
      const now = this.now()
      this.keep(entry, now)
      this.pump(now)
    }
  }

  /** The holder has ended. Decides what has to happen before the connection is lent again. */
  release(entry: Entry<C>, since: number): void {
    const now = this.now()
    Account.released(this, entry, now - since)
    this.settle(entry, now)
  }

  /** nobody has it any more */
  settle(entry: Entry<C>, now = this.now()): void {
    if (entry.state === State.detached) this.finish(entry)
    else if (entry.state === State.leased) {
      const condition = conditionOf(this.hooks, entry.connection)
      if (condition === "broken") Loss.found(this, entry)
      else if (this.restores(condition)) this.restore(entry, condition)
      else this.returned(entry, now)
    }
  }

  /** whether a connection in that condition needs work before it is lent again */
  restores(condition: Condition): boolean {
    return condition !== "clean" || !this.keepsClean
  }

  /** The holder says that the connection is no good. It is closed now, so that nobody has to wait for the holder. */
  invalidate(entry: Entry<C>): void {
    if (entry.state !== State.leased) return
    this.retire(entry, "invalidated")
    entry.hold?.level?.lose()
    this.pump(this.now())
  }

  // ------------------------------------------------------------------ reports of the tasks

  connected(entry: Entry<C>): void {
    const now = this.now()
    this.counters.opened++
    this.counters.connectMillis += now - entry.startedAt
    Outage.recover(this, entry, now)
    entry.openedAt = now
    entry.idleSince = now
    entry.provedAt = now
    if (this.hub.heard) {
      this.hub.tell({ _tag: "ConnectionOpened", connectionId: entry.id, connectMillis: now - entry.startedAt })
    }
    this.keep(entry, now)
    // one more may have made the oldest one spare
    if (this.idle.oldest !== undefined) this.alarm.set(Housekeeping.dueAt(this, this.idle.oldest, now), now)
    this.replacement.opened(this, entry)
    this.pump(now)
  }

  connectFailed(entry: Entry<C>, cause: unknown, fault: Fault): void {
    this.counters.connectFailures++
    if (this.hub.heard) {
      const connectMillis = this.now() - entry.startedAt
      this.hub.tell({ _tag: "ConnectAttemptFailed", connectionId: entry.id, connectMillis, fault, cause })
    }
    this.replacement.failed(entry)
    this.close(entry)
    Outage.record(this, entry, entry.startedAt, fault, cause)
    this.pump(this.now())
  }

  /** `timedOut`: the network is likely deaf, and every connection that was idle meanwhile as dead as this one. */
  validated(entry: Entry<C>, outcome: "valid" | "stale" | "timedOut", begunAt: number): void {
    if (entry.state !== State.reserved) return
    const now = this.now()
    if (outcome === "valid") {
      entry.provedAt = now
      this.keep(entry, now)
    } else {
      this.retire(entry, "stale")
      if (outcome === "timedOut") Housekeeping.discardSuspects(this, begunAt)
    }
    this.tick(now)
  }

  /** No statement is running any more, but the session has to be restored. */
  resetting(entry: Entry<C>): void {
    if (entry.state === State.cancelling) this.ledger.move(entry, State.resetting)
  }

  /** Cancelled, rolled back, reset: fit to be lent again. */
  restored(entry: Entry<C>): void {
    if (entry.state === State.cancelling || entry.state === State.resetting) this.returned(entry, this.now())
  }

  /** It could not be restored, or is `stale` after all. */
  unfit(entry: Entry<C>, reason: "unrestored" | "stale"): void {
    if (entry.state !== State.cancelling && entry.state !== State.resetting) return
    this.retire(entry, reason)
    this.pump(this.now())
  }

  closed(entry: Entry<C>, abandoned: boolean): void {
    this.ledger.move(entry, State.gone)
    this.entries.delete(entry)
    Account.buried(this, entry, abandoned)
    this.pump(this.now())
  }

  // ------------------------------------------------------------------ the steps behind them

  /** An open connection is not lent again. */
  retire(entry: Entry<C>, reason: RetireReason): void {
    Account.retiring(this, entry, reason)
    this.close(entry)
  }

  /** Closes a connection in a task of its own; it holds its slot until it is closed or destroyed. */
  private close(entry: Entry<C>): void {
    this.ledger.move(entry, State.closing)
    this.replacement.closed(entry)
    this.spawn(Tasks.close(this, entry), entry)
  }

  /** how many more there are than there may be, since the pool was made smaller */
  get surplus(): number {
    return this.ledger.live + this.ledger.count(State.connecting) - this.config.maxConnections
  }

  /** closes an idle connection */
  discard(entry: Entry<C>, reason: RetireReason): void {
    this.idle.remove(entry)
    this.retire(entry, reason)
  }

  spawn(task: Effect.Effect<void>, entry?: Entry<C>): void {
    // not started at once: a task may run the user's code, which must not happen inside a decision
    const fiber = Runtime.runFork(this.taskRuntime)(task, { immediate: false })
    this.tasks.set(fiber, entry)
    fiber.addObserver(() => {
      this.tasks.delete(fiber)
      this.notify()
    })
  }

  /** takes an idle connection for a borrower who is about to get it */
  lend(entry: Entry<C>, now: number): void {
    this.idle.remove(entry)
    this.ledger.move(entry, State.leased)
    entry.lentAt = now
  }

  /** starts to open a connection */
  open(now: number): void {
    const entry = new Entry<C>(this.admission.started(now), now)
    this.ledger.enter(entry)
    this.entries.add(entry)
    this.replacement.started(entry)
    this.spawn(Tasks.connect(this, entry), entry)
  }

  /** takes an idle connection out to find out whether it still works */
  probe(entry: Entry<C>): void {
    this.idle.remove(entry)
    this.ledger.move(entry, State.reserved)
    this.spawn(Tasks.validate(this, entry), entry)
  }

  private returned(entry: Entry<C>, now: number): void {
    this.proved(entry, now)
    entry.idleSince = now
    if (isWorn(this.hooks, entry.connection)) entry.wears("worn")
    this.keep(entry, now)
    if (this.queue.size > 0 || entry.softAt <= now || this.idle.size > this.config.maxIdle || this.closing) {
      this.pump(now)
    } else this.budget?.settle()
  }

  /** a lease of it has ended in order */
  proved(entry: Entry<C>, now: number): void {
    if (this.admission.returned(now, entry.id)) this.retry.restart()
    entry.proven = true
    entry.provedAt = now
  }

  /** it can be lent again, unless the pool was made smaller meanwhile */
  private keep(entry: Entry<C>, now: number): void {
    if (this.surplus > 0) return this.retire(entry, "resized")
    this.ledger.move(entry, State.idle)
    this.idle.add(entry)
    this.alarm.set(Housekeeping.dueAt(this, entry, now), now)
  }

  private restore(entry: Entry<C>, condition: Condition): void {
    this.ledger.move(entry, condition === "busy" ? State.cancelling : State.resetting)
    this.spawn(Tasks.restore(this, entry), entry)
  }

  /** a detached connection whose holder has now let go of it: only its scope is left to close */
  finish(entry: Entry<C>): void {
    this.ledger.move(entry, State.gone)
    this.entries.delete(entry)
    this.replacement.closed(entry)
    this.spawn(Tasks.bury(this, entry))
  }

  /** whether it may be lent as it is; one that was proved this very instant always may */
  isFresh(entry: Entry<C>, now: number): boolean {
    return now < entry.hardAt &&
      (!this.validatesIdle || now - entry.provedAt <= this.config.validateAfterIdle)
  }

  /** Looks at everything that time may have made due. */
  tick(now = this.now()): void {
    this.alarm.set(Housekeeping.sweep(this, now), now)
    this.pump(now)
  }

  /** Does everything that the state allows now. A scheduler that runs fibers at once may call it while it works. */
  pump(now: number): void {
    if (this.pumping) {
      this.pumpAgain = true
      return
    }
    this.pumping = true
    do {
      this.pumpAgain = false
      if (this.closing) Pump.windDown(this)
      else Pump.turn(this, now)
    } while (this.pumpAgain)
    this.pumping = false
    this.budget?.settle()
    this.notify()
    this.starters.run()
  }

  private notify(): void {
    for (const look of this.observers) look()
  }
}
