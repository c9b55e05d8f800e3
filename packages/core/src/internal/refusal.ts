/**
 * What a caller is told that gets no connection.
 */
import type { AcquireOptions } from "../AcquireOptions.js"
import * as PoolError from "../PoolError.js"
import type { Holder } from "../PoolHolder.js"
import { snapshot } from "./counters.js"
import type { Engine } from "./engine.js"
import { State } from "./entry.js"
import { decodeMillis, show } from "./input.js"
import * as Nested from "./nested.js"
import * as Outage from "./outage.js"
import type { Waiter } from "./waiterQueue.js"

/**
 * A caller gets an error instead of a connection. Whoever does is counted here.
 *
 * @internal
 */
export const refused = <C, E extends PoolError.AcquireError>(engine: Engine<C>, error: E, waitedMillis: number): E => {
  engine.counters.refused[error._tag]++
  engine.counters.waitedMillis += waitedMillis
  if (engine.hub.heard) engine.hub.tell({ _tag: "AcquireRefused", error, waitedMillis })
  return error
}

/** @internal */
export const turnAway = <C>(engine: Engine<C>, waiter: Waiter<C>, error: PoolError.AcquireError): void =>
  waiter.fail(refused(engine, error, engine.now() - waiter.since))

/**
 * How long a caller waits at most, by its own options or else the pool's; or what is wrong with them.
 *
 * @internal
 */
export const patience = <C>(
  { config }: Engine<C>,
  timeout: AcquireOptions["timeout"],
  whenExhausted: AcquireOptions["whenExhausted"]
): number | PoolError.InvalidPoolConfig => {
  const wrong = (option: string, requirement: string, given: unknown) =>
    new PoolError.InvalidPoolConfig({ pool: config.name, option, requirement: `${requirement}, not ${show(given)}` })
  if (whenExhausted !== undefined && whenExhausted !== "wait" && whenExhausted !== "fail") {
    return wrong("whenExhausted", "must be \"wait\" or \"fail\"", whenExhausted)
  }
  if (timeout === undefined) return config.acquireTimeout
  const millis = decodeMillis(timeout)
  return millis >= 0 ? millis : wrong("timeout", "must be a duration of zero or more", timeout)
}

/**
 * Why a caller that comes now may not even wait, if so.
 *
 * @internal
 */
export const refuse = <C>(
  engine: Engine<C>,
  waiter: Waiter<C>,
  whenExhausted: AcquireOptions["whenExhausted"]
): PoolError.AcquireError | undefined => {
  const { admission, config, idle, ledger, queue } = engine
  const now = waiter.since
  if (engine.closing) return new PoolError.PoolClosed({ pool: config.name })
  if (engine.suspended && (whenExhausted ?? config.whenExhausted) === "fail") {
    return new PoolError.PoolSuspended({ pool: config.name })
  }
  // an idle connection may be good, whatever became of the attempts to open others
  const useless = idle.size === 0 && ledger.count(State.reserved) === 0
  const finds = waiter.shared && engine.sharing!.hasRoom(now)
  if (useless && !finds && admission.hopeless(now, ledger.live, ledger.count(State.connecting))) {
    admission.turnAway()
    return Outage.error(engine)
  }
  const maxWaiting = (whenExhausted ?? config.whenExhausted) === "fail" ? 0 : config.maxWaiting
  const free = capacity(engine, now) - ledger.busy - queue.size
  if (free > 0) return undefined
  if (finds || free + maxWaiting > 0) return Nested.check(engine, now)
  return new PoolError.TooManyConnections({
    pool: config.name,
    reason: maxWaiting === 0 ? "Exhausted" : "WaitersFull",
    stats: snapshot(engine)
  })
}

/** while the server takes no more: what it has taken, and the attempt that finds out whether it takes more again */
const capacity = <C>(engine: Engine<C>, now: number): number => {
  const { admission, budget, ledger } = engine
  const connecting = ledger.count(State.connecting)
  const maxConnections = budget === undefined
    ? engine.config.maxConnections
    : Math.min(engine.config.maxConnections, ledger.live + connecting + budget.available(engine))
  if (!admission.serverLimited) return maxConnections
  return Math.min(maxConnections, ledger.live + connecting + admission.allowance(now, connecting, ledger.live))
}

/** @internal */
export const timeoutError = <C>(
  engine: Engine<C>,
  waiter: Waiter<C>,
  now: number,
  holders: ReadonlyArray<Holder>
): PoolError.AcquireTimeout => {
  const { admission, config, ledger } = engine
  const connecting = ledger.count(State.connecting) > 0 || admission.paced
  return new PoolError.AcquireTimeout({
    pool: config.name,
    phase: connecting ? "connecting" : ledger.count(State.reserved) > 0 ? "validating" : "queueing",
    waitedMillis: now - waiter.since,
    stats: snapshot(engine),
    holders,
    lastConnectError: admission.trouble?.cause
  })
}
