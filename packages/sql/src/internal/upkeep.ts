/**
 * What the pool itself does on a connection: preparing a new one, and restoring one that comes back. Neither is bounded
 * by `statementTimeout`, because connecting and resetting have bounds of their own, nor counted for `maxStatements`.
 */
import type * as Pool from "@dbpool/core/Pool"
import { InvalidPoolConfig } from "@dbpool/core/PoolError"
import * as PoolReset from "@dbpool/core/PoolReset"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { Driver } from "../Driver.js"
import type { Reset, Setup } from "../SqlPool.js"
import { isSqlPoolError } from "../SqlPoolError.js"
import { SqlLease } from "./lease.js"
import type { Member } from "./member.js"
import * as Region from "./region.js"

type Hook<R> = (member: Member) => Effect.Effect<unknown, unknown, R>

/** a handle that is good for as long as the hook runs */
const onLease = <R>(f: (connection: SqlLease) => Effect.Effect<unknown, unknown, R>): Hook<R> => (member) =>
  Effect.suspend(() => {
    const lease = new SqlLease(member)
    const { statements } = member
    return Effect.ensuring(
      Region.within(Effect.suspend(() => f(lease)), { timeout: Infinity }),
      Effect.sync(() => {
        lease.end()
        member.statements = statements
      })
    )
  })

/** @internal */
export const setup = <R>(
  pool: string,
  option: Setup<R> | undefined
): Effect.Effect<Hook<R> | undefined, InvalidPoolConfig> => {
  if (option === undefined) return Effect.succeed(undefined)
  const isList = Array.isArray(option) && option.every(Predicate.isString)
  if (!isList && typeof option !== "function") {
    const requirement = "must be an array of statements or a function"
    return Effect.fail(new InvalidPoolConfig({ pool, option: "setup", requirement }))
  }
  const run = typeof option === "function" ?
    option :
    (connection: SqlLease) => Effect.forEach(option, (sql) => connection.query(sql), { discard: true })
  return Effect.succeed((member) =>
    Effect.filterOrFail(
      onLease(run)(member),
      () => member.connection.condition() === "clean",
      () => new Error("setup has left a transaction open")
    )
  )
}

/** an error of `setup` is the driver's inside one of ours @internal */
export const connectFault = (driver: Driver<any, any>) => (error: unknown): Pool.Fault =>
  driver.connectFault(isSqlPoolError(error) && Predicate.hasProperty(error, "cause") ? error.cause : error)

const rollback = PoolReset.whenDirty((member: Member) => member.connection.rollback)

/** @internal */
export const reset = <R, RS>(
  pool: string,
  option: Reset<R>,
  setup: Hook<RS> | undefined
): Effect.Effect<PoolReset.Reset<Member, R | RS>, InvalidPoolConfig> => {
  switch (option) {
    case "rollback-if-needed":
      return Effect.succeed(rollback)
    case "always-rollback":
      return Effect.succeed(PoolReset.always((member: Member) => member.connection.rollback))
    case "session": {
      const forget: Hook<RS> = (member) =>
        setup === undefined
          ? member.connection.resetSession
          : Effect.zipRight(member.connection.resetSession, setup(member))
      return Effect.succeed(PoolReset.andThen(rollback, PoolReset.always(forget)))
    }
    case "none":
      return Effect.succeed(PoolReset.none)
  }
  if (typeof option === "function") {
    return Effect.succeed(PoolReset.andThen(rollback, PoolReset.always(onLease(option))))
  }
  if (Predicate.isRecord(option)) {
    const { onClean, onDirty } = option as PoolReset.Reset<SqlLease, R>
    return Effect.succeed({
      onClean: onClean === undefined ? undefined : onLease(onClean),
      onDirty: onDirty === undefined ? undefined : onLease(onDirty)
    })
  }
  const requirement = `must be "rollback-if-needed", "always-rollback", "session", "none", a function or a PoolReset`
  return Effect.fail(new InvalidPoolConfig({ pool, option: "reset", requirement }))
}
