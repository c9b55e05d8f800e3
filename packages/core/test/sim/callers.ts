/**
 * The rules that can be seen from outside, by those who use a pool: who has a socket and who waits, until when, and what
 * they are told. The engine's own data is only read to explain what was seen.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Engine } from "../../src/internal/engine.js"
import { State } from "../../src/internal/entry.js"
import type { Level } from "../../src/internal/level.js"
import type { AcquireError } from "../../src/PoolError.js"
import type { Blame } from "./broken.js"
import type { Coverage } from "./coverage.js"
import { count } from "./coverage.js"
import type { Socket } from "./network.js"
import type { Kind, Place } from "./stay.js"
import { isForeign, isLost, leaseOf, sessionOf, Stay } from "./stay.js"
import type { World } from "./world.js"

/** a busy event loop delays what is due; the world does so by less than that */
export const slack = 500

/** what users die of on purpose */
export const fate = "user died"

/** one call for a connection */
export class Call {
  /** it was seen waiting when everything else was at rest */
  waited = false
  /** it got a connection */
  got = false
  /** the session it was made in, if that was going on, and whether that had lost its connection already */
  readonly session: Stay | undefined
  readonly doomed: boolean

  constructor(readonly user: string, readonly place: Place, readonly deadline: number) {
    this.session = sessionOf(place)
    this.doomed = this.session?.socket.gone ?? false
  }
}

export class Callers {
  private readonly calls = new Set<Call>()
  private readonly byFiber = new WeakMap<object, Call>()
  /** those that are going on, and those in which a turn is */
  private readonly sessions = new Set<Stay>()
  private readonly levels = new WeakMap<Level<Socket>, Stay>()
  /** connections are borrowed by something that is no user: the pool is being made */
  strangers = true

  constructor(
    private readonly world: World,
    private readonly engine: Engine<Socket>,
    private readonly coverage: Coverage,
    private readonly blame: Blame
  ) {
    this.watchWaiting()
    this.watchInvalidating()
  }

  private count(what: string): void {
    count(this.coverage, what)
  }

  /**
   * Whoever begins to wait may do so until his deadline and no longer; and one that holds a connection already, with all
   * taken, has to be told instead when the pool says so.
   */
  private watchWaiting(): void {
    const { engine } = this
    const request = engine.request.bind(engine)
    engine.request = (waiter, timeout, whenExhausted) => {
      const full = engine.ledger.busy + engine.queue.size >= engine.config.maxConnections
      request(waiter, timeout, whenExhausted)
      const fiber = Option.getOrUndefined(Fiber.getCurrentFiber())
      const call = fiber === undefined ? undefined : this.byFiber.get(fiber)
      if (call === undefined || !waiter.queued || engine.closing) return
      const until = this.world.now + waiter.deadline - engine.now()
      if (until > call.deadline + slack) {
        this.blame(5, `user ${call.user} may wait ${until - call.deadline} ms too long`)
      }
      if (!full || leaseOf(call.place) === undefined) return
      if (engine.config.nestedAcquire === "fail") {
        this.blame("nested", `user ${call.user} waits for a second connection`)
      }
      this.count("a holder waits for a second connection")
    }
  }

  /** by a holder, or at the end of a session because of a lease that is still open: nobody else may close it for others */
  private watchInvalidating(): void {
    const { engine } = this
    const invalidate = engine.invalidate.bind(engine)
    engine.invalidate = (entry) => {
      if (entry.state === State.leased) {
        const { connection, hold } = entry
        const holds = hold?.level === undefined ? [hold] : [...hold.level.leases]
        if (holds.every((lease) => lease?.ended !== false)) {
          this.blame("session", `socket ${connection.id} is closed, and nobody has a lease of it`)
        }
        connection.gone = true
      }
      invalidate(entry)
    }
  }

  // ---- what users do

  /** must be called by the fiber that asks */
  asks(user: string, place: Place, timeout: number): Call {
    const call = new Call(user, place, this.world.now + timeout)
    this.calls.add(call)
    const fiber = Option.getOrUndefined(Fiber.getCurrentFiber())
    if (fiber !== undefined) this.byFiber.set(fiber, call)
    return call
  }

  begins(call: Call, kind: Kind, socket: Socket): Stay {
    const { place, user } = call
    this.answered(call)
    this.world.record(`user ${user} got socket ${socket.id} (${kind})`)
    if (isForeign(socket, place, kind === "share")) {
      const others = [...socket.stays].map((stay) => `user ${stay.user}`).join(", ")
      this.blame(
        sessionOf(place) === undefined ? 2 : "session",
        `socket ${socket.id} is with ${others} and user ${user}`
      )
    }
    const stay = new Stay(user, kind, socket, place)
    const session = sessionOf(place)
    if (session !== undefined && session === call.session) {
      if (session.socket !== socket) this.blame("session", `user ${user} got another connection than his session's`)
      if (call.doomed) this.blame("session", `user ${user} goes on, and the session has lost its connection`)
      this.count(call.waited ? "turn after waiting" : "turn at once")
      if (stay.within !== session) this.count("turn within a turn")
    } else {
      if (call.session !== undefined) this.count("session ended before a turn")
      this.count(call.waited ? "lease after waiting" : "lease at once")
      if (leaseOf(place) !== undefined) this.count("second lease of a holder")
    }
    socket.stays.add(stay)
    if (kind === "share") {
      const sharers = [...socket.stays].filter((other) => other.kind === "share").length
      if (sharers > socket.mostSharers) this.blame(2, `${sharers} share socket ${socket.id}`)
      if (sharers > 1) this.count("shared with others")
    }
    return stay
  }

  /** a session has begun, or its effect runs in the session it is in already: then there is no new stay */
  beginsSession(call: Call, level: Level<Socket> | undefined): Stay | undefined {
    this.answered(call)
    const known = level === undefined || this.levels.has(level.session)
    if (known) {
      this.count("session within a session")
      return undefined
    }
    const stay = this.begins(call, "session", level.entry.connection)
    this.count("session opened")
    this.levels.set(level.session, stay)
    this.sessions.add(stay)
    return stay
  }

  ends(stay: Stay): void {
    const { kind, session, socket, user } = stay
    this.world.record(`user ${user} is done with socket ${socket.id}`)
    stay.going = false
    socket.stays.delete(stay)
    if (socket.stays.size === 0) socket.obstructed = false
    if (kind === "session") {
      this.count(socket.gone ? "session ended, its connection lost" : "session ended")
      for (const inner of socket.stays) this.count(`${inner.kind} going on at the end of its session`)
    } else if (kind === "lease" && session?.going === false) this.count("lease ended after its session")
  }

  private answered(call: Call): void {
    call.got = true
    this.calls.delete(call)
  }

  /** the whole call is over, with whatever was done with the connection */
  over(call: Call | undefined, exit: Exit.Exit<unknown, unknown>): void {
    if (call !== undefined) this.calls.delete(call)
    if (Exit.isFailure(exit)) {
      for (const defect of Cause.defects(exit.cause)) {
        if (defect !== fate) this.blame(9, `a caller died: ${defect}`)
      }
    }
    if (call === undefined || call.got) return
    const what = call.session === undefined ? "lease" : "turn"
    const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined
    if (error === undefined) this.count(`wait for a ${what} interrupted`)
    else this.told(call, what, error as AcquireError)
  }

  private told(call: Call, what: string, error: AcquireError): void {
    const { engine, world: { now } } = this
    const { deadline, place, user } = call
    this.world.record(`user ${user} is told ${error._tag}`)
    this.count(`${what}: ${error._tag}`)
    switch (error._tag) {
      case "AcquireTimeout":
        if (now < deadline - 1) this.blame(5, `user ${user} is told ${deadline - now} ms before his deadline`)
        break
      case "NestedAcquire":
        if (place === undefined) this.blame("nested", `user ${user} holds nothing, and is told that he does`)
        break
      case "SessionLost":
        if (!isLost(place)) this.blame("session", `user ${user} is told of a loss that was none`)
        break
      case "PoolClosed":
        if (!engine.closing) this.blame(5, `user ${user} is told that the pool has closed`)
    }
  }

  // ---- when everything due by now has happened

  rest(): void {
    const { engine, world: { now } } = this
    for (const call of this.calls) {
      call.waited = true
      if (now > call.deadline + slack) {
        return this.blame(5, `user ${call.user} still waits ${now - call.deadline} ms after the deadline`)
      }
      const session = call.session
      if (session?.going !== true) continue
      if (session.socket.gone) return this.blame("session", `user ${call.user} waits for a connection that is gone`)
      if (engine.closing) continue
      if (!isForeign(session.socket, call.place)) {
        return this.blame("session", `user ${call.user} waits for his turn, and nobody else is there`)
      }
    }
    if (engine.closing) return
    let going = 0
    for (const session of this.sessions) {
      if (session.going) going++
      else if (![...session.socket.stays].some((stay) => stay.session === session)) this.sessions.delete(session)
    }
    if (engine.sessions < going || engine.sessions > this.sessions.size) {
      return this.blame("session", `${this.sessions.size} are going on, and the pool counts ${engine.sessions}`)
    }
    if (this.strangers) return
    for (const { connection, state } of engine.entries) {
      if (state === State.leased && connection.stays.size === 0) {
        return this.blame(7, `socket ${connection.id} is leased, and nobody has it`)
      }
    }
  }

  /** nothing can happen any more */
  end(): void {
    for (const { user } of this.calls) this.blame(5, `user ${user} never got an answer`)
    if (this.engine.sessions !== 0) this.blame("session", `${this.engine.sessions} are counted, and none is left`)
  }
}
