/**
 * Which leases a fiber holds, and which its ancestors held when they forked it.
 *
 * Each fiber that has ever borrowed has a record, in a `FiberRef`: borrowing adds to it, giving back takes away, and a
 * fork copies what is in it then. The record itself is never replaced, because setting the reference costs more than
 * borrowing; what is in it is looked at only before a caller waits, and while a pool has sessions.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Tracer from "effect/Tracer"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"
import type { Level } from "./level.js"

/** The leases of one fiber; only that fiber and the ends of those leases may touch it. */
class Record {
  /**
   * The fiber it belongs to. Layers copy references from the fiber that built them to others: one that finds another
   * fiber's record must not mistake it for its own. A fork doesn't know its fiber yet; that claims it when it comes.
   */
  owner: FiberId.Runtime | undefined = undefined

  /** outermost first; of those that came by a fork or a join some may have ended */
  constructor(readonly holds: Array<Hold<any>>) {}
}

/**
 * One lease that is going on, or a turn within a session. Whoever ends it, it is gone at once from the record it was
 * entered in, and means nothing in any other.
 *
 * @internal
 */
export class Hold<C> {
  ended = false
  /** the leak report has been made */
  reported = false

  /**
   * `lasting`: it ends with a scope, not with the effect that took it, so it may outlive its fiber.
   * `level`: where calls inside take their turns, if it is a session, or a turn in one.
   * `shared`: others hold the connection, too.
   */
  constructor(
    readonly engine: Engine<C>,
    readonly entry: Entry<C>,
    readonly fiberId: FiberId.Runtime,
    readonly span: Tracer.AnySpan | undefined,
    readonly lasting: boolean,
    readonly level: Level<C> | undefined,
    readonly shared: boolean,
    readonly since: number,
    public record: Record
  ) {}

  /** `well`: with a connection that others share, nobody can tell by its condition whether this one found it working */
  end(well = false): void {
    if (this.ended) return
    this.ended = true
    const { holds } = this.record
    if (holds[holds.length - 1] === this) holds.pop()
    else {
      const index = holds.indexOf(this)
      if (index >= 0) holds.splice(index, 1)
    }
    if (this.level !== undefined) this.level.end()
    else if (this.shared) this.engine.sharing!.leave(this, well)
    else {
      this.entry.hold = undefined
      this.engine.release(this.entry, this.since)
    }
  }
}

const lineage: FiberRef.FiberRef<Record | undefined> = FiberRef.unsafeMake<Record | undefined>(undefined, {
  fork: (record) => {
    if (record === undefined || record.holds.length === 0 || isBorrowed(record)) return undefined
    const holds = record.holds.filter((hold) => !hold.ended)
    return holds.length === 0 ? undefined : new Record(holds)
  },
  // a lease that ends with a scope goes to the fiber that waited for its taker, as in `Effect.timeout(pool.acquire)`
  join: (mine, other) => {
    if (other === undefined || mine === other) return mine
    let record = mine
    for (const hold of other.holds) {
      if (!hold.lasting || hold.ended || hold.record !== other) continue
      record ??= new Record([])
      record.holds.push(hold)
      hold.record = record
    }
    return record
  }
})

/** whether the fiber that is forking has this record from another fiber */
const isBorrowed = (record: Record): boolean => {
  const fiber = running()
  return fiber !== undefined && record.owner !== undefined && record.owner !== fiber.id() &&
    fiber.getFiberRef(lineage) === record
}

/** what a fiber can do to its own references; the types know only the reading half @internal */
export interface Self extends Fiber.RuntimeFiber<unknown, unknown> {
  setFiberRef<A>(ref: FiberRef.FiberRef<A>, value: A): void
}

/** @internal */
export const running = (): Self | undefined => Option.getOrUndefined(Fiber.getCurrentFiber()) as Self | undefined

const recordOf = (fiber: Self): Record | undefined => {
  const record = fiber.getFiberRef(lineage)
  if (record === undefined) return undefined
  record.owner ??= fiber.id()
  return record.owner === fiber.id() ? record : undefined
}

/**
 * The running fiber begins to hold. Must be called by the fiber itself, in the step in which it becomes the holder.
 *
 * @internal
 */
export const begin = <C>(
  engine: Engine<C>,
  entry: Entry<C>,
  lasting: boolean,
  level?: Level<C>,
  shared = false,
  since = entry.lentAt
): Hold<C> => {
  const fiber = running()!
  let record = recordOf(fiber)
  if (record === undefined) {
    record = new Record([])
    record.owner = fiber.id()
    fiber.setFiberRef(lineage, record)
  }
  const hold = new Hold(engine, entry, fiber.id(), fiber.currentSpan, lasting, level, shared, since, record)
  record.holds.push(hold)
  return hold
}

/** of those in which nothing runs that could borrow */
const nobody = new Record([])

/**
 * A fiber begins to hold for a call: it does nothing else meanwhile, so nobody will look for what it holds.
 *
 * @internal
 */
export const beginCall = <C>(engine: Engine<C>, entry: Entry<C>, fiber: Self, shared: boolean): Hold<C> => {
  const since = shared ? engine.now() : entry.lentAt
  return new Hold(engine, entry, fiber.id(), fiber.currentSpan, false, undefined, shared, since, nobody)
}

/**
 * The innermost lease of this pool that the running fiber is inside of, its own or an ancestor's.
 *
 * @internal
 */
export const innermost = <C>(
  engine: Engine<C>,
  which: (hold: Hold<C>) => boolean
): Hold<C> | undefined => {
  const fiber = running()
  const record = fiber === undefined ? undefined : recordOf(fiber)
  if (record === undefined) return undefined
  for (let i = record.holds.length - 1; i >= 0; i--) {
    const hold = record.holds[i]!
    if (hold.engine === engine && !hold.ended && which(hold)) return hold
  }
  return undefined
}

/**
 * What a pool runs its own fibers with: they are nobody's descendants, whoever made the pool.
 *
 * @internal
 */
export const orphan = <R>(runtime: Runtime.Runtime<R>): Runtime.Runtime<R> => Runtime.deleteFiberRef(runtime, lineage)

/**
 * Leaves no record in a fiber that had none. What builds a layer has its references copied to all who use the layer.
 *
 * @internal
 */
export const traceless = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) =>
    fiber.getFiberRef(lineage) === undefined
      ? Effect.ensuring(self, FiberRef.delete(lineage))
      : self
  )
