/**
 * How a connection is opened: what is sent at login, and the two cases in which a refusal is answered by a second try.
 */
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import pg from "pg"
import { Canceller } from "./cancel.js"
import type { Target } from "./config.js"
import { PgConnection } from "./connection.js"
import { LoginUnavailable } from "./errors.js"
import type { Login } from "./login.js"

/** @internal */
export const connector = <R>(target: Target<R>): Effect.Effect<PgConnection, unknown, R | Scope.Scope> => {
  const canceller = new Canceller(target.transactionPooling, target.raw)
  // learnt from the first refusal, by all connections of the pool
  let parameters = { ...target.optional, ...target.parameters }

  const dial = (login: Login) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const client = clientOf({ ...target.config, ...login }, parameters)
        return new PgConnection(client, canceller, target.preparedStatements)
      }),
      (connection) => connection.close
    ).pipe(Effect.tap((connection) => connection.dial), closedWhenFailed)

  const logIn = (login: Login) =>
    Effect.catchAll(dial(login), (error) => {
      const refused = Object.keys(target.optional).filter((name) => messageOf(error).includes(name))
      if (refused.length === 0) return Effect.fail(error)
      parameters = { ...target.parameters }
      return dial(login)
    })

  if (target.login === undefined) return logIn({})
  const login = Effect.catchAllCause(target.login, (cause) => Effect.fail(new LoginUnavailable(cause)))
  const attempt = Effect.flatMap(login, logIn)
  return Effect.catchIf(attempt, isRefusedPassword, () => attempt)
}

/** what a failed attempt leaves is closed now, not when the connection of the next one is */
const closedWhenFailed = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.flatMap(
    Effect.scope,
    (scope) =>
      Effect.flatMap(Scope.fork(scope, ExecutionStrategy.sequential), (own) =>
        Effect.onError(
          Effect.provideService(self, Scope.Scope, own),
          (cause) => Scope.close(own, Exit.failCause(cause))
        ))
  )

const messageOf = (error: unknown): string => error instanceof Error ? error.message : ""

const isRefusedPassword = (error: unknown): boolean =>
  ["28P01", "28000"].includes((error as { readonly code?: string }).code ?? "")

/** `pg` sends a fixed choice of settings with its login; the others are added to it */
const clientOf = (config: pg.ClientConfig, parameters: Readonly<Record<string, string>>): pg.Client => {
  const client = new pg.Client(config)
  const startup = client as unknown as { getStartupConf: () => Record<string, string> }
  const standard = startup.getStartupConf.bind(client)
  startup.getStartupConf = () => ({ ...standard(), ...parameters })
  return client
}
