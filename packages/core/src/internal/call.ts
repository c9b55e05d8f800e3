/**
 * Borrowing for an operation that is a callback: no fiber runs between the hand-off of a connection and the start of the
 * operation, nor between its end and the next hand-off. What else there is to borrowing is as in `lease.ts`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constVoid } from "effect/Function"
import type { AcquireOptions } from "../AcquireOptions.js"
import type { Pool } from "../Pool.js"
import type { AcquireError } from "../PoolError.js"
import type { SharingPool } from "../SharingPool.js"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"
import { held } from "./holders.js"
import * as Lease from "./lease.js"
import type { Hold } from "./lineage.js"
import * as Lineage from "./lineage.js"
import { regionOf } from "./region.js"
import { Waiter } from "./waiterQueue.js"

type Start<C, A, E> = (connection: C, done: (exit: Exit.Exit<A, E>) => void, alone: boolean) => () => void

/** From its coming to its end it is a waiter, then a holder, and then over. */
class Call<C, A, E> extends Waiter<C> {
  private hold: Hold<C> | undefined = undefined
  private abandon: (() => void) | undefined = undefined
  private over = false

  constructor(
    private readonly engine: Engine<C>,
    private readonly fiber: Lineage.Self,
    private readonly start: Start<C, A, E>,
    resume: (effect: Effect.Effect<A, E | AcquireError>) => void,
    shared: boolean
  ) {
    super(resume, shared)
  }

  /** run by its fiber */
  come(options: AcquireOptions): void {
    const { engine, fiber, shared } = this
    const entry = shared ? engine.sharing!.lend() : engine.lendIdle()
    if (entry !== undefined) return this.run(entry)
    const region = regionOf(fiber)
    engine.request(this, options.timeout ?? region.timeout, options.whenExhausted ?? region.whenExhausted)
  }

  /** within a decision of the pool, where it must not start */
  override accept(entry: Entry<C>): void {
    this.entry = entry
    this.engine.starters.add(this)
  }

  /** after that decision, unless what started before it has interrupted its fiber */
  begin(): void {
    const { engine, entry } = this
    if (this.over || entry === undefined) return
    engine.taken(entry, engine.now() - this.since)
    this.run(entry)
  }

  private run(entry: Entry<C>): void {
    const { engine, fiber, shared, start } = this
    this.hold = held(engine, Lineage.beginCall(engine, entry, fiber, shared))
    let abandon: () => void = constVoid
    try {
      abandon = start(entry.connection, (exit) => this.done(exit), !shared)
    } catch (defect) {
      this.done(Exit.die(defect))
    }
    if (!this.over) this.abandon = abandon
    // its fiber was interrupted while it started
    else if (!this.hold.ended) this.drop(abandon)
  }

  private done(exit: Exit.Exit<A, E>): void {
    if (this.over) return
    this.over = true
    // or what the driver made, which V8 may keep until a major collection, would keep all that this call knows
    this.abandon = undefined
    try {
      this.hold!.end(Exit.isSuccess(exit))
    } finally {
      this.resume(exit)
    }
  }

  /** its fiber has been interrupted, or got an error instead of a connection */
  leave(): void {
    if (this.over) return
    this.over = true
    if (this.hold === undefined) this.engine.withdraw(this)
    else if (this.abandon !== undefined) this.drop(this.abandon)
  }

  private drop(abandon: () => void): void {
    try {
      abandon()
    } finally {
      this.hold!.end()
    }
  }
}

/** as an effect, which goes the way of all others */
const roundabout = <A, E>(start: (done: (exit: Exit.Exit<A, E>) => void) => () => void): Effect.Effect<A, E> =>
  Effect.async<A, E>((resume) => {
    let over = false
    const abandon = start((exit) => {
      over = true
      resume(exit)
    })
    return Effect.sync(() => {
      if (!over) abandon()
    })
  })

const make = <C>(engine: Engine<C>, shared: boolean) => {
  const borrow = shared ? Lease.share(engine) : Lease.use(engine)
  return <A, E>(
    start: Start<C, A, E>,
    options: AcquireOptions = {}
  ): Effect.Effect<A, E | AcquireError> =>
    Effect.uninterruptibleMask((restore) => {
      const fiber = Lineage.running()!
      if (Lease.isSpecial(engine, fiber)) {
        return restore(borrow(
          (connection: C, alone = true) => roundabout<A, E>((done) => start(connection, done, alone)),
          options
        ))
      }
      let call: Call<C, A, E> | undefined
      return Effect.catchAllCause(
        restore(Effect.async<A, E | AcquireError>((resume) => {
          call = new Call(engine, fiber, start, resume, shared)
          call.come(options)
        })),
        (cause) => {
          call?.leave()
          return Effect.failCause(cause)
        }
      )
    })
}

/** @internal */
export const call = <C>(engine: Engine<C>): Pool<C>["call"] => make(engine, false)

/** @internal */
export const shareCall = <C>(engine: Engine<C>): SharingPool<C>["shareCall"] => make(engine, true)
