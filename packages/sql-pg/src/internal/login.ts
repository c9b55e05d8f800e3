/**
 * Who logs in: values, or effects that are run for every connection, because what they give may change.
 */
import type { InvalidPoolConfig } from "@dbpool/core/PoolError"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type { Credentials, PgPoolOptions } from "../PgPoolConfig.js"
import type { Refuse } from "./config.js"

/** as `pg` wants it @internal */
export interface Login {
  readonly user?: string | undefined
  readonly password?: string | undefined
}

/** what does not change, and what comes before it for every connection @internal */
export interface Logins<R> extends Login {
  readonly changing?: Effect.Effect<Login, unknown, R> | undefined
}

/** @internal */
export const resolve = <R>(
  { credentials, password, username: user }: PgPoolOptions<any, any, R>,
  refuse: Refuse
): Effect.Effect<Logins<R>, InvalidPoolConfig> => {
  if (credentials !== undefined) {
    if (user !== undefined || password !== undefined) {
      return refuse("credentials", "must not be set together with username or password")
    }
    if (Effect.isEffect(credentials)) return Effect.succeed({ changing: Effect.map(credentials, loginOf) })
    return isCredentials(credentials)
      ? Effect.succeed(loginOf(credentials))
      : refuse("credentials", "must be a username and a Redacted password, or an effect that gives both")
  }
  if (password === undefined) return Effect.succeed({ user })
  if (Redacted.isRedacted(password)) return Effect.succeed({ user, password: Redacted.value<string>(password) })
  return Effect.isEffect(password)
    ? Effect.succeed({ user, changing: Effect.map(password, (given) => ({ password: Redacted.value(given) })) })
    : refuse("password", "must be a Redacted, or an effect that gives one")
}

const loginOf = ({ password, username }: Credentials): Login => ({ user: username, password: Redacted.value(password) })

const isCredentials = (given: unknown): given is Credentials =>
  Predicate.hasProperty(given, "username") && Predicate.isString(given.username) &&
  Predicate.hasProperty(given, "password") && Redacted.isRedacted(given.password)
