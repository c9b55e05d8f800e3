/**
 * The ten rules of the engine (docs/engine.md), checked after every step. What users, sockets and the clock show comes
 * first; the engine's own data is only believed where it can be compared with them.
 */
import * as Exit from "effect/Exit"
import type { Engine } from "../../src/internal/engine.js"
import type { Entry } from "../../src/internal/entry.js"
import { State } from "../../src/internal/entry.js"
import type { Waiter } from "../../src/internal/waiterQueue.js"
import type { Network, Socket } from "./network.js"
import type { World } from "./world.js"

/** one call for a connection */
export interface Call {
  readonly user: string
  readonly deadline: number
}

/** what one seed did to the states, `from -> to` by number of times */
export type Coverage = Map<string, number>

export const stateNames = Object.keys(State)

export class Broken extends Error {
  constructor(readonly rule: number, what: string) {
    super(`rule ${rule}: ${what}`)
  }
}

/** a busy event loop delays what is due; the world does so by less than that */
const slack = 500

export class Rules {
  readonly coverage: Coverage = new Map()
  private readonly calls = new Set<Call>()
  private readonly openedAt = new Map<Entry<Socket>, number>()
  private readonly watched = new WeakSet<object>()
  /** who waits, and as the how manyth he came */
  private readonly arrivals = new Map<Waiter<Socket>, number>()
  private arrived = 0
  private readonly counts = new Int32Array(stateNames.length)
  private closingAt = Infinity
  private allowed = Infinity
  /** connections that a hard drain forbids to lend again */
  private readonly condemned = new Set<Entry<Socket>>()
  /** found where it cannot be thrown: inside the pool's own fibers */
  private found: Broken | undefined

  constructor(
    private readonly world: World,
    private readonly network: Network,
    private readonly engine: Engine<Socket>
  ) {
    this.watchStates()
    this.watchLending()
    network.onDialInterrupted = (after) => {
      if (!this.closing && after + 150 < engine.config.connectTimeout) {
        this.blame(6, "a connect was cut off before its time")
      }
    }
  }

  private blame(rule: number, what: string): void {
    this.found ??= new Broken(rule, what)
  }

  private get closing(): boolean {
    return this.closingAt !== Infinity
  }

  private watchStates(): void {
    const { engine, world } = this
    const { ledger } = engine
    const move = ledger.move.bind(ledger)
    ledger.move = (entry: Entry<Socket>, to: State) => {
      const from = entry.state
      move(entry, to)
      const key = `${stateNames[from]} -> ${stateNames[to]}`
      this.coverage.set(key, (this.coverage.get(key) ?? 0) + 1)
      world.record(`connection ${entry.id} ${key}`)
      if (from === State.connecting && to === State.idle) this.openedAt.set(entry, engine.now())
      if (from === State.connecting && to === State.closing) this.checkDropped(entry)
      if (from === State.idle && to === State.leased) this.checkLent(entry)
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

  private checkDropped(entry: Entry<Socket>): void {
    const socket = entry.connection as Socket | undefined
    if (socket?.alive === true && !socket.doubted && !this.closing && this.engine.surplus < 0) {
      this.blame(6, "a connection that had just been opened was closed unused")
    }
  }

  private checkLent(entry: Entry<Socket>): void {
    const { condition, id } = entry.connection
    if (condition !== "clean") this.blame(8, `socket ${id} lent while ${condition}`)
    if (this.condemned.has(entry)) this.blame(8, `socket ${id} lent after a hard drain`)
    const age = this.engine.now() - this.openedAt.get(entry)!
    if (age >= this.engine.config.maxLifetime) this.blame(8, `socket ${id} lent ${age} ms old`)
  }

  condemns(): void {
    for (const entry of this.engine.entries) this.condemned.add(entry)
  }

  // ---- what users do

  asks(user: string, timeout: number): Call {
    const call = { user, deadline: this.world.now + timeout }
    this.calls.add(call)
    return call
  }

  answered(call: Call): void {
    this.calls.delete(call)
  }

  lent(socket: Socket, user: string): void {
    this.world.record(`user ${user} got socket ${socket.id}`)
    if (socket.holder !== undefined) throw new Broken(2, `socket ${socket.id} is with ${socket.holder} and ${user}`)
    if (socket.closed > 0) throw new Broken(8, `socket ${socket.id} lent after it was closed`)
    socket.holder = user
  }

  givenBack(socket: Socket, user: string): void {
    this.world.record(`user ${user} is done with socket ${socket.id}`)
    if (socket.holder === user) socket.holder = undefined
  }

  // ---- after every step

  check(): void {
    const { config, entries, ledger, tasks } = this.engine
    if (this.found !== undefined) throw this.found
    let open = 0
    const { counts } = this
    counts.fill(0)
    for (const entry of entries) {
      counts[entry.state]!++
      if (entry.state !== State.detached) open++
    }
    // after a shrink the number only falls
    this.allowed = Math.max(config.maxConnections, Math.min(this.allowed, open))
    if (open > this.allowed) throw new Broken(1, `${open} open of ${this.allowed}`)
    if (this.engine.surplus > 0 && this.engine.idle.size > 0) {
      throw new Broken(1, `${this.engine.idle.size} are kept, with ${open} open of ${config.maxConnections}`)
    }
    for (let state = 0; state < State.gone; state++) {
      const count = counts[state]!
      if (ledger.count(state as State) !== count) {
        throw new Broken(1, `${count} are ${stateNames[state]}, and the ledger says ${ledger.count(state as State)}`)
      }
    }
    for (const fiber of tasks.keys()) this.watchTask(fiber)
    this.checkOrder()
    if (!this.closing) {
      if (this.engine.queue.size > 0) this.checkWaiting()
      if (this.world.idle) this.checkRest()
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
    let longest = Infinity
    for (let waiter = queue.head; waiter !== undefined; waiter = waiter.behind) {
      if (!this.arrivals.has(waiter)) this.arrivals.set(waiter, this.arrived++)
      longest = Math.min(longest, this.arrivals.get(waiter)!)
    }
    for (const [waiter, arrival] of this.arrivals) {
      if (waiter.queued) continue
      if (waiter.entry !== undefined && arrival > longest) throw new Broken(4, "somebody was served before his turn")
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
      admission.allowance(now, connecting, ledger.live) > 0
    ) throw new Broken(3, "somebody waits, and nobody opens the connection that there is room for")
  }

  /** everything due by now has happened */
  private checkRest(): void {
    for (const call of this.calls) {
      if (this.world.now > call.deadline + slack) {
        throw new Broken(5, `user ${call.user} still waits ${this.world.now - call.deadline} ms after the deadline`)
      }
    }
    for (const entry of this.engine.entries) {
      if (entry.state === State.leased && entry.connection.holder === undefined) {
        throw new Broken(7, `socket ${entry.connection.id} is leased, and nobody has it`)
      }
    }
  }

  /** Nobody borrows, and the network is fine: whether all is in order again. `late`: by now it has to be. */
  calm(late: boolean): boolean {
    const { config, ledger, queue } = this.engine
    const missing = config.minConnections - ledger.live
    if (queue.size === 0 && ledger.busy === 0 && missing <= 0) return true
    if (!late) return false
    if (queue.size > 0) throw new Broken(3, "somebody waits in a calm world")
    if (ledger.busy > 0) throw new Broken(7, `${ledger.busy} connections are busy and nobody has them`)
    throw new Broken(3, `${ledger.live} connections, and the minimum is ${config.minConnections}`)
  }

  closes(): void {
    this.closingAt = this.world.now
    this.world.record("closing")
  }

  closed(): void {
    this.world.record("closed")
    const { closeTimeout, resetTimeout, shutdownTimeout, validateTimeout } = this.engine.config
    const bound = shutdownTimeout + 2 * closeTimeout + 2 * resetTimeout + validateTimeout + slack
    if (this.world.now - this.closingAt > bound) {
      throw new Broken(10, `closing took ${this.world.now - this.closingAt} ms`)
    }
    if (this.engine.ledger.open > 0) throw new Broken(9, `${this.engine.ledger.open} connections are left`)
    if (this.engine.tasks.size > 0) throw new Broken(9, `${this.engine.tasks.size} fibers are left`)
  }

  /** nothing can happen any more */
  over(): void {
    if (this.world.timersLeft > 0) throw new Broken(9, "a timer is left")
    for (const socket of this.network.sockets) {
      if (socket.closed !== 1) throw new Broken(9, `socket ${socket.id} was closed ${socket.closed} times`)
    }
  }
}
