/**
 * `pnpm bench [SUITE] [--quick] [--json FILE] [--only TEXT]`: this pool beside its peers.
 *
 * Exit code 1: a target was missed. 2: something else went wrong.
 */
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs/promises"
import { parseArgs } from "node:util"
import * as Report from "./Report.js"
import * as Row from "./Row.js"
import { sizes } from "./Size.js"
import { suites } from "./suites/all.js"

/** what is wrong with the command line */
class Mistake extends Data.TaggedError("Mistake")<{ readonly message: string }> {}

const read = Effect.try({
  try: () =>
    parseArgs({
      allowPositionals: true,
      options: {
        json: { type: "string" },
        only: { type: "string" },
        quick: { type: "boolean", default: false }
      }
    }),
  catch: (error) => new Mistake({ message: (error as Error).message })
})

const names = ["all", ...suites.map(({ name }) => name)]

const pick = (positionals: ReadonlyArray<string>) => {
  const unknown = positionals.find((name) => !names.includes(name))
  if (unknown !== undefined) {
    return Effect.fail(
      new Mistake({ message: `There is no suite "${unknown}": it must be one of ${names.join(", ")}.` })
    )
  }
  const everything = positionals.length === 0 || positionals.includes("all")
  return Effect.succeed(suites.filter(({ name }) => everything || positionals.includes(name)))
}

const program = Effect.gen(function*() {
  const { positionals, values: { json, only = "", quick } } = yield* read
  const picked = yield* pick(positionals)
  const size = quick ? sizes.quick : sizes.full
  yield* Console.log(`${Report.machine()}; ${size.name} run, ${size.rounds} rounds`)
  yield* Console.log(Row.header)
  const rows = yield* Stream.fromIterable(picked).pipe(
    Stream.tap(({ name }) => Console.log(`\n${name}`)),
    Stream.flatMap((suite) => suite.rows(size, (part) => part.includes(only))),
    Stream.tap((row) => Console.log(Row.line(row))),
    Stream.runCollect
  )
  if (rows.length === 0) return yield* new Mistake({ message: `Nothing in there has "${only}" in its name.` })
  const report = Report.make(size, [...rows])
  if (json !== undefined) {
    const text = JSON.stringify(yield* Schema.encode(Report.Report)(report), null, 2)
    yield* Effect.tryPromise(() => Fs.writeFile(json, `${text}\n`))
  }
  yield* Console.log(`\n${Report.verdict(report)}`)
  return report.rows.some(({ met }) => met === false) ? 1 : 0
})

const complain = (cause: Cause.Cause<unknown>) => {
  const error = Cause.squash(cause)
  return Effect.as(Console.error(error instanceof Mistake ? error.message : Cause.pretty(cause)), 2)
}

Effect.runPromise(Effect.catchAllCause(program, complain)).then((code) => process.exit(code))
