/**
 * What the job has to know about a database beyond SQL: how to make a pool, the tables, and who is connected.
 */
import type * as PoolConfig from "@dbpool/core/PoolConfig"
import type { ConnectFailed, InvalidPoolConfig, TooManyConnections } from "@dbpool/core/PoolError"
import * as MysqlPool from "@dbpool/sql-mysql2/MysqlPool"
import * as PgPool from "@dbpool/sql-pg/PgPool"
import type * as SqlPool from "@dbpool/sql/SqlPool"
import type * as SqlClient from "@effect/sql/SqlClient"
import type * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"

export interface Dialect {
  /** a pool whose connections the statements below can tell from others */
  readonly layer: (
    url: Redacted.Redacted,
    options: PoolConfig.PoolOptions,
    role: "work" | "control"
  ) => Layer.Layer<SqlPool.SqlPool | SqlClient.SqlClient, InvalidPoolConfig | ConnectFailed | TooManyConnections>
  readonly create: (sizes: { readonly tellers: number; readonly accounts: number }) => ReadonlyArray<string>
  readonly drop: string
  /** true, or 1, for the first who asks, until the connection is closed */
  readonly lock: string
  /** an `id` of the connections of the workers' pool that are in the middle of a transaction, if there are any */
  readonly victim: string
  readonly kill: (id: number) => string
  /** how many connections of the workers' pool there are, as `n` */
  readonly connected: string
}

const applicationName = `dbpool-tpcb-${process.pid}`

const pg: Dialect = {
  layer: (url, options, role) =>
    PgPool.layer({ ...options, url, applicationName: role === "work" ? applicationName : "dbpool-control" }),
  create: ({ accounts, tellers }) => [
    "create schema dbpool_tpcb",
    `create table dbpool_tpcb.pgbench_branches
      (bid int not null primary key, bbalance int, filler char(88)) with (fillfactor = 20)`,
    `create table dbpool_tpcb.pgbench_tellers
      (tid int not null primary key, bid int, tbalance int, filler char(84)) with (fillfactor = 20)`,
    `create table dbpool_tpcb.pgbench_accounts
      (aid int not null primary key, bid int, abalance int, filler char(84))`,
    `create table dbpool_tpcb.pgbench_history
      (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))`,
    "insert into dbpool_tpcb.pgbench_branches (bid, bbalance) values (1, 0)",
    `insert into dbpool_tpcb.pgbench_tellers (tid, bid, tbalance)
      select tid, 1, 0 from generate_series(1, ${tellers}) tid`,
    `insert into dbpool_tpcb.pgbench_accounts (aid, bid, abalance, filler)
      select aid, 1, 0, '' from generate_series(1, ${accounts}) aid`,
    "vacuum analyze dbpool_tpcb.pgbench_accounts"
  ],
  drop: "drop schema if exists dbpool_tpcb cascade",
  lock: "select pg_try_advisory_lock(hashtext('dbpool_tpcb'))",
  victim: `select pid as id from pg_stat_activity
    where application_name = '${applicationName}' and xact_start is not null order by random() limit 1`,
  kill: (id) => `select pg_terminate_backend(${id})`,
  connected: `select count(*) as n from pg_stat_activity where application_name = '${applicationName}'`
}

/** 0 to 99, from which larger tables are made */
const hundred = `(select a.d + 10 * b.d as d from
  (select 0 as d union select 1 union select 2 union select 3 union select 4
   union select 5 union select 6 union select 7 union select 8 union select 9) a,
  (select 0 as d union select 1 union select 2 union select 3 union select 4
   union select 5 union select 6 union select 7 union select 8 union select 9) b)`

/** MySQL shows no names of programs, so each connection of the workers writes itself down when it is opened */
const mysql: Dialect = {
  layer: (url, options, role) =>
    MysqlPool.layer({
      ...options,
      url,
      setup: role === "work" ? ["insert into dbpool_tpcb.connections (id) values (connection_id())"] : undefined
    }),
  create: ({ accounts, tellers }) => [
    "create database dbpool_tpcb",
    "create table dbpool_tpcb.connections (id bigint not null primary key)",
    "create table dbpool_tpcb.pgbench_branches (bid int not null primary key, bbalance int, filler char(88))",
    "create table dbpool_tpcb.pgbench_tellers (tid int not null primary key, bid int, tbalance int, filler char(84))",
    "create table dbpool_tpcb.pgbench_accounts (aid int not null primary key, bid int, abalance int, filler char(84))",
    `create table dbpool_tpcb.pgbench_history
      (tid int, bid int, aid int, delta int, mtime timestamp(6), filler char(22))`,
    "insert into dbpool_tpcb.pgbench_branches (bid, bbalance) values (1, 0)",
    `insert into dbpool_tpcb.pgbench_tellers (tid, bid, tbalance)
      select d + 1, 1, 0 from ${hundred} t where d < ${tellers}`,
    `insert into dbpool_tpcb.pgbench_accounts (aid, bid, abalance, filler)
      select aid, 1, 0, '' from
        (select 1 + a.d + 100 * b.d + 10000 * c.d as aid from ${hundred} a, ${hundred} b, ${hundred} c) t
      where aid <= ${accounts}`
  ],
  drop: "drop database if exists dbpool_tpcb",
  lock: "select get_lock('dbpool_tpcb', 0)",
  // only transactions write
  victim: `select id as id from information_schema.processlist
    where id in (select id from dbpool_tpcb.connections) and info like 'update%' order by rand() limit 1`,
  kill: (id) => `kill ${id}`,
  connected: `select count(*) as n from information_schema.processlist
    where id in (select id from dbpool_tpcb.connections)`
}

export const of = (url: string): Dialect => /^(mysql|mariadb):/.test(url) ? mysql : pg
