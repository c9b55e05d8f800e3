/**
 * What is told about one comparison.
 */
import * as Schema from "effect/Schema"
import type { Results } from "./Heat.js"
import * as Statistics from "./Statistics.js"

const Interval = Schema.Tuple(Schema.Number, Schema.Number)

/**
 * `ratio` is `ours / theirs`, cost against cost: below 1 we are cheaper. It is the median of the rounds' ratios, and
 * `interval` the 95 % interval of that. `target` is what the ratio may be at most; it is missed, and `met` false, only
 * if the whole interval lies above it. Where something has a limit instead of a peer, `theirs` is that limit.
 */
export const Row = Schema.Struct({
  suite: Schema.String,
  name: Schema.String,
  peer: Schema.String,
  ours: Schema.Number,
  theirs: Schema.Number,
  unit: Schema.String,
  ratio: Schema.Number,
  interval: Interval,
  target: Schema.NullOr(Schema.Number),
  met: Schema.NullOr(Schema.Boolean),
  /** CPU time of this process for the same, where the unit is a time */
  cpu: Schema.NullOr(Schema.Struct({
    ours: Schema.Number,
    theirs: Schema.Number,
    ratio: Schema.Number,
    interval: Interval
  })),
  rounds: Schema.Number
})

export type Row = typeof Row.Type

export interface Subject {
  readonly suite: string
  readonly name: string
  readonly peer: string
  readonly unit: string
  readonly target?: number | undefined
}

const ratios = (ours: ReadonlyArray<number>, theirs: ReadonlyArray<number>) => {
  const each = ours.map((value, round) => value / theirs[round]!)
  return {
    ours: Statistics.median(ours),
    theirs: Statistics.median(theirs),
    ratio: Statistics.median(each),
    interval: Statistics.interval(each)
  }
}

/** of measurements that were made side by side, one of each per round */
export const make = (
  { target: bound, ...subject }: Subject,
  ours: ReadonlyArray<number>,
  theirs: ReadonlyArray<number>
): Row => {
  const compared = ratios(ours, theirs)
  const target = bound ?? null
  return {
    ...subject,
    ...compared,
    target,
    met: target === null ? null : compared.interval[0] <= target,
    cpu: null,
    rounds: ours.length
  }
}

/** of measurements against a limit that was set beforehand */
export const limit = (subject: Omit<Subject, "peer" | "target">, ours: ReadonlyArray<number>, most: number): Row =>
  make({ ...subject, peer: "limit", target: 1 }, ours, ours.map(() => most))

const units = { ns: 1, "µs": 1e3, ms: 1e6 }

/** `peers`: with the target of each, where there is one */
export const ofHeat = (
  suite: string,
  name: string,
  unit: keyof typeof units,
  results: Results,
  ours: string,
  peers: Readonly<Record<string, number | undefined>>
): ReadonlyArray<Row> => {
  const scaled = (values: ReadonlyArray<number>) => values.map((nanos) => nanos / units[unit])
  const mine = results.get(ours)!
  return Object.entries(peers).map(([peer, target]) => {
    const other = results.get(peer)!
    return {
      ...make({ suite, name, peer, unit, target }, scaled(mine.wallNanos), scaled(other.wallNanos)),
      cpu: ratios(scaled(mine.cpuNanos), scaled(other.cpuNanos))
    }
  })
}

/** one line for a terminal */
export const line = ({ cpu, interval: [low, high], met, name, ours, peer, ratio, target, theirs, unit }: Row): string =>
  [
    name.padEnd(44),
    peer.padEnd(22),
    figure(ours).padStart(9),
    figure(theirs).padStart(9),
    unit.padEnd(5),
    figure(ratio).padStart(7),
    `(${figure(low)} to ${figure(high)})`.padEnd(18),
    (cpu === null ? "" : `cpu ${figure(cpu.ratio)}`).padEnd(10),
    target === null ? "" : `target ${figure(target)}: ${met === true ? "met" : "MISSED"}`
  ].join(" ").trimEnd()

/** the columns that `line` prints */
export const header: string = [
  "",
  "peer".padEnd(22),
  "ours".padStart(9),
  "theirs".padStart(9),
  "".padEnd(5),
  "ratio".padStart(7),
  "(95 %)"
].join(" ").padStart(110)

/** three digits that matter */
const figure = (value: number): string =>
  value >= 100 ? String(Math.round(value)) : value >= 10 ? value.toFixed(1) : value.toFixed(value >= 0.1 ? 2 : 3)
