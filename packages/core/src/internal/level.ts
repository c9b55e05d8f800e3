/**
 * Whose turn it is on the connection of a session: one at a time, first come, first served.
 *
 * A session is a level, and so is each turn in it: calls made inside a turn, by the same fiber or its children, take
 * their turns within that one, so that they can never wait for themselves. A turn is over only when everything inside
 * it is; a connection that somebody still uses can thus never go back to the pool.
 */
import * as Effect from "effect/Effect"
import type { AcquireError } from "../PoolError.js"
import { AcquireTimeout, PoolClosed, SessionLost } from "../PoolError.js"
import { Alarm } from "./alarm.js"
import { snapshot } from "./counters.js"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"
import { State } from "./entry.js"
import { holders } from "./holders.js"
import type { Hold } from "./lineage.js"
import { refused } from "./refusal.js"

/**
 * A caller that waits for its turn. Like a `Waiter`, it owns the turn from the moment it is granted, and gives it back
 * by `Level.withdraw` if its fiber has gone.
 *
 * @internal
 */
export class Turn {
  granted = false

  /** `resume` gets `false` when the level is over: the caller has to look for another way to its connection */
  constructor(
    readonly since: number,
    readonly deadline: number,
    readonly resume: (answer: Effect.Effect<boolean, AcquireError>) => void
  ) {}
}

/** @internal */
export class Level<C> {
  private occupied = false
  over = false
  /** in order of arrival */
  private readonly waiting = new Set<Turn>()
  private alarm: Alarm | undefined = undefined
  /** the turn that is going on here */
  inside: Level<C> | undefined = undefined
  /** the level of the whole session */
  readonly session: Level<C>
  /**
   * Turns that end with a scope, so that they may outlive the session; only the session's own level has them. One that
   * was given back stays here until nobody is inside it any more.
   */
  readonly leases = new Set<Hold<C>>()

  /** `vacated`: what to do, once, when the level is over and nobody is inside any more */
  constructor(
    readonly engine: Engine<C>,
    readonly entry: Entry<C>,
    session: Level<C> | undefined,
    private readonly vacated: () => void
  ) {
    this.session = session ?? this
  }

  tryEnter(): boolean {
    if (this.occupied || this.over) return false
    this.occupied = true
    return true
  }

  wait(turn: Turn): void {
    // it may have become free, or ended, since the caller looked
    if (this.over) turn.resume(Effect.succeed(false))
    // nobody waits for his turn on a connection that is gone
    else if (this.isLost) this.refuse(turn, this.whyLost, this.engine.now())
    else if (this.occupied) {
      this.waiting.add(turn)
      this.watch()
    } else this.grant(turn)
  }

  withdraw(turn: Turn): void {
    if (turn.granted) this.leave()
    else if (this.waiting.delete(turn)) this.watch()
  }

  leave(): void {
    this.occupied = false
    if (this.over) this.vacated()
    else {
      for (const turn of this.waiting) {
        this.waiting.delete(turn)
        this.grant(turn)
        this.watch()
        return
      }
    }
  }

  /** those who wait here look again; whoever is inside goes on */
  end(): void {
    if (this.over) return
    this.over = true
    for (const turn of this.waiting) turn.resume(Effect.succeed(false))
    this.waiting.clear()
    this.watch()
    const open = [...this.leases].filter(({ ended }) => !ended)
    if (!this.occupied) this.vacated()
    else if (open.length > 0) {
      // those who hold them may go on using the connection without asking: nobody else must ever get it
      this.engine.invalidate(this.entry)
      for (const lease of open) lease.end()
    }
  }

  /** The connection is taken away from everybody inside: nobody has to wait for it any more. */
  lose(): void {
    const now = this.engine.now()
    for (const turn of this.waiting) this.refuse(turn, this.whyLost, now)
    this.waiting.clear()
    this.watch()
    this.inside?.lose()
  }

  get isLost(): boolean {
    return this.entry.state !== State.leased
  }

  get whyLost(): AcquireError {
    const pool = this.engine.config.name
    return this.engine.closing ? new PoolClosed({ pool }) : new SessionLost({ pool })
  }

  private refuse(turn: Turn, error: AcquireError, now: number): void {
    turn.resume(Effect.fail(refused(this.engine, error, now - turn.since)))
  }

  private grant(turn: Turn): void {
    this.occupied = true
    turn.granted = true
    turn.resume(Effect.succeed(true))
  }

  private watch(): void {
    if (this.waiting.size === 0) return this.alarm?.clear()
    const { clock, runtime } = this.engine
    this.alarm ??= new Alarm(runtime, clock, () => this.engine.now(), () => this.ring())
    let next = Infinity
    for (const { deadline } of this.waiting) next = Math.min(next, deadline)
    this.alarm.set(next, this.engine.now())
  }

  private timeoutError(turn: Turn, now: number): AcquireTimeout {
    return new AcquireTimeout({
      pool: this.engine.config.name,
      phase: "queueing",
      waitedMillis: now - turn.since,
      stats: snapshot(this.engine),
      holders: holders(this.engine, now)
    })
  }

  private ring(): void {
    const now = this.engine.now()
    for (const turn of this.waiting) {
      if (turn.deadline > now) continue
      this.waiting.delete(turn)
      this.refuse(turn, this.timeoutError(turn, now), now)
    }
    this.watch()
  }
}
