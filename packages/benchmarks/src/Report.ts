/**
 * A whole run: its rows, and what they were measured on.
 */
import * as Schema from "effect/Schema"
import * as Os from "node:os"
import { Row } from "./Row.js"
import type { Size } from "./Size.js"

export const Report = Schema.Struct({
  at: Schema.String,
  machine: Schema.String,
  size: Schema.String,
  rows: Schema.Array(Row)
})

export type Report = typeof Report.Type

export const machine = (): string => {
  const cores = Os.cpus()
  return `Node ${process.versions.node} on ${Os.type()} ${Os.release()}, ${cores.length} x ${
    cores[0]?.model ?? "unknown"
  }`
}

export const make = ({ name }: Size, rows: ReadonlyArray<Row>): Report => ({
  at: new Date().toISOString(),
  machine: machine(),
  size: name,
  rows
})

export const verdict = ({ rows }: Report): string => {
  const judged = rows.filter(({ met }) => met !== null)
  const missed = judged.filter(({ met }) => met === false)
  return [
    `${judged.length - missed.length} of ${judged.length} targets met`,
    ...missed.map(({ name, peer, suite }) => `missed: ${suite}, ${name}, beside ${peer}`)
  ].join("\n")
}
