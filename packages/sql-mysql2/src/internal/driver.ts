/**
 * The MySQL dialect.
 */
import type * as Driver from "@dbpool/sql/Driver"
import type * as Transaction from "@dbpool/sql/Transaction"
import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as Statement from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { MysqlPoolOptions } from "../MysqlPoolConfig.js"
import type { Target } from "./config.js"
import { connector } from "./connect.js"
import type { MysqlConnection } from "./connection.js"
import { classify, connectFault } from "./errors.js"

/** @internal */
export const make = <R>(
  target: Target<R>,
  options: MysqlPoolOptions<R>
): Effect.Effect<Driver.Driver<MysqlConnection, R>, never, Scope.Scope> =>
  Effect.map(connector(target), (connect) => ({
    connect,
    connectFault,
    classify,
    compiler: MysqlClient.makeCompiler(options.transformQueryNames),
    transformRows: options.transformResultNames === undefined ? undefined : transforms(options.transformResultNames),
    spanAttributes: [
      ...Object.entries(options.spanAttributes ?? {}),
      ["db.system.name", "mysql"],
      ...(target.database === undefined ? [] : [["db.namespace", target.database] as const]),
      ["server.address", target.host],
      ["server.port", target.port]
    ],
    begin,
    transactionOptions: ["isolation", "accessMode"],
    submit: (connection, sql, params, mode, done, unprepared = false) =>
      connection.submit(sql, params, mode, undefined, unprepared, done)
  }))

/** several statements in one text have several results */
const transforms = (name: (name: string) => string): NonNullable<Driver.Driver["transformRows"]> => {
  const { array } = Statement.defaultTransforms(name)
  return (rows) => rows.some(Array.isArray) ? rows.map((each) => array(each as never)) as never : array(rows)
}

/** the isolation level is that of the next transaction, and cannot be part of its beginning */
const begin = ({ accessMode, isolation }: Transaction.TransactionOptions): string =>
  (isolation === undefined ? "" : `SET TRANSACTION ISOLATION LEVEL ${isolation.toUpperCase()}; `) +
  "START TRANSACTION" +
  (accessMode === undefined ? "" : ` ${accessMode.toUpperCase()}`)
