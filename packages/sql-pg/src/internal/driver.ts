/**
 * The PostgreSQL dialect.
 */
import type * as Driver from "@dbpool/sql/Driver"
import type * as Transaction from "@dbpool/sql/Transaction"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Statement from "@effect/sql/Statement"
import type { PgPoolOptions } from "../PgPoolConfig.js"
import type { Target } from "./config.js"
import { connector } from "./connect.js"
import type { PgConnection } from "./connection.js"
import { statement, unpreparedStatement } from "./connection.js"
import { classify, connectFault } from "./errors.js"
import * as Sharing from "./sharing.js"

/** @internal */
export const make = <R>(target: Target<R>, options: PgPoolOptions<any, any, R>): Driver.Driver<PgConnection, R> => ({
  connect: connector(target),
  connectFault,
  classify,
  compiler: PgClient.makeCompiler(options.transformQueryNames, options.transformJson),
  transformRows: options.transformResultNames === undefined
    ? undefined
    : Statement.defaultTransforms(options.transformResultNames, options.transformJson).array,
  spanAttributes: [
    ...Object.entries(options.spanAttributes ?? {}),
    ["db.system.name", "postgresql"],
    ["db.namespace", target.address.database],
    ["server.address", target.address.host],
    ["server.port", target.address.port]
  ],
  begin: begin(target.local),
  transactionOptions: ["isolation", "accessMode", "deferrable"],
  submit: (connection, sql, params, mode, done, unprepared = false) =>
    connection.submit(sql, params, mode, undefined, unprepared ? unpreparedStatement : statement, done),
  sharing: Sharing.make(options)
})

/** with the settings of the transaction, and in the round trip of its first statement */
const begin =
  (local: Readonly<Record<string, string>>) =>
  ({ accessMode, deferrable, isolation }: Transaction.TransactionOptions): Driver.BeginWith<PgConnection> => {
    const words = [
      "BEGIN",
      isolation === undefined ? "" : `ISOLATION LEVEL ${isolation.toUpperCase()}`,
      accessMode?.toUpperCase() ?? "",
      deferrable === undefined ? "" : deferrable ? "DEFERRABLE" : "NOT DEFERRABLE"
    ]
    const before = [
      words.filter((word) => word !== "").join(" "),
      ...Object.entries(local).map(([name, value]) => `SET LOCAL ${name} = ${value}`)
    ]
    return {
      statement: (connection, sql, params, mode, objection, unprepared) =>
        connection.execute(sql, params, mode, objection, unprepared, before)
    }
  }
