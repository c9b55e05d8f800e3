import * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
import * as PgPool from "@dbpool/sql-pg/PgPool"
import * as BlackHole from "@dbpool/testing/BlackHole"
import * as MariaServer from "@dbpool/testing/MariaServer"
import * as PgServer from "@dbpool/testing/PgServer"
import * as NodeContext from "@effect/platform-node/NodeContext"
import type { Process } from "@effect/platform/CommandExecutor"
import * as FileSystem from "@effect/platform/FileSystem"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Books from "../src/tpcb/books.js"
import * as Dialect from "../src/tpcb/dialect.js"
import { Ledger } from "../src/tpcb/ledger.js"
import * as Tables from "../src/tpcb/tables.js"
import type { Output } from "./run.js"
import { run, start } from "./run.js"

const main = (...args: ReadonlyArray<string>) => run("src/main.ts", args)

/** one clear sentence, no stack, no secret, exit code 1 */
const assertRefused = (output: Output, sentence: RegExp) => {
  assert.strictEqual(output.code, 1)
  const lines = output.stderr.trim().split("\n")
  assert.lengthOf(lines, 1, output.stderr)
  assert.match(lines[0]!, sentence)
  assert.notInclude(output.stdout + output.stderr, "s3cret")
}

/** what a run prints until it is busy */
const untilBusy = (child: Process) =>
  Effect.map(
    Stream.runCollect(
      Stream.takeUntil(Stream.splitLines(Stream.decodeText(child.stdout)), (line) => / of \d+ transactions/.test(line))
    ),
    Chunk.toReadonlyArray
  )

const interrupt = (child: Process) => Effect.zipRight(Effect.fork(child.kill("SIGINT")), child.exitCode)

const Db = Layer.unwrapEffect(
  Effect.map(PgServer.PgServer, ({ url }) => PgPool.layer({ url: Redacted.make(url), maxConnections: 2 }))
)

layer(Layer.mergeAll(PgServer.layerTest(), MariaServer.layerTest(), NodeContext.layer), {
  excludeTestServices: true,
  timeout: "1 minute"
})(
  "the main job",
  (it) => {
    it.scoped("balances its books, prints a table and, asked for JSON, an object in the last line", () =>
      Effect.gen(function*() {
        const { url } = yield* PgServer.PgServer
        const { code, stderr, stdout } = yield* main("--url", url, "--transactions", "600", "--fibers", "30", "--json")
        assert.strictEqual(code, 0, stderr)
        const lines = stdout.trim().split("\n")
        assert.isTrue(lines.some((line) => /^books +balanced/.test(line)), stdout)
        const report = JSON.parse(lines.at(-1)!)
        assert.strictEqual(report.transactions, 600)
        assert.strictEqual(report.committed + report.outcomeUnknown, 600)
        assert.isTrue(report.balanced)
        assert.isAtLeast(report.historyRows, report.committed)
        assert.isAtLeast(report.opened, 1)
        assert.isAtLeast(report.lost, report.hits)
        assert.strictEqual(report.leaked, 0)
        assert.isAbove(report.txPerSecond, 0)
        for (const key of ["p50", "p95", "p99"]) {
          assert.isAbove(report.acquireMs[key], 0)
          assert.isAbove(report.txMs[key], 0)
        }
      }))

    it.scoped("does the same on MySQL and MariaDB, by the scheme of the URL, and leaves nothing there", () =>
      Effect.gen(function*() {
        const { url } = yield* MariaServer.MariaServer
        const { code, stderr, stdout } = yield* main("--url", url, "--transactions", "600", "--fibers", "30", "--json")
        assert.strictEqual(code, 0, stderr)
        const report = JSON.parse(stdout.trim().split("\n").at(-1)!)
        assert.strictEqual(report.committed + report.outcomeUnknown, 600)
        assert.deepStrictEqual([report.balanced, report.leaked], [true, 0])
        assert.isAtLeast(report.lost, report.hits)
        const left = yield* Effect.flatMap(
          SqlClient.SqlClient,
          (sql) => sql`select schema_name from information_schema.schemata where schema_name = 'dbpool_tpcb'`
        ).pipe(
          Effect.provide(MysqlPool.layer({ url: Redacted.make(url) }))
        )
        assert.deepStrictEqual(left, [])
      }))

    it.scoped("fails when nobody was turned away in a run of 5,000 transactions", () =>
      Effect.gen(function*() {
        const { url } = yield* PgServer.PgServer
        const { code, stderr } = yield* main(
          ...["--url", url, "--transactions", "5000", "--fibers", "1", "--connections", "90"]
        )
        assert.strictEqual(code, 1)
        assert.include(stderr, "No caller was turned away")
      }))

    it.scoped("stops within seconds on Ctrl-C, in mid-query too, and takes its server along", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { child } = yield* start("src/main.ts", [])
        const [, directory] = /with its data in (.*)/.exec((yield* untilBusy(child))[0]!)!
        assert.isTrue(yield* fs.exists(directory!))
        const [took, code] = yield* Effect.timed(interrupt(child))
        assert.strictEqual(code, 130)
        assert.isBelow(Duration.toSeconds(took), 5)
        assert.isFalse(yield* fs.exists(directory!))
      }))

    it.scoped("keeps a second run off the same database, and leaves nothing in it when interrupted", () =>
      Effect.gen(function*() {
        const { url } = yield* PgServer.PgServer
        // so many that it is still at work when the second one asks
        const { child } = yield* start("src/main.ts", ["--url", url, "--transactions", "40000"])
        yield* untilBusy(child)
        assertRefused(yield* main("--url", url), /Another run of the main job is using this database/)
        assert.strictEqual(yield* interrupt(child), 130)
        const left = yield* Effect.flatMap(SqlClient.SqlClient, (sql) =>
          sql`select
            (select count(*) from pg_namespace where nspname = 'dbpool_tpcb')::int as schemas,
            (select count(*) from pg_stat_activity where application_name ~ '^dbpool-(tpcb|control)')::int as sessions`)
          .pipe(Effect.provide(Db))
        assert.deepStrictEqual(left, [{ schemas: 0, sessions: 0 }])
      }))

    it.scoped("has an audit that finds whatever does not fit together", () =>
      Effect.gen(function*() {
        yield* Tables.alone(Dialect.of("postgres:"))
        yield* Tables.scoped(Dialect.of("postgres:"))
        const sql = yield* SqlClient.SqlClient
        const write = (id: string, delta: number) =>
          sql`insert into dbpool_tpcb.pgbench_history (tid, bid, aid, delta, filler) values (1, 1, 1, ${delta}, ${id})`
        const audit = (change: (ledger: Ledger) => void) => {
          const ledger = new Ledger()
          change(ledger)
          return Effect.map(Books.audit(ledger), ({ complaints }) => complaints)
        }
        const nothing: (ledger: Ledger) => void = () => {}

        assert.deepStrictEqual(yield* audit(nothing), [])
        assert.deepStrictEqual(yield* audit((ledger) => ledger.committed("a", 0n, 0n)), [
          "1 transactions reported as committed are not there exactly once"
        ])
        yield* write("a", 0)
        assert.deepStrictEqual(yield* audit((ledger) => ledger.committed("a", 0n, 0n)), [])
        assert.deepStrictEqual(yield* audit(nothing), ["1 transactions are there and were never reported"])
        assert.deepStrictEqual(yield* audit((ledger) => ledger.rolledBack("a")), [
          "1 transactions reported as rolled back are there"
        ])
        assert.deepStrictEqual(yield* audit((ledger) => ledger.unknown("a")), [])
        yield* write("a", 0)
        assert.deepStrictEqual(yield* audit((ledger) => ledger.unknown("a")), [
          "1 transactions whose COMMIT was lost are there more than once"
        ])
        yield* sql`update dbpool_tpcb.pgbench_accounts set abalance = 7 where aid = 1`
        const [sums] = yield* audit((ledger) => ledger.unknown("a"))
        assert.include(sums, `"accounts":"7"`)
      }).pipe(Effect.scoped, Effect.provide(Db)))

    it.scoped("says in one sentence what is wrong with its options or the server", () =>
      Effect.gen(function*() {
        const server = yield* PgServer.PgServer
        const hole = yield* BlackHole.make
        const at = (user: string, password: string, database: string) =>
          `postgres://${user}:${password}@${server.host}:${server.port}/${database}`
        const cases: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
          [["--url", "postgres://nobody:s3cret@127.0.0.1:1/none"], /cannot connect .*ECONNREFUSED/],
          [["--url", "postgres://nobody:s3cret@no-such-host.invalid/none"], /cannot connect .*no-such-host/],
          [["--url", `postgres://nobody:s3cret@127.0.0.1:${hole.port}/none`], /cannot connect.*no answer within 5 s/],
          [["--url", at("nobody", "s3cret", server.database)], /cannot connect: .*"nobody"/],
          [["--url", at(server.user, server.password, "nothing")], /cannot connect: .*"nothing" does not exist/],
          [["--url", "postgres://a:s3cret b@:x/%%"], /url is malformed/],
          [["--url", "oracle://a:s3cret@localhost/b"], /url must begin with postgres/],
          [["--url", "mysql://nobody:s3cret@127.0.0.1:1/none"], /cannot connect .*ECONNREFUSED/],
          [["--url", "mysql://a:s3cret b@:x/%%"], /url is malformed/],
          [["--min-connections", "20"], /minConnections must be at most maxConnections \(10\), not 20/],
          [["--acquire-timeout=-1 second"], /acquireTimeout must be a duration above zero, not "-1 second"/],
          [["--connections", "0"], /maxConnections must be an integer of at least 1, not 0/]
        ]
        const outputs = yield* Effect.forEach(cases, ([args]) => main(...args), { concurrency: 4 })
        for (const [index, [, sentence]] of cases.entries()) assertRefused(outputs[index]!, sentence)
      }))
  }
)
