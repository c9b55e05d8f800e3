/** MariaDB and MySQL, as the contract suite wants to see a dialect. */
import * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
import type * as ContractDialect from "@dbpool/testing/ContractDialect"
import * as MariaServer from "@dbpool/testing/MariaServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Server from "./server.js"

const sendsBack = (name: string, sql: string, parameter: unknown, expected?: unknown): ContractDialect.TypeCase => ({
  name,
  sql: `select ${sql} as value`,
  parameter,
  expected
})

/** at most 10,000 rows in any order */
const many = (rows: number) =>
  `(select a.n * 100 + b.n + 1 as n from
    (with recursive s as (select 0 as n union all select n + 1 from s where n < 999) select n from s) a,
    (with recursive s as (select 0 as n union all select n + 1 from s where n < 99) select n from s) b) many where n <= ${rows}`

export type Product = "MariaDB" | "MySQL"

const syntax = (product: Product): ContractDialect.Syntax => ({
  placeholder: () => "?",
  one: "select 1 as one",
  series: (rows) => `select n from ${many(rows)} order by n`,
  createTable: (table) => [`create table ${table} (id int primary key, name text)`],
  insert: "insert into",
  // MySQL takes an end of the sleep for its result, unless there is more to do
  sleep: (seconds) => `select 1 as slept from dual where sleep(${seconds}) = 0`,
  sleepMarker: "sleep",
  wideSeries: (rows) => `select n, repeat('x', 1000) as text from ${many(rows)}`,
  // in order, else the server may come to the failing row first; MySQL makes at most 1,000 rows in this way
  failingSeries: (rows, failsAt) =>
    `with recursive many as (select 1 as n union all select n + 1 from many where n < ${rows})
     select if(n < ${failsAt}, n, (select two.n from (select 1 as n union select 2) two where two.n < many.n)) as x, n
     from many`,
  begin: "begin",
  // the level of the transaction that runs, which is not that of the session
  isolation: `select lower(replace(coalesce(
      (select t.isolation_level from performance_schema.events_transactions_current t
       join performance_schema.threads h on h.thread_id = t.thread_id
       where h.processlist_id = connection_id() and t.state = 'ACTIVE' and t.autocommit = 'NO'),
      @@session.${product === "MySQL" ? "transaction_isolation" : "tx_isolation"}), '-', ' ')) as level`,
  setSerializable: "set session transaction isolation level serializable",
  createConstrained: (table) => [
    `create table ${table} (id int primary key, parent int, name varchar(100) not null, amount int,
     constraint ${table}_parent foreign key (parent) references ${table} (id), check (amount >= 0))`
  ],
  createTemporary: (table) => `create temporary table ${table} (n int)`,
  setVariable: (value) => `set @contract_variable = '${value}'`,
  variable: "select @contract_variable as value",
  createSerial: (table) => [`create table ${table} (id int auto_increment primary key, name text)`],
  types: [
    sendsBack("an integer", "cast(? as signed)", -2_147_483_648),
    sendsBack("a bigint keeps all its digits, as a string", "cast(? as signed)", "9007199254740993"),
    sendsBack("a bigint may be given as one", "cast(? as unsigned)", 18446744073709551615n, "18446744073709551615"),
    sendsBack(
      "a decimal keeps all its digits, as a string",
      "cast(? as decimal(40, 9))",
      "12345678901234567890.123456789"
    ),
    sendsBack("a double", "? + 0e0", 0.1),
    sendsBack("a boolean, as a number", "cast(? as signed)", true, 1),
    sendsBack("a text with every kind of character", "cast(? as char)", "'\"\\ \n\t ünïcödé 🦆 $1 ? --"),
    sendsBack("an empty text is not NULL", "cast(? as char)", ""),
    sendsBack("NULL", "cast(? as signed)", null),
    sendsBack("bytes", "cast(? as binary)", Buffer.from([0, 1, 127, 128, 255])),
    sendsBack("a datetime, as a Date", "cast(? as datetime(3))", new Date("2024-02-29T23:59:59.987Z")),
    sendsBack("an object, as the JSON it stands for", "json_unquote(json_extract(?, '$.a[1].b'))", {
      a: [1, { b: "ü" }]
    }, "ü"),
    sendsBack("a large text, past one packet", "cast(? as char)", "x".repeat(300_000))
  ]
})

const capabilities: ContractDialect.Capabilities = {
  pool: true,
  sessions: true,
  cancel: true,
  streams: true,
  transactions: true,
  savepoints: true,
  isolation: true,
  readOnly: true,
  rawTransactions: true,
  abortedTransactions: "MySQL undoes a failed statement alone, and the transaction goes on",
  deferredConstraints: "MySQL checks constraints with each statement",
  constraints: true,
  rowLocks: true,
  sessionState: true,
  returning: "MySQL has no RETURNING, and MariaDB none for UPDATE",
  models: true,
  listen: "MySQL has no notifications",
  sharing: "MySQL's protocol takes one statement at a time",
  restart: true
}

/** Its server is one of its own, since rows kill it; that at `DBPOOL_MYSQL8_URL` is not killed. */
export const make = (options: {
  readonly name: string
  readonly product: Product
  readonly capabilities?: Partial<ContractDialect.Capabilities> | undefined
  readonly layer?: ((url: string) => ContractDialect.Dialect["layer"]) | undefined
}): ContractDialect.Dialect => {
  let server: Effect.Effect.Success<ReturnType<typeof Server.make>> | undefined
  const isGiven = options.product === "MySQL" && !["", undefined].includes(process.env.DBPOOL_MYSQL8_URL)
  const layer = options.layer ?? ours
  return {
    name: options.name,
    syntax: syntax(options.product),
    capabilities: {
      ...capabilities,
      ...(isGiven ? { restart: "the server is not ours to kill" } : {}),
      ...options.capabilities
    },
    server: Effect.tap(Server.make(servers[options.product]), (made) => Effect.sync(() => server = made)),
    layer: (settings) =>
      Layer.unwrapEffect(Effect.map(server!.account(settings.name), () => layer(server!.url)(settings)))
  }
}

/** each pool has an account of its own, by which the server tells its connections from others */
const ours = (url: string): ContractDialect.Dialect["layer"] => ({ address, ...settings }) =>
  MysqlPool.layer({
    url: Redacted.make(url),
    ...address,
    username: settings.name,
    password: Redacted.make(settings.name),
    ...settings
  })

const servers = {
  MariaDB: MariaServer.make({
    maxConnections: 200,
    // what it is to know about running transactions, it does not know by default
    settings: {
      performance_schema: "on",
      performance_schema_consumer_events_transactions_current: "on",
      performance_schema_instrument: "transaction=ON"
    }
  }),
  MySQL: MariaServer.makeTest({ product: "MySQL", maxConnections: 200 })
}
