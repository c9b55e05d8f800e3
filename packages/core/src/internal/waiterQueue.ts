/**
 * Callers that wait for a connection, in order of arrival, and those of them that have a deadline in order of deadline,
 * so that one timer serves them all. Most have as much patience as the one before them: they stand in a line, which is
 * left at any place at no cost. Whoever has less goes to a heap. A waiter leaves everything at once, whichever way it
 * leaves.
 */
import * as Effect from "effect/Effect"
import type * as PoolError from "../PoolError.js"
import type { Entry } from "./entry.js"

/** @internal */
export class Waiter<C> {
  /**
   * The connection handed over. From then on the waiter owns the lease: its fiber takes it, or, when it has been
   * interrupted meanwhile, gives it back by `Engine.withdraw`.
   */
  entry: Entry<C> | undefined = undefined
  since = 0
  deadline = Infinity
  /** places in the queue, in the line and in the heap, which alone may touch them; `-1` is nowhere */
  ahead: Waiter<C> | undefined = undefined
  behind: Waiter<C> | undefined = undefined
  sooner: Waiter<C> | undefined = undefined
  later: Waiter<C> | undefined = undefined
  heapIndex = -1
  queued = false

  /** `resume`: for its fiber; `shared`: a connection that others use at the same time would do */
  constructor(readonly resume: (effect: Effect.Effect<any, any>) => void, readonly shared: boolean) {}

  accept(entry: Entry<C>): void {
    this.entry = entry
    this.resume(Effect.succeed(entry))
  }

  fail(error: PoolError.AcquireError): void {
    this.resume(Effect.fail(error))
  }
}

/** @internal */
export class WaiterQueue<C> {
  private first: Waiter<C> | undefined = undefined
  private last: Waiter<C> | undefined = undefined
  private soonest: Waiter<C> | undefined = undefined
  private latest: Waiter<C> | undefined = undefined
  private readonly impatient: Array<Waiter<C>> = []
  /** those that would share, in order of arrival */
  readonly sharers = new Set<Waiter<C>>()
  size = 0
  /** called whenever one more waits, or one fewer, if somebody keeps count */
  onChange: ((change: 1 | -1) => void) | undefined = undefined

  get head(): Waiter<C> | undefined {
    return this.first
  }

  get tail(): Waiter<C> | undefined {
    return this.last
  }

  /** the earliest deadline of all, whoever's it is */
  get nextDeadline(): number {
    return this.earliest?.deadline ?? Infinity
  }

  add(waiter: Waiter<C>): void {
    waiter.ahead = this.last
    if (this.last === undefined) this.first = waiter
    else this.last.behind = waiter
    this.last = waiter
    waiter.queued = true
    if (waiter.shared) this.sharers.add(waiter)
    this.size++
    this.onChange?.(1)
    if (waiter.deadline === Infinity) return
    if (this.latest !== undefined && waiter.deadline < this.latest.deadline) this.rise(waiter, this.impatient.length)
    else this.lineUp(waiter)
  }

  remove(waiter: Waiter<C>): void {
    const { ahead, behind } = waiter
    if (ahead === undefined) this.first = behind
    else ahead.behind = behind
    if (behind === undefined) this.last = ahead
    else behind.ahead = ahead
    waiter.ahead = undefined
    waiter.behind = undefined
    waiter.queued = false
    if (waiter.shared) this.sharers.delete(waiter)
    this.size--
    this.onChange?.(-1)
    if (waiter.heapIndex >= 0) this.leaveHeap(waiter)
    else if (waiter.deadline !== Infinity) this.leaveLine(waiter)
  }

  /** one waiter whose deadline has passed, taken out */
  takeExpired(now: number): Waiter<C> | undefined {
    const { earliest } = this
    if (earliest === undefined || earliest.deadline > now) return undefined
    this.remove(earliest)
    return earliest
  }

  private get earliest(): Waiter<C> | undefined {
    const hasty = this.impatient[0]
    return hasty === undefined || (this.soonest !== undefined && this.soonest.deadline < hasty.deadline)
      ? this.soonest
      : hasty
  }

  private lineUp(waiter: Waiter<C>): void {
    waiter.sooner = this.latest
    if (this.latest === undefined) this.soonest = waiter
    else this.latest.later = waiter
    this.latest = waiter
  }

  private leaveLine(waiter: Waiter<C>): void {
    const { later, sooner } = waiter
    if (sooner === undefined) this.soonest = later
    else sooner.later = later
    if (later === undefined) this.latest = sooner
    else later.sooner = sooner
    waiter.sooner = undefined
    waiter.later = undefined
  }

  private leaveHeap(waiter: Waiter<C>): void {
    const hole = waiter.heapIndex
    waiter.heapIndex = -1
    const filler = this.impatient.pop()!
    if (filler === waiter) return
    if (hole > 0 && this.impatient[(hole - 1) >> 1]!.deadline > filler.deadline) this.rise(filler, hole)
    else this.sink(filler, hole)
  }

  private rise(waiter: Waiter<C>, index: number): void {
    const heap = this.impatient
    while (index > 0) {
      const parent = heap[(index - 1) >> 1]!
      if (parent.deadline <= waiter.deadline) break
      heap[index] = parent
      parent.heapIndex = index
      index = (index - 1) >> 1
    }
    heap[index] = waiter
    waiter.heapIndex = index
  }

  private sink(waiter: Waiter<C>, index: number): void {
    const heap = this.impatient
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.deadline < heap[child]!.deadline) child++
      if (heap[child]!.deadline >= waiter.deadline) break
      heap[index] = heap[child]!
      heap[index]!.heapIndex = index
      index = child
    }
    heap[index] = waiter
    waiter.heapIndex = index
  }
}
