/**
 * The main job of the library, end to end: 20,000 TPC-B transactions from 100 fibers over 10 connections, while backends
 * are killed and bursts of callers are turned away. In the end the books must balance.
 *
 * `npm start -- --help` lists the options.
 */
import * as PoolConfig from "@dbpool/core/PoolConfig"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as PgServer from "@dbpool/testing/PgServer"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Books from "./tpcb/books.js"
import type { Dialect } from "./tpcb/dialect.js"
import * as Dialects from "./tpcb/dialect.js"
import * as Disturbances from "./tpcb/disturbances.js"
import { Ledger } from "./tpcb/ledger.js"
import * as Progress from "./tpcb/progress.js"
import * as Report from "./tpcb/report.js"
import * as Tables from "./tpcb/tables.js"
import * as Workload from "./tpcb/workload.js"

const atLeastOne = Options.filterMap(
  (n: number) => n >= 1 ? Option.some(n) : Option.none(),
  "There must be at least one."
)

const options = {
  url: Options.text("url").pipe(
    Options.withDescription(
      "A PostgreSQL, MySQL or MariaDB server of yours; without it a PostgreSQL is started, and removed at the end"
    ),
    Options.optional
  ),
  connections: Options.integer("connections").pipe(
    Options.withDescription("The most connections of the pool"),
    Options.withDefault(10)
  ),
  minConnections: Options.integer("min-connections").pipe(
    Options.withDescription("How many of them are kept open"),
    Options.withDefault(0)
  ),
  acquireTimeout: Options.text("acquire-timeout").pipe(
    Options.withDescription("How long a caller may wait for a connection"),
    Options.withDefault("30 seconds")
  ),
  fibers: Options.integer("fibers").pipe(
    Options.withDescription("How many fibers share the connections"),
    atLeastOne,
    Options.withDefault(100)
  ),
  transactions: Options.integer("transactions").pipe(
    Options.withDescription("How many transactions they run"),
    atLeastOne,
    Options.withDefault(20_000)
  ),
  json: Options.boolean("json").pipe(Options.withDescription("Print the results as JSON, in the last line"))
}

interface Settings {
  readonly url: Option.Option<string>
  readonly connections: number
  readonly minConnections: number
  readonly acquireTimeout: string
  readonly fibers: number
  readonly transactions: number
  readonly json: boolean
}

const poolOptions = (settings: Settings): PoolConfig.PoolOptions => ({
  name: "tpcb",
  maxConnections: settings.connections,
  minConnections: settings.minConnections,
  acquireTimeout: settings.acquireTimeout as Duration.DurationInput
})

/** The work and the disturbances, on a pool that is opened here and closed again. */
const work = (settings: Settings, control: SqlPool.SqlPool, dialect: Dialect, ledger: Ledger) =>
  Effect.gen(function*() {
    const pool = yield* SqlPool.SqlPool
    const [duration] = yield* Effect.timed(
      Effect.replicateEffect(Workload.transact(ledger), settings.transactions, {
        concurrency: settings.fibers,
        discard: true
      }).pipe(
        Effect.raceFirst(Disturbances.kills(control, dialect, ledger, settings.transactions)),
        Effect.raceFirst(Disturbances.bursts(ledger)),
        Effect.raceFirst(Progress.show(settings.transactions, () => ledger.done))
      )
    )
    return { seconds: Duration.toSeconds(duration), stats: yield* pool.stats }
  })

/** How many connections the server still has of the workers, after at most 2 s. */
const leftovers = (dialect: Dialect) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql.unsafe<{ readonly n: number | string }>(dialect.connected)
    return Number(row!.n)
  }).pipe(
    Effect.repeat({ until: (n) => n === 0, schedule: Schedule.spaced("50 millis"), times: 40 })
  )

const run = (settings: Settings, url: Redacted.Redacted) => {
  const dialect = Dialects.of(Redacted.value(url))
  return Effect.gen(function*() {
    const control = yield* SqlPool.SqlPool
    yield* Tables.alone(dialect)
    yield* Tables.scoped(dialect)
    const ledger = new Ledger()
    const outcome = yield* work(settings, control, dialect, ledger).pipe(
      Effect.provide(dialect.layer(url, poolOptions(settings), "work"))
    )
    const leaked = yield* leftovers(dialect)
    const books = yield* Books.audit(ledger)
    const report = Report.make(settings.transactions, outcome.seconds, ledger, books, outcome.stats, leaked)
    console.log(Report.table(report))
    const failures = Report.failures(report, books)
    if (settings.json) console.log(JSON.stringify(report))
    if (failures.length > 0) return yield* Effect.fail(new Error(failures.join("\n")))
  }).pipe(
    Effect.scoped,
    // the tables, the kills and the audit have connections of their own, which nobody kills
    Effect.provide(dialect.layer(url, { name: "control", maxConnections: 3 }, "control"))
  )
}

const main = (settings: Settings) =>
  Effect.gen(function*() {
    // a mistake in the options is told before anything is started
    yield* PoolConfig.resolve(poolOptions(settings))
    const url = yield* Option.match(settings.url, {
      onNone: () =>
        Effect.map(PgServer.make(), (server) => {
          const { dataDirectory, version } = Option.getOrThrow(server.started)
          console.log(`Started PostgreSQL ${version} on port ${server.port}, with its data in ${dataDirectory}`)
          return server.url
        }),
      onSome: Effect.succeed
    })
    yield* run(settings, Redacted.make(url))
  }).pipe(Effect.scoped)

Command.make("npm start --", options, main).pipe(
  Command.run({ name: "dbpool: the main job", version: "0.1.0" })
)(process.argv).pipe(
  // every error has one sentence that says it all; a defect is a bug of ours, and shown whole
  Effect.tapErrorCause((cause) =>
    Effect.sync(() => {
      if (Cause.isInterruptedOnly(cause)) return
      const error = Cause.failureOption(cause)
      if (Option.isNone(error)) console.error(Cause.pretty(cause))
      else if (!ValidationError.isValidationError(error.value)) console.error(error.value.message)
    })
  ),
  Effect.provide(NodeContext.layer),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : Cause.isInterruptedOnly(exit.cause) ? 130 : 1)
  })
)
