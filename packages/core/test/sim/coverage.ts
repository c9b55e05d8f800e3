/**
 * What happened in a campaign, and how often: transitions of the states, and other turns of events that the rules would
 * prove nothing about if they never came.
 */
import { Entry, Ledger, State } from "../../src/internal/entry.js"

/** `from -> to`, or the name of an event, by number of times */
export type Coverage = Map<string, number>

export const stateNames = Object.keys(State)

export const transition = (from: State, to: State): string => `${stateNames[from]} -> ${stateNames[to]}`

export const count = (coverage: Coverage, what: string, times = 1): void => {
  coverage.set(what, (coverage.get(what) ?? 0) + times)
}

const isLegal = (from: State, to: State): boolean => {
  const entry = new Entry<unknown>(0, 0)
  entry.state = from
  try {
    new Ledger().move(entry, to)
    return true
  } catch {
    return false
  }
}

/** every transition that the engine allows, whether or not it ever happens */
export const transitions = (): ReadonlyArray<string> => {
  const states = Object.values(State)
  return states.flatMap((from) => states.filter((to) => isLegal(from, to)).map((to) => transition(from, to)))
}
