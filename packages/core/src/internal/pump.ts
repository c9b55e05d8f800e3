/**
 * What the pool does of its own accord once the state allows it: lend to those who wait, tell them of an outage, open
 * connections, and set the alarm for what time alone will change. `Engine.pump` runs it after every event.
 */
import * as PoolError from "../PoolError.js"
import type { Engine } from "./engine.js"
import { State } from "./entry.js"
import * as Outage from "./outage.js"
import * as Refusal from "./refusal.js"

/** @internal */
export const turn = <C>(engine: Engine<C>, now: number): void => {
  if (engine.suspended) {
    engine.budget?.satisfied(engine)
    engine.alarm.set(engine.queue.nextDeadline, now)
    return
  }
  serve(engine, now)
  engine.sharing?.serve(now)
  trim(engine)
  engine.admission.observeQueue(now, engine.queue.head?.since)
  renew(engine, now)
  connect(engine, now)
  // after the connects: whoever is told of an outage has at least caused another attempt, if one was due
  Outage.tellDue(engine, now)
  // whoever was told may have stood before some who would share, and wanted a connection alone
  engine.sharing?.serve(now)
  setAlarm(engine, now)
}

/**
 * The pool's scope is closing.
 *
 * @internal
 */
export const windDown = <C>(engine: Engine<C>): void => {
  const { queue } = engine
  for (let waiter = queue.head; waiter !== undefined; waiter = queue.head) {
    queue.remove(waiter)
    Refusal.turnAway(engine, waiter, new PoolError.PoolClosed({ pool: engine.config.name }))
  }
  for (const entry of engine.idle) engine.discard(entry, "closing")
  engine.alarm.clear()
}

/** Lends what is idle, first come, first served. What has to be validated first comes back here afterwards. */
const serve = <C>(engine: Engine<C>, now: number): void => {
  const { idle, ledger, queue } = engine
  for (let waiter = queue.head; waiter !== undefined; waiter = queue.head) {
    const entry = idle.peek()
    if (entry === undefined) return
    if (entry.uses > 0 && engine.budget?.claims(engine)) engine.discard(entry, "evicted")
    else if (engine.isFresh(entry, now)) {
      engine.lend(entry, now)
      if (waiter.shared) engine.sharing!.opens(entry)
      queue.remove(waiter)
      waiter.accept(entry)
    } else if (now >= entry.hardAt) engine.discard(entry, entry.expiry)
    else if (ledger.count(State.reserved) < queue.size) engine.probe(entry)
    else return
  }
}

/** closes what is idle beyond `maxIdle`, once everybody is served */
const trim = <C>(engine: Engine<C>): void => {
  while (engine.idle.size > engine.config.maxIdle && engine.queue.size === 0) {
    engine.discard(engine.idle.oldest!, "maxIdle")
  }
}

/** how many connects are wanted and possible, whether or not admission allows them yet */
const wanted = <C>(engine: Engine<C>): number => {
  const { admission, config, ledger, queue, replacement } = engine
  const demand = admission.demand(queue.size) - ledger.count(State.reserved)
  const refill = admission.refills ? Math.max(config.minConnections - ledger.live, replacement.owed) : 0
  return Math.min(Math.max(demand, refill) - ledger.count(State.connecting), config.maxConnections - ledger.open)
}

/** the last of all reasons to connect: waiters, then the minimum, then this */
const renew = <C>(engine: Engine<C>, now: number): void => {
  const { admission, ledger, queue, replacement } = engine
  if (queue.size > 0 || admission.paced || ledger.count(State.connecting) > 0 || wanted(engine) > 0) return
  replacement.consider(engine, now)
}

const connect = <C>(engine: Engine<C>, now: number): void => {
  const { admission, ledger } = engine
  const allowed = admission.allowance(now, ledger.count(State.connecting), ledger.live)
  for (let left = Math.min(wanted(engine), allowed); left > 0; left--) {
    if (engine.budget?.grants(engine, left) === false) return
    engine.open(now)
  }
  engine.budget?.satisfied(engine)
}

const setAlarm = <C>(engine: Engine<C>, now: number): void => {
  const { admission, ledger, queue } = engine
  const head = queue.head
  let at = Math.min(queue.nextDeadline, Outage.tellsAt(engine))
  // for want of room in the budget it is the budget that calls
  if (wanted(engine) > 0 && !engine.budget?.starves(engine)) {
    if (!admission.paced) at = Math.min(at, head === undefined ? Infinity : admission.growsAt(head.since))
    else if (ledger.count(State.connecting) === 0) at = Math.min(at, admission.next)
  }
  engine.alarm.set(at, now)
}
