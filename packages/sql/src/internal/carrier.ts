/**
 * Which transactions a fiber is in. `@effect/sql` has one global tag for "the" transaction, which `SqlResolver` and others
 * look at; its value here is a connection that also knows the transaction of each pool, so that a statement of one
 * client inside a transaction of another goes where it belongs.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type * as Context from "effect/Context"
import type { Level } from "./level.js"

const Levels = Symbol.for("~@dbpool/sql/Levels")

interface Carrier extends Connection {
  readonly [Levels]: ReadonlyMap<object, Level>
}

type Service = readonly [connection: Connection & Partial<Carrier>, depth: number]

const current = (context: Context.Context<never>): Service | undefined =>
  context.unsafeMap.get(SqlClient.TransactionConnection.key)

/** the innermost open level of a pool @internal */
export const find = (context: Context.Context<never>, pool: object): Level | undefined =>
  current(context)?.[0][Levels]?.get(pool)

/** @internal */
export const make = (context: Context.Context<any>, pool: object, level: Level): readonly [Connection, number] => {
  const outer = current(context as Context.Context<never>)
  const carrier: Carrier = Object.assign(Object.create(level.asConnection) as Connection, {
    [Levels]: new Map(outer?.[0][Levels] ?? []).set(pool, level)
  })
  return [carrier, (outer?.[1] ?? -1) + 1]
}
