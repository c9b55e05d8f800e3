/**
 * The settings of a session, sent with the login: no round trip, no statement that could fail half way, and what
 * `DISCARD ALL` goes back to.
 */
import * as PoolConfig from "@dbpool/core/PoolConfig"
import type { InvalidPoolConfig } from "@dbpool/core/PoolError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { PgPoolOptions } from "../PgPoolConfig.js"
import type { Refuse } from "./config.js"

/** @internal */
export interface Parameters {
  /** sent at login, besides what `pg` knows of */
  readonly parameters: Readonly<Record<string, string>>
  /** the one among them that not every server knows, and the pool can do without */
  readonly optional: Readonly<Record<string, string>>
  /** what a proxy would refuse at login, and every transaction can set for itself */
  readonly local: Readonly<Record<string, string>>
}

/** the largest number of milliseconds that the server takes */
const longest = 2 ** 31 - 1

/** the settings that are options of their own, in milliseconds */
const timeouts = {
  lockTimeout: "lock_timeout",
  idleInTransactionTimeout: "idle_in_transaction_session_timeout",
  clientConnectionCheckInterval: "client_connection_check_interval"
} as const

/** they matter in transactions above all, where they can be set along with BEGIN */
const localWhenPooling: ReadonlyArray<string> = ["lockTimeout", "idleInTransactionTimeout"]

/** what is not a setting, or is said elsewhere */
const elsewhere: Readonly<Record<string, string>> = {
  user: "use username",
  database: "use the option database",
  application_name: "use applicationName",
  options: "name each setting by itself",
  replication: "a pool lends no replication connections",
  client_encoding: "pg speaks UTF8 only"
}

/** @internal */
export const resolve = <R>(
  pool: string,
  options: PgPoolOptions<any, any, R>,
  transactionPooling: boolean,
  refuse: Refuse
): Effect.Effect<Parameters, InvalidPoolConfig> =>
  Effect.gen(function*() {
    const parameters: Record<string, string> = {}
    const local: Record<string, string> = {}
    const given: unknown = options.parameters ?? {}
    if (typeof given !== "object" || given === null) return yield* refuse("parameters", "must be an object")
    for (const [name, value] of Object.entries(given)) {
      const why = elsewhere[name.toLowerCase()]
      if (why !== undefined) return yield* refuse("parameters", `must not contain ${name}: ${why}`)
      if (!/^[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)*$/i.test(name)) {
        return yield* refuse("parameters", `must not contain ${JSON.stringify(name)}, which is no setting's name`)
      }
      const text = ["string", "number", "boolean"].includes(typeof value) ? String(value) : "\0"
      if (text.includes("\0")) {
        return yield* refuse("parameters", `must have a text, a number or a boolean for ${name}`)
      }
      parameters[name] = text
    }
    for (const [option, name] of Object.entries(timeouts)) {
      const value = options[option as keyof typeof timeouts]
      if (value === undefined) continue
      if (Object.keys(parameters).some((other) => other.toLowerCase() === name)) {
        return yield* refuse(option, `must not be set together with the parameter ${name}`)
      }
      if (option === "clientConnectionCheckInterval" && isZero(value)) continue
      const millis = Math.ceil(yield* PoolConfig.bound(pool, option, value))
      if (millis > longest) return yield* refuse(option, `must be at most ${longest} milliseconds`)
      const where = transactionPooling && localWhenPooling.includes(option) ? local : parameters
      where[name] = String(millis)
    }
    const untold = options.clientConnectionCheckInterval === undefined &&
      !transactionPooling && parameters.client_connection_check_interval === undefined
    return { parameters, local, optional: untold ? { client_connection_check_interval: "5000" } : {} }
  })

/** Effect reads a negative duration as zero; here it is a mistake */
const isZero = (input: Duration.DurationInput): boolean =>
  !String(input).trimStart().startsWith("-") && Option.exists(Duration.decodeUnknown(input), Duration.isZero)
