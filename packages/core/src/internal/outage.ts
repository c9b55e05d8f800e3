/**
 * What the pool does when it cannot connect: it takes note, asks the schedule when to try again, and tells those who
 * wait. `admission.ts` decides; this carries it out.
 */
import * as PoolError from "../PoolError.js"
import type { Fault } from "./admission.js"
import { snapshot } from "./counters.js"
import type { Engine } from "./engine.js"
import type { Entry } from "./entry.js"
import { State } from "./entry.js"
import * as Refusal from "./refusal.js"
import * as Tasks from "./tasks.js"
import type { Waiter } from "./waiterQueue.js"

/**
 * A connect failed, or its connection died too soon; `since` is when that trouble began, as far as anybody knows.
 *
 * @internal
 */
export const record = <C>(engine: Engine<C>, entry: Entry<C>, since: number, fault: Fault, cause: unknown): void => {
  const { admission, ledger } = engine
  if (engine.closing) return
  const now = engine.now()
  if (watched(engine, now, () => admission.failed(entry.id, since, now, fault, cause, ledger.live))) {
    engine.spawn(Tasks.askRetry(engine, cause))
  }
  if (admission.lost(now, ledger.live)) tellAll(engine)
}

/**
 * A connect worked, which may be the end of the trouble.
 *
 * @internal
 */
export const recover = <C>(engine: Engine<C>, entry: Entry<C>, now: number): void =>
  watched(engine, now, () => engine.admission.connected(now, entry.id))

/** takes a step, and tells those who listen if it has changed how bad things are */
const watched = <C, A>({ admission, hub }: Engine<C>, now: number, step: () => A): A => {
  const { trouble: before, troubled: was } = admission
  const result = step()
  const { trouble: after, troubled: is } = admission
  if (hub.heard && was !== is) {
    if (was !== undefined) hub.tell({ _tag: "TroubleEnded", trouble: was, lastedMillis: now - before!.since })
    if (is !== undefined) hub.tell({ _tag: "TroubleBegan", trouble: is, cause: after!.cause })
  }
  return result
}

/**
 * The schedule has answered; `undefined` is that it could not.
 *
 * @internal
 */
export const retryIn = <C>(engine: Engine<C>, delay: number | undefined): void => {
  const now = engine.now()
  engine.admission.retryIn(now, delay)
  engine.pump(now)
}

/**
 * The schedule has ended.
 *
 * @internal
 */
export const retryEnded = <C>(engine: Engine<C>): void => {
  const now = engine.now()
  engine.admission.retryEnded(now)
  if (engine.admission.down) tellAll(engine)
  engine.pump(now)
}

/**
 * Tells those who have waited for long enough. Not while a connection is being validated, which may yet be good.
 *
 * @internal
 */
export const tellDue = <C>(engine: Engine<C>, now: number): void => {
  const { queue } = engine
  for (let waiter = queue.head; waiter !== undefined && now >= tellsAt(engine); waiter = queue.head) {
    tell(engine, waiter)
  }
}

/**
 * When the head of the queue is to be told.
 *
 * @internal
 */
export const tellsAt = <C>({ admission, ledger, queue }: Engine<C>): number =>
  queue.head === undefined || ledger.count(State.reserved) > 0 ? Infinity : admission.failsAt(queue.head.since)

/** tells all but those at the head who may yet get what is being validated */
const tellAll = <C>(engine: Engine<C>): void => {
  const { ledger, queue } = engine
  while (queue.tail !== undefined && queue.size > ledger.count(State.reserved)) tell(engine, queue.tail)
}

const tell = <C>(engine: Engine<C>, waiter: Waiter<C>): void => {
  engine.queue.remove(waiter)
  Refusal.turnAway(engine, waiter, error(engine))
}

/**
 * The error of those who get no connection because none can be opened.
 *
 * @internal
 */
export const error = <C>(engine: Engine<C>): PoolError.ConnectFailed | PoolError.TooManyConnections => {
  const now = engine.now()
  const { at, attempts, cause, fault } = engine.admission.trouble!
  const pool = engine.config.name
  return fault === "refused"
    ? new PoolError.TooManyConnections({ pool, reason: "ServerRefused", stats: snapshot(engine), cause })
    : new PoolError.ConnectFailed({
      pool,
      cause,
      attempts,
      fatal: fault === "fatal",
      ageMillis: now - at,
      retryInMillis: retryInMillis(engine, now)
    })
}

/**
 * When the next attempt may begin; `undefined` when one is under way, or the schedule has ended or is being asked.
 *
 * @internal
 */
export const retryInMillis = <C>({ admission: { next } }: Engine<C>, now: number): number | undefined =>
  next > now && next < Infinity ? next - now : undefined
