/**
 * What came of the rows, as a table.
 */
import type { Outcome } from "../../Contract.js"

const line = (outcome: Outcome): string => {
  const { name } = outcome.row
  switch (outcome._tag) {
    case "kept":
      return `  kept   ${took(outcome)}  ${name}`
    case "broken":
      return `  BROKEN ${took(outcome)}  ${name}\n${indent}${outcome.failure.reason}: ${
        oneLine(outcome.failure.message)
      }`
    case "not applicable":
      return `  -                ${name}\n${indent}not applicable: ${outcome.why}`
  }
}

const took = ({ millis }: { readonly millis: number }) => `${String(millis).padStart(5)} ms`

const indent = " ".repeat(22)

const oneLine = (text: string) => text.replace(/\s*\n\s*/g, " ").slice(0, 300)

const count = (outcomes: ReadonlyArray<Outcome>, tag: Outcome["_tag"]) =>
  outcomes.filter(({ _tag }) => _tag === tag).length

/** @internal */
export const summary = (outcomes: ReadonlyArray<Outcome>): string =>
  `${count(outcomes, "kept")} kept, ${count(outcomes, "broken")} broken, ` +
  `${count(outcomes, "not applicable")} not applicable`

/** @internal */
export const table = (outcomes: ReadonlyArray<Outcome>): string => {
  const groups = new Map<string, Array<Outcome>>()
  for (const outcome of outcomes) {
    const { group } = outcome.row
    groups.set(group, [...(groups.get(group) ?? []), outcome])
  }
  return [
    ...[...groups].map(([group, members]) => [`${group} (${summary(members)})`, ...members.map(line)].join("\n")),
    summary(outcomes)
  ].join("\n\n")
}
