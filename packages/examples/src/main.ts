/**
 * The main job of the library, end to end: 20,000 TPC-B transactions from 100 fibers over 10 connections, while backends
 * are killed and bursts of callers are turned away. In the end the books must balance.
 *
 * `npm start -- --help` lists the options.
 */
import * as PoolConfig from "@dbpool/core/PoolConfig"
import * as PgPool from "@dbpool/sql-pg/PgPool"
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
    Options.withDescription("A PostgreSQL server of yours; without it one is started, and removed at the end"),
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
const work = (settings: Settings, control: SqlPool.SqlPool, applicationName: string, ledger: Ledger) =>
  Effect.gen(function*() {
    const pool = yield* SqlPool.SqlPool
    const [duration] = yield* Effect.timed(
      Effect.replicateEffect(Workload.transact(ledger), settings.transactions, {
        concurrency: settings.fibers,
        discard: true
      }).pipe(
        Effect.raceFirst(Disturbances.kills(control, applicationName, ledger, settings.transactions)),
        Effect.raceFirst(Disturbances.bursts(ledger)),
        Effect.raceFirst(Progress.show(settings.transactions, () => ledger.done))
      )
    )
    return { seconds: Duration.toSeconds(duration), stats: yield* pool.stats }
  })

/** How many connections the server still has of an application, after at most 2 s. */
const leftovers = (applicationName: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ readonly n: number }>`
      select count(*)::int as n from pg_stat_activity where application_name = ${applicationName}`
    return row!.n
  }).pipe(
    Effect.repeat({ until: (n) => n === 0, schedule: Schedule.spaced("50 millis"), times: 40 })
  )

const run = (settings: Settings, url: Redacted.Redacted) =>
  Effect.gen(function*() {
    const control = yield* SqlPool.SqlPool
    yield* Tables.alone
    yield* Tables.scoped
    const ledger = new Ledger()
    const applicationName = `dbpool-tpcb-${process.pid}`
    const outcome = yield* work(settings, control, applicationName, ledger).pipe(
      Effect.provide(PgPool.layer({ ...poolOptions(settings), url, applicationName }))
    )
    const leaked = yield* leftovers(applicationName)
    const books = yield* Books.audit(ledger)
    const report = Report.make(settings.transactions, outcome.seconds, ledger, books, outcome.stats, leaked)
    console.log(Report.table(report))
    const failures = Report.failures(report, books)
    if (settings.json) console.log(JSON.stringify(report))
    if (failures.length > 0) return yield* Effect.fail(new Error(failures.join("\n")))
  }).pipe(
    Effect.scoped,
    // the tables, the kills and the audit have connections of their own, which nobody kills
    Effect.provide(PgPool.layer({ name: "control", url, applicationName: "dbpool-control", maxConnections: 3 }))
  )

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
