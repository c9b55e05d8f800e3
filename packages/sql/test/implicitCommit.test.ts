/** A statement that commits the transaction it runs in, as DDL does on MySQL. */
import { refineErrors } from "@dbpool/sql/SqlPoolError"
import type * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { refuse } from "./server.js"
import { failsWith, makeOne } from "./support.js"

const migrate = (sql: SqlClient.SqlClient) =>
  Effect.all([sql`insert a`, sql`create t`, sql`insert b`], { discard: true })

describe("a statement that commits, inside a transaction of the pool", () => {
  it.scoped("ends it: what follows would be committed by itself, and is not sent", () =>
    Effect.gen(function*() {
      const { pool, server, sql } = yield* makeOne()
      yield* failsWith(pool.withTransaction(migrate(sql)), "LeaseReleased")
      yield* failsWith(pool.withTransaction(sql`create t`), "LeaseReleased")
      assert.deepStrictEqual(server.data, ["a"])
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN", "insert a", "create t", "BEGIN", "create t"])
    }))
})

describe("a statement that commits, inside a transaction of SqlClient, which migrators use", () => {
  it.scoped("lets the rest be a transaction of its own, kept as a whole", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      yield* sql.withTransaction(migrate(sql))
      assert.deepStrictEqual(server.data, ["a", "b"])
      assert.deepStrictEqual(server.sentOn(1), ["BEGIN", "insert a", "create t", "BEGIN", "insert b", "COMMIT"])
    }))

  it.scoped("or undone as a whole", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      yield* Effect.exit(sql.withTransaction(Effect.zipRight(migrate(sql), Effect.fail("no"))))
      server.on("insert c", refuse("UniqueViolation"))
      yield* Effect.exit(sql.withTransaction(Effect.zipRight(migrate(sql), sql`insert c`)))
      assert.deepStrictEqual(server.data, ["a", "a"])
    }))

  it.scoped("with nothing after it there is nothing left to commit", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      yield* sql.withTransaction(Effect.zipRight(sql`insert a`, sql`create t`))
      yield* Effect.exit(sql.withTransaction(Effect.zipRight(sql`create t`, Effect.fail("no"))))
      yield* sql.withTransaction(sql`insert b`)
      assert.deepStrictEqual(server.data, ["a", "b"])
      assert.deepStrictEqual(server.sentOn(1), [
        ...["BEGIN", "insert a", "create t"],
        ...["BEGIN", "create t"],
        ...["BEGIN", "insert b", "COMMIT"]
      ])
    }))

  it.scoped("counts for streams and nested transactions that follow, and for one statement after the other", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      yield* sql.withTransaction(Effect.all([
        sql`create t`,
        Stream.runDrain(sql`select 1`.stream),
        sql`create u`,
        sql.withTransaction(sql`insert a`),
        sql`create v`,
        sql`create w`
      ]))
      assert.deepStrictEqual(server.data, ["a"])
      assert.deepStrictEqual(
        server.sentOn(1).filter((text) => !text.includes("SAVEPOINT") && !text.startsWith("end of")),
        ["BEGIN", "create t", "BEGIN", "select 1", "create u", "BEGIN", "insert a", "create v", "BEGIN", "create w"]
      )
    }))

  it.scoped("is not what COMMIT by hand is: that ends it", () =>
    Effect.gen(function*() {
      const { server, sql } = yield* makeOne()
      const exit = yield* Effect.exit(refineErrors(sql.withTransaction(Effect.zipRight(sql`COMMIT`, sql`insert a`))))
      yield* failsWith(exit, "LeaseReleased")
      assert.deepStrictEqual(server.data, [])
    }))
})
