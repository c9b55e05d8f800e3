/**
 * `pnpm contract`: the contract on PostgreSQL as a table. `--peer` tries the official client instead, `--filter TEXT` only
 * the rows whose group or name contains the text, `--version 15` another server than 18.
 */
import * as Contract from "@dbpool/testing/Contract"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { parseArgs } from "node:util"
import * as Dialect from "./dialect.js"
import * as Peer from "./peer.js"

const { values: { filter, peer, version } } = parseArgs({
  options: {
    peer: { type: "boolean", default: false },
    filter: { type: "string" },
    version: { type: "string", default: "18" }
  }
})

// a client that throws from a timer or a socket must not end the run: what its row promised is still looked at
let strays = 0
process.on("uncaughtException", () => strays++)

const progress = (outcome: Contract.Outcome) =>
  Effect.sync(() => void process.stderr.write({ kept: ".", broken: "x", "not applicable": "-" }[outcome._tag]))

const program = Effect.gen(function*() {
  const outcomes = yield* Contract.run(
    peer ? Peer.make(version) : Dialect.make({ name: `PostgreSQL ${version}`, server: { version } }),
    {
      filter,
      onOutcome: progress
    }
  )
  yield* Console.log(`\n\n${Contract.table(outcomes)}`)
  if (strays > 0) yield* Console.log(`${strays} errors were thrown outside of every row`)
  return outcomes.some(({ _tag }) => _tag === "broken") && !peer
}).pipe(Logger.withMinimumLogLevel(LogLevel.None))

Effect.runPromiseExit(program).then((exit) => {
  if (Exit.isFailure(exit)) process.stderr.write(`${Cause.pretty(exit.cause)}\n`)
  // what a leaked pool still holds must not keep the process alive
  process.exit(Exit.isSuccess(exit) && !exit.value ? 0 : 1)
})
