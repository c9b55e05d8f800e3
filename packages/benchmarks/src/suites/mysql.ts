/**
 * MySQL's protocol, to MariaDB: prepared statements and transactions through every client, on ten connections.
 */
import * as MariaServer from "@dbpool/testing/MariaServer"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import { ofEffect, ofPromise } from "../Contestant.js"
import * as Heat from "../Heat.js"
import * as pools from "../pools/mysql.js"
import * as Row from "../Row.js"
import type { Size } from "../Size.js"
import * as Suite from "../Suite.js"

const suite = "mysql"

const crowds = (size: Size) => size.name === "full" ? [1, 10, 100, 1000] : [100]

const text = "select ? as n"

const count = (fibers: number) => fibers === 1 ? "1 fiber" : `${fibers.toLocaleString("en")} fibers`

const select = (sql: SqlClient.SqlClient) => () => sql`select ${1} as n`

const statement = Suite.part("select ?", (name, size) =>
  Effect.gen(function*() {
    const ours = yield* pools.ours
    const official = yield* pools.official
    const raw = yield* pools.raw
    const floor = pools.floor(raw)
    const promised = raw.promise()
    const connector = yield* pools.mariadbConnector
    const rows = yield* Effect.forEach(crowds(size), (fibers) =>
      Effect.gen(function*() {
        const results = yield* Heat.run(size, [
          ofEffect("dbpool", select(ours.client), fibers),
          ofEffect("@effect/sql-mysql2", select(official), fibers),
          ofEffect("floor", () => floor(text, [1]), fibers),
          ofPromise("mysql2", () => promised.execute(text, [1]), fibers),
          ofPromise("mariadb", () => connector.execute(text, [1]), fibers)
        ], fibers * 4)
        const targets = fibers === 100 ? { official: 1 / 1.4, floor: 1 / 0.75 } : {}
        return Row.ofHeat(suite, `${name}, ${count(fibers)}`, "µs", results, "dbpool", {
          "@effect/sql-mysql2": targets.official,
          "floor": targets.floor,
          "mysql2": undefined,
          "mariadb": undefined
        })
      }))
    return rows.flat()
  }))

const transaction = Suite.part("transaction around one statement", (name, size) =>
  Effect.gen(function*() {
    const ours = yield* pools.ours
    const official = yield* pools.official
    const promised = (yield* pools.raw).promise()
    const rows = yield* Effect.forEach(crowds(size), (fibers) =>
      Effect.gen(function*() {
        const results = yield* Heat.run(size, [
          ofEffect("dbpool", () => ours.client.withTransaction(select(ours.client)()), fibers),
          ofEffect("@effect/sql-mysql2", () => official.withTransaction(select(official)()), fibers),
          ofPromise("mysql2", async () => {
            const connection = await promised.getConnection()
            await connection.query("BEGIN")
            await connection.execute(text, [1])
            await connection.query("COMMIT")
            connection.release()
          }, fibers)
        ], fibers)
        return Row.ofHeat(suite, `${name}, ${count(fibers)}`, "µs", results, "dbpool", {
          "@effect/sql-mysql2": undefined,
          "mysql2": undefined
        })
      }))
    return rows.flat()
  }))

const resultSets = Suite.part("result of", (name, size) =>
  Effect.gen(function*() {
    const ours = yield* pools.ours
    const official = yield* pools.official
    const promised = (yield* pools.raw).promise()
    const connector = yield* pools.mariadbConnector
    const rows = yield* Effect.forEach(size.name === "full" ? [1, 100, 10_000] : [1, 100], (length) =>
      Effect.gen(function*() {
        const text =
          `select seq as id, concat('name ', seq) as name, seq * 0.5 as price from seq_1_to_${length} where seq > ?`
        const results = yield* Heat.run(size, [
          ofEffect("dbpool", () =>
            ours.client.unsafe(text, [0]), 10),
          ofEffect("@effect/sql-mysql2", () => official.unsafe(text, [0]), 10),
          ofPromise("mysql2", () => promised.execute(text, [0]), 10),
          ofPromise("mariadb", () => connector.execute(text, [0]), 10)
        ], 10)
        const what = `${name} ${length.toLocaleString("en")} ${length === 1 ? "row" : "rows"}, 10 fibers`
        return Row.ofHeat(suite, what, "µs", results, "dbpool", {
          "@effect/sql-mysql2": undefined,
          "mysql2": undefined,
          "mariadb": undefined
        })
      }))
    return rows.flat()
  }))

export const mysql = Suite.make(
  suite,
  [statement, transaction, resultSets],
  MariaServer.layerTest({ maxConnections: 300 })
)
