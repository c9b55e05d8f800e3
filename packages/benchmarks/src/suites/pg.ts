/**
 * PostgreSQL: statements, transactions and results, through every client, on ten connections.
 *
 * Like is compared with like: statements that are parsed every time with such, prepared ones with prepared ones.
 * `@effect/sql-pg` knows only the former.
 */
import * as PgServer from "@dbpool/testing/PgServer"
import * as TcpProxy from "@dbpool/testing/TcpProxy"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import type { Contestant } from "../Contestant.js"
import { ofEffect, ofPromise } from "../Contestant.js"
import * as Heat from "../Heat.js"
import * as pools from "../pools/postgres.js"
import * as Row from "../Row.js"
import type { Size } from "../Size.js"
import * as Suite from "../Suite.js"

const suite = "pg"

const crowds = (size: Size) => size.name === "full" ? [1, 10, 100, 1000] : [100]

const text = "select $1::int as n"

const count = (fibers: number) => fibers === 1 ? "1 fiber" : `${fibers.toLocaleString("en")} fibers`

/** turns that hold a few statements of each fiber */
const laps = (fibers: number) => fibers * 4

const select = (sql: SqlClient.SqlClient) => () => sql`select ${1}::int as n`

/** statements that the server parses every time */
const unnamed = Suite.part("select $1::int", (name, size) =>
  Effect.gen(function*() {
    const ours = yield* pools.ours({ preparedStatements: 0 })
    const official = yield* pools.official()
    const raw = yield* pools.raw()
    const floor = pools.floor(raw)
    const js = yield* pools.postgresJs({ prepare: false })
    const rows = yield* Effect.forEach(crowds(size), (fibers) =>
      Effect.gen(function*() {
        const results = yield* Heat.run(size, [
          ofEffect("dbpool", select(ours.client), fibers),
          ofEffect("dbpool, use", () => ours.use((connection) => connection.query(text, [1])), fibers),
          ofEffect("@effect/sql-pg", select(official), fibers),
          ofEffect("floor", () => floor({ text, values: [1] }), fibers),
          ofPromise("pg.Pool", () => raw.query(text, [1]), fibers),
          ofPromise("postgres.js", async () => js`select ${1}::int as n`, fibers)
        ], laps(fibers))
        const targets = fibers === 100 ? { official: 1 / 1.4, floor: 1 / 0.75 } : {}
        return Row.ofHeat(suite, `${name}, ${count(fibers)}`, "µs", results, "dbpool", {
          "@effect/sql-pg": targets.official,
          "floor": targets.floor,
          "pg.Pool": undefined,
          "postgres.js": undefined,
          "dbpool, use": undefined
        })
      }))
    return rows.flat()
  }))

/** statements that the server has parsed before */
const named = Suite.part("prepared select $1::int", (name, size) =>
  Effect.gen(function*() {
    const ours = yield* pools.ours()
    const raw = yield* pools.raw()
    const floor = pools.floor(raw)
    const clients = yield* pools.pipelined()
    const js = yield* pools.postgresJs({ prepare: true })
    const prepared = { name: "bench", text, values: [1] }
    let next = 0
    const rows = yield* Effect.forEach(crowds(size), (fibers) =>
      Effect.gen(function*() {
        const results = yield* Heat.run(size, [
          ofEffect("dbpool", select(ours.client), fibers),
          ofEffect("floor", () => floor(prepared), fibers),
          ofPromise("pg.Pool", () => raw.query(prepared), fibers),
          ofPromise("pg, pipelined", () => clients[next++ % clients.length]!.query(prepared), fibers),
          ofPromise("postgres.js", async () => js`select ${1}::int as n`, fibers)
        ], laps(fibers))
        return Row.ofHeat(suite, `${name}, ${count(fibers)}`, "µs", results, "dbpool", {
          "floor": undefined,
          "pg.Pool": undefined,
          "pg, pipelined": undefined,
          "postgres.js": undefined
        })
      }))
    return rows.flat()
  }))

/** several fibers' statements on a connection at once, as `postgres.js` and `pg`'s pipeline mode do */
const shared = Suite.part("shared connections", (name, size) =>
  Effect.gen(function*() {
    const sharing = { maxLeases: 16 }
    const ours = yield* pools.ours({ preparedStatements: 0, sharing })
    const oursPrepared = yield* pools.ours({ sharing })
    const official = yield* pools.official()
    const raw = yield* pools.raw()
    const clients = yield* pools.pipelined()
    const js = yield* pools.postgresJs({ prepare: false })
    const jsPrepared = yield* pools.postgresJs({ prepare: true })
    const prepared = { name: "bench", text, values: [1] }
    let next = 0
    const rows = yield* Effect.forEach(crowds(size).filter((fibers) => fibers >= 10), (fibers) =>
      Effect.gen(function*() {
        const parsed = yield* Heat.run(size, [
          ofEffect("dbpool", select(ours.client), fibers),
          ofEffect("@effect/sql-pg", select(official), fibers),
          ofPromise("pg.Pool", () => raw.query(text, [1]), fibers),
          ofPromise("postgres.js", async () => js`select ${1}::int as n`, fibers)
        ], laps(fibers))
        const named = yield* Heat.run(size, [
          ofEffect("dbpool", select(oursPrepared.client), fibers),
          ofPromise("pg.Pool", () => raw.query(prepared), fibers),
          ofPromise("pg, pipelined", () => clients[next++ % clients.length]!.query(prepared), fibers),
          ofPromise("postgres.js", async () => jsPrepared`select ${1}::int as n`, fibers)
        ], laps(fibers))
        const targets = fibers === 100 ? { official: 1 / 2.7, raw: 1 / 1.3 } : {}
        return [
          ...Row.ofHeat(suite, `${name}, select $1::int, ${count(fibers)}`, "µs", parsed, "dbpool", {
            "@effect/sql-pg": targets.official,
            "pg.Pool": targets.raw,
            "postgres.js": undefined
          }),
          ...Row.ofHeat(suite, `${name}, prepared, ${count(fibers)}`, "µs", named, "dbpool", {
            "pg.Pool": undefined,
            "pg, pipelined": undefined,
            "postgres.js": undefined
          })
        ]
      }))
    return rows.flat()
  }))

const transaction = Suite.part("transaction around one statement", (name, size) =>
  Effect.gen(function*() {
    const ours = yield* pools.ours({ preparedStatements: 0 })
    const official = yield* pools.official()
    const raw = yield* pools.raw()
    const js = yield* pools.postgresJs({ prepare: false })
    const rows = yield* Effect.forEach(crowds(size), (fibers) =>
      Effect.gen(function*() {
        const results = yield* Heat.run(size, [
          ofEffect("dbpool", () => ours.client.withTransaction(select(ours.client)()), fibers),
          ofEffect("@effect/sql-pg", () => official.withTransaction(select(official)()), fibers),
          ofPromise("pg.Pool", async () => {
            const client = await raw.connect()
            await client.query("BEGIN")
            await client.query(text, [1])
            await client.query("COMMIT")
            client.release()
          }, fibers),
          ofPromise("postgres.js", () => js.begin((tx) => tx`select ${1}::int as n`), fibers)
        ], fibers)
        return Row.ofHeat(suite, `${name}, ${count(fibers)}`, "µs", results, "dbpool", {
          "@effect/sql-pg": fibers === 100 ? 1 / 1.5 : undefined,
          "pg.Pool": undefined,
          "postgres.js": undefined
        })
      }))
    return rows.flat()
  }))

const accounts = 10_000

const account = () => 1 + Math.floor(Math.random() * accounts)

/** TPC-B, with enough branches that no two transactions wait for each other for long */
const tpcb = Suite.part("TPC-B transaction, 100 fibers", (name, size) =>
  Effect.gen(function*() {
    const ours = yield* pools.ours({ preparedStatements: 0 })
    const official = yield* pools.official()
    const raw = yield* pools.raw()
    yield* Effect.acquireRelease(
      Effect.promise(() =>
        raw.query(`
          drop table if exists bench_accounts, bench_branches, bench_history;
          create table bench_accounts (id int primary key, balance int not null) with (fillfactor = 50);
          create table bench_branches (id int primary key, balance int not null) with (fillfactor = 50);
          create table bench_history (account int, delta int, at timestamptz default now());
          insert into bench_accounts select n, 0 from generate_series(1, ${accounts}) n;
          insert into bench_branches select n, 0 from generate_series(1, 100) n`)
      ),
      () => Effect.promise(() => raw.query("drop table bench_accounts, bench_branches, bench_history"))
    )
    const statements = (id: number, delta: number): ReadonlyArray<readonly [string, ReadonlyArray<unknown>]> => [
      ["update bench_accounts set balance = balance + $1 where id = $2", [delta, id]],
      ["select balance from bench_accounts where id = $1", [id]],
      ["update bench_branches set balance = balance + $1 where id = $2", [delta, 1 + id % 100]],
      ["insert into bench_history (account, delta) values ($1, $2)", [id, delta]]
    ]
    const through = (sql: SqlClient.SqlClient) => () =>
      sql.withTransaction(Effect.forEach(
        statements(account(), 1),
        ([text, values]) => sql.unsafe(text, values),
        { discard: true }
      ))
    const results = yield* Heat.run(size, [
      ofEffect("dbpool", through(ours.client), 100),
      ofEffect("@effect/sql-pg", through(official), 100),
      ofPromise("pg.Pool", async () => {
        const client = await raw.connect()
        await client.query("BEGIN")
        for (const [text, values] of statements(account(), 1)) await client.query(text, [...values])
        await client.query("COMMIT")
        client.release()
      }, 100)
    ], 100)
    return Row.ofHeat(suite, name, "µs", results, "dbpool", { "@effect/sql-pg": undefined, "pg.Pool": undefined })
  }))

const resultSets = Suite.part("result of", (name, size) =>
  Effect.gen(function*() {
    const ours = yield* pools.ours({ preparedStatements: 0 })
    const official = yield* pools.official()
    const raw = yield* pools.raw()
    const js = yield* pools.postgresJs({ prepare: false })
    const rows = yield* Effect.forEach(size.name === "full" ? [1, 100, 10_000] : [1, 100], (length) =>
      Effect.gen(function*() {
        const text = "select n as id, 'name ' || n as name, n * 0.5::float8 as price from generate_series(1, $1::int) n"
        const results = yield* Heat.run(size, [
          ofEffect("dbpool", () =>
            ours.client.unsafe(text, [length]), 10),
          ofEffect("@effect/sql-pg", () => official.unsafe(text, [length]), 10),
          ofPromise("pg.Pool", () => raw.query(text, [length]), 10),
          ofPromise("postgres.js", async () => js.unsafe(text, [length]), 10)
        ], 10)
        const what = `${name} ${length.toLocaleString("en")} ${length === 1 ? "row" : "rows"}, 10 fibers`
        return Row.ofHeat(suite, what, "µs", results, "dbpool", {
          "@effect/sql-pg": undefined,
          "pg.Pool": undefined,
          "postgres.js": undefined
        })
      }))
    return rows.flat()
  }))

/** a network that takes its time, where round trips count */
const distant = Suite.part("1 ms away each way, 100 fibers", (name, size) =>
  Effect.gen(function*() {
    const proxy = yield* TcpProxy.make(yield* PgServer.PgServer)
    const ours = yield* pools.ours({}, proxy)
    const official = yield* pools.official(proxy)
    const raw = yield* pools.raw(proxy)
    const js = yield* pools.postgresJs({ prepare: true }, proxy)
    const prepared = { name: "bench", text, values: [1] }
    yield* proxy.delay(1)
    const statements: ReadonlyArray<Contestant> = [
      ofEffect("dbpool", select(ours.client), 100),
      ofEffect("@effect/sql-pg", select(official), 100),
      ofPromise("pg.Pool", () => raw.query(prepared), 100),
      ofPromise("postgres.js", async () => js`select ${1}::int as n`, 100)
    ]
    const transactions: ReadonlyArray<Contestant> = [
      ofEffect("dbpool", () => ours.client.withTransaction(select(ours.client)()), 100),
      ofEffect("@effect/sql-pg", () => official.withTransaction(select(official)()), 100),
      ofPromise("postgres.js", () => js.begin((tx) => tx`select ${1}::int as n`), 100)
    ]
    return [
      ...Row.ofHeat(suite, `${name}: select`, "µs", yield* Heat.run(size, statements, 200), "dbpool", {
        "@effect/sql-pg": undefined,
        "pg.Pool": undefined,
        "postgres.js": undefined
      }),
      ...Row.ofHeat(suite, `${name}: transaction`, "µs", yield* Heat.run(size, transactions, 100), "dbpool", {
        "@effect/sql-pg": undefined,
        "postgres.js": undefined
      })
    ]
  }))

export const pg = Suite.make(
  suite,
  [unnamed, named, shared, transaction, tpcb, resultSets, distant],
  PgServer.layerTest({ maxConnections: 300 })
)
