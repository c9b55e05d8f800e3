/**
 * The ten rules of the engine (docs/engine.md), checked after every step. What users, sockets and the clock show comes
 * first (`callers.ts`); the engine's own data is only believed where it can be compared with them.
 */
import * as Exit from "effect/Exit"
import type { Engine } from "../../src/internal/engine.js"
import type { Entry } from "../../src/internal/entry.js"
import { State } from "../../src/internal/entry.js"
import type { Waiter } from "../../src/internal/waiterQueue.js"
import { Books } from "./books.js"
import type { Rule } from "./broken.js"
import { Broken } from "./broken.js"
import { Callers, slack } from "./callers.js"
import type { Coverage } from "./coverage.js"
import { count, stateNames, transition } from "./coverage.js"
import type { Network, Socket } from "./network.js"
import { SharingRules } from "./sharingRules.js"
import type { World } from "./world.js"

export class Rules {
  readonly callers: Callers
  private readonly books: Books
  private readonly sharing: SharingRules | undefined
  private readonly openedAt = new Map<Entry<Socket>, number>()
  private readonly watched = new WeakSet<object>()
  /** who waits, and as the how manyth he came */
  private readonly arrivals = new Map<Waiter<Socket>, number>()
  private arrived = 0
  private readonly counts = new Int32Array(stateNames.length)
  private closingAt = Infinity
  private closedAt = Infinity
  private allowed = Infinity
  /** connections that a hard drain forbids to lend again */
  private readonly condemned = new Set<Entry<Socket>>()
  /** found where it cannot be thrown: inside the fibers of users and of the pool */
  private found: Broken | undefined

  constructor(
    private readonly world: World,
    private readonly network: Network,
    private readonly engine: Engine<Socket>,
    private readonly coverage: Coverage
  ) {
    this.callers = new Callers(world, engine, coverage, this.blame)
    this.books = new Books(engine, coverage, this.blame)
    if (world.dice.chance(0.5)) this.books.listen()
    if (engine.sharing !== undefined) {
      this.sharing = new SharingRules(
        world,
        engine,
        coverage,
        this.blame,
        this.condemned,
        (entry) => this.openedAt.get(entry)! + engine.config.maxLifetime
      )
    }
    this.watchStates()
    this.watchLending()
    this.watchOthers()
    network.onDialInterrupted = (after) => {
      if (!engine.closing && after + 150 < engine.config.connectTimeout) {
        this.blame(6, "a connect was cut off before its time")
      }
    }
  }

  readonly blame = (rule: Rule, what: string): void => {
    this.found ??= new Broken(rule, what)
  }

  private count(what: string): void {
    count(this.coverage, what)
  }

  /** found valid last, and in which step */
  private valid: { readonly entry: Entry<Socket>; readonly step: number } | undefined

  private watchStates(): void {
    const { engine, world } = this
    const { ledger } = engine
    const move = ledger.move.bind(ledger)
    ledger.move = (entry: Entry<Socket>, to: State) => {
      const from = entry.state
      move(entry, to)
      const what = transition(from, to)
      this.count(what)
      world.record(`connection ${entry.id} ${what}`)
      if (from === State.connecting && to === State.idle) this.openedAt.set(entry, engine.now())
      if (from === State.connecting && to === State.closing) this.checkDropped(entry)
      if (from === State.idle && to === State.leased) this.checkLent(entry)
      if (from === State.reserved && to === State.idle) this.valid = { entry, step: world.steps }
      if (to === State.reserved && this.valid?.entry === entry && this.valid.step === world.steps) {
        this.blame(3, "a connection that has just been found valid is validated again")
      }
    }
  }

  private watchLending(): void {
    const { engine } = this
    const lendIdle = engine.lendIdle.bind(engine)
    engine.lendIdle = () => {
      const waiting = engine.queue.size
      const entry = lendIdle()
      if (entry !== undefined && waiting > 0) this.blame(4, "a newcomer overtook those who wait")
      return entry
    }
  }

  /** what no rule asks about, but would be missed if it never happened */
  private watchOthers(): void {
    const { engine, world } = this
    const withdraw = engine.withdraw.bind(engine)
    engine.withdraw = (waiter) => {
      if (waiter.entry !== undefined) this.count("hand-off to an interrupted waiter")
      withdraw(waiter)
    }
    const validated = engine.validated.bind(engine)
    engine.validated = (entry, outcome, begunAt) => {
      this.count(`validated: ${outcome}`)
      validated(entry, outcome, begunAt)
    }
    world.onLog = (message) => {
      this.count(`logged: ${message.includes("may have a leak") ? "a leak" : "a nested acquire"}`)
    }
  }

  private checkDropped(entry: Entry<Socket>): void {
    const socket = entry.connection as Socket | undefined
    if (socket?.alive === true && !socket.doubted && !this.engine.closing && this.engine.surplus < 0) {
      this.blame(6, "a connection that had just been opened was closed unused")
    }
  }

  private checkLent(entry: Entry<Socket>): void {
    const { closed, condition, doubted, id } = entry.connection
    if (doubted) this.blame(8, `socket ${id} lent while it is being validated`)
    if (closed > 0) this.blame(8, `socket ${id} lent after it was closed`)
    if (condition !== "clean") this.blame(8, `socket ${id} lent while ${condition}`)
    if (this.condemned.has(entry)) this.blame(8, `socket ${id} lent after a hard drain`)
    const age = this.engine.now() - this.openedAt.get(entry)!
    if (age >= this.engine.config.maxLifetime) this.blame(8, `socket ${id} lent ${age} ms old`)
  }

  condemns(entries: ReadonlyArray<Entry<Socket>>): void {
    for (const entry of entries) this.condemned.add(entry)
  }

  // ---- after every step

  check(): void {
    const { engine, world } = this
    if (this.found !== undefined) throw this.found
    if (engine.closing && this.closingAt === Infinity) {
      this.closingAt = world.now
      world.record("closing")
    }
    this.checkNumbers()
    for (const fiber of engine.tasks.keys()) this.watchTask(fiber)
    this.checkOrder()
    this.sharing?.check()
    if (!engine.closing && engine.queue.size > 0) this.checkWaiting()
    if (world.idle) this.checkRest()
    if (this.found !== undefined) throw this.found
  }

  private checkNumbers(): void {
    const { config, entries, idle, ledger, surplus } = this.engine
    const { counts } = this
    let open = 0
    counts.fill(0)
    for (const entry of entries) {
      counts[entry.state]!++
      if (entry.state !== State.detached) open++
    }
    // after a shrink the number only falls
    this.allowed = Math.max(config.maxConnections, Math.min(this.allowed, open))
    if (open > this.allowed) throw new Broken(1, `${open} open of ${this.allowed}`)
    if (surplus > 0 && idle.size > 0) {
      throw new Broken(1, `${idle.size} are kept, with ${open} open of ${config.maxConnections}`)
    }
    for (let state = 0; state < State.gone; state++) {
      const counted = ledger.count(state as State)
      if (counted !== counts[state]) {
        throw new Broken(1, `${counts[state]} are ${stateNames[state]}, and the ledger says ${counted}`)
      }
    }
  }

  private watchTask(fiber: { addObserver: (observer: (exit: Exit.Exit<void>) => void) => void }): void {
    if (this.watched.has(fiber)) return
    this.watched.add(fiber)
    fiber.addObserver((exit) => {
      if (Exit.isFailure(exit)) this.blame(9, `a task of the pool died: ${exit.cause.toString()}`)
    })
  }

  /** those served since the last step must have come before all who still wait */
  private checkOrder(): void {
    const { queue } = this.engine
    if (queue.size === 0 && this.arrivals.size === 0) return
    let longest = Infinity
    let longestSharer = Infinity
    for (let waiter = queue.head; waiter !== undefined; waiter = waiter.behind) {
      if (!this.arrivals.has(waiter)) this.arrivals.set(waiter, this.arrived++)
      longest = Math.min(longest, this.arrivals.get(waiter)!)
      if (waiter.shared) longestSharer = Math.min(longestSharer, this.arrivals.get(waiter)!)
    }
    for (const [waiter, arrival] of this.arrivals) {
      if (waiter.queued) continue
      // who shares may be served before those who would not
      if (waiter.entry !== undefined && arrival > (waiter.shared ? longestSharer : longest)) {
        throw new Broken(4, "somebody was served before his turn")
      }
      this.arrivals.delete(waiter)
    }
  }

  private checkWaiting(): void {
    const { admission, config, idle, ledger, queue } = this.engine
    if (this.engine.suspended || this.engine.surplus > 0) return
    const now = this.engine.now()
    const top = idle.peek()
    if (top !== undefined && this.engine.isFresh(top, now)) {
      throw new Broken(3, "somebody waits beside an idle connection")
    }
    const connecting = ledger.count(State.connecting)
    const wanted = queue.size - ledger.count(State.reserved) - connecting
    if (
      this.world.idle && wanted > 0 && ledger.open < config.maxConnections &&
      // timers know whole milliseconds only
      admission.allowance(now - 1, connecting, ledger.live) > 0
    ) throw new Broken(3, "somebody waits, and nobody opens the connection that there is room for")
  }

  /** everything due by now has happened */
  private checkRest(): void {
    const { closing, config, idle, queue, suspended } = this.engine
    this.callers.rest()
    if (!closing && !suspended && queue.size === 0 && idle.size > config.maxIdle) {
      this.blame(1, `${idle.size} are kept, and ${config.maxIdle} may be`)
    }
  }

  /** Nobody borrows, and the network is fine: whether all is in order again. `late`: by now it has to be. */
  calm(late: boolean): boolean {
    const { admission, config, ledger, queue } = this.engine
    const missing = config.minConnections - ledger.open
    // when `connectRetry` has ended, only a caller is a reason to connect
    if (queue.size === 0 && ledger.busy === 0 && (missing <= 0 || !admission.refills)) return true
    if (!late) return false
    if (queue.size > 0) this.blame(3, "somebody waits in a calm world")
    else if (ledger.busy > 0) this.blame(7, `${ledger.busy} connections are busy and nobody has them`)
    else this.blame(3, `${ledger.open} connections, and the minimum is ${config.minConnections}`)
    return true
  }

  /** building the pool has taken so long, and is over, whatever came of it */
  initialized(took: number): void {
    const { initialize, initializeTimeout } = this.engine.config
    this.callers.strangers = false
    const bound = initialize === "lazy" ? 0 : initializeTimeout + this.closingBound
    if (took > bound + slack) this.blame(5, `building the pool took ${took} ms`)
  }

  private get closingBound(): number {
    const { closeTimeout, resetTimeout, shutdownTimeout, validateTimeout } = this.engine.config
    return shutdownTimeout + 2 * closeTimeout + 2 * resetTimeout + validateTimeout
  }

  /** the pool's scope has closed, or it could not be made */
  closed(): void {
    this.closedAt = this.world.now
    this.world.record("closed")
    const took = this.world.now - this.closingAt
    if (took > this.closingBound + slack) this.blame(10, `closing took ${took} ms`)
    if (this.engine.ledger.open > 0) this.blame(9, `${this.engine.ledger.open} connections are left`)
    if (this.engine.tasks.size > 0) this.blame(9, `${this.engine.tasks.size} fibers are left`)
  }

  /** one of the pool's timers rings */
  rings(): void {
    // one that was cleared a moment ago may still ring, and nobody hears it
    if (this.world.now > this.closedAt + slack) this.blame(9, "a timer rings, and the pool has closed")
  }

  /** nothing can happen any more */
  over(): void {
    this.callers.end()
    this.books.balance()
    for (const { closed, destroyed, id, known, stuck } of this.network.sockets) {
      if (closed !== 1) this.blame(9, `socket ${id} was closed ${closed} times`)
      if (destroyed > 1 || (stuck && known && destroyed === 0)) {
        this.blame(10, `socket ${id} was destroyed ${destroyed} times`)
      }
    }
    if (this.found !== undefined) throw this.found
  }
}
