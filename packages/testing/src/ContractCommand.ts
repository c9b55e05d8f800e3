/**
 * The contract as a command that prints a table, outside of a test runner. It can try a client of somebody else's too.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { parseArgs } from "node:util"
import * as Contract from "./Contract.js"
import type { Dialect } from "./ContractDialect.js"

/**
 * Runs the rows of one of the dialects, by the words on the command line: the name of the dialect (the first one, if there
 * is none), and `--filter TEXT` for the rows whose group or name contains the text. Ends the process, with 1 when a row is
 * broken; of a client that only stands beside for comparison nothing is demanded.
 *
 * @example
 * ```ts
 * import * as ContractCommand from "@dbpool/testing/ContractCommand"
 * import type * as ContractDialect from "@dbpool/testing/ContractDialect"
 *
 * declare const ours: ContractDialect.Dialect
 * declare const theirs: ContractDialect.Dialect
 *
 * ContractCommand.main({ ours: { dialect: () => ours }, theirs: { dialect: () => theirs, isPeer: true } })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const main = (
  dialects: Readonly<Record<string, { readonly dialect: () => Dialect; readonly isPeer?: boolean | undefined }>>
): void => {
  const { positionals: [name = Object.keys(dialects)[0]!], values: { filter } } = parseArgs({
    allowPositionals: true,
    options: { filter: { type: "string" } }
  })
  const chosen = dialects[name]
  if (chosen === undefined) {
    process.stderr.write(`There is no "${name}", but ${Object.keys(dialects).join(", ")}\n`)
    return process.exit(1)
  }
  // a client that throws from a timer or a socket must not end the run: what its row promised is still looked at
  let strays = 0
  process.on("uncaughtException", () => strays++)
  const progress = ({ _tag }: Contract.Outcome) =>
    Effect.sync(() => void process.stderr.write({ kept: ".", broken: "x", "not applicable": "-" }[_tag]))
  const program = Effect.gen(function*() {
    const outcomes = yield* Contract.run(chosen.dialect(), { filter, onOutcome: progress })
    yield* Console.log(`\n\n${Contract.table(outcomes)}`)
    if (strays > 0) yield* Console.log(`${strays} errors were thrown outside of every row`)
    return chosen.isPeer === true || outcomes.every(({ _tag }) => _tag !== "broken")
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  Effect.runPromiseExit(program).then((exit) => {
    if (Exit.isFailure(exit)) process.stderr.write(`${Cause.pretty(exit.cause)}\n`)
    // what a leaked pool still holds must not keep the process alive
    process.exit(Exit.isSuccess(exit) && exit.value ? 0 : 1)
  })
}
