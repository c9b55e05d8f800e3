/**
 * How a connection is opened, and made known to whoever may have to cancel a statement on it.
 */
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type mysql from "mysql2"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import type { Target } from "./config.js"
import type { Shared } from "./connection.js"
import { MysqlConnection } from "./connection.js"
import { Control, whoAreYou } from "./control.js"
import { isRefusedPassword, isServerError, PasswordUnavailable } from "./errors.js"

/** The control connection ends with the scope, after those of the pool. @internal */
export const connector = <R>(
  target: Target<R>
): Effect.Effect<Effect.Effect<MysqlConnection, unknown, R | Scope.Scope>, never, Scope.Scope> =>
  Effect.gen(function*() {
    /** the last one that the server took */
    let accepted: string | undefined
    const configOf = (password: string | undefined): mysql.ConnectionOptions =>
      password === undefined ? target.config : { ...target.config, password }
    const control = yield* Effect.acquireRelease(
      Effect.sync(() => new Control(() => configOf(accepted), target.dial)),
      (control) => Effect.sync(() => control.close())
    )
    const shared: Shared = {
      control,
      readTimeout: target.readTimeout,
      writeTimeout: target.writeTimeout,
      settings: `SET NAMES ${target.charset} COLLATE ${target.collation}, autocommit = 1`,
      hasNoReset: false,
      unpreparable: new Set()
    }

    const login = (password?: string) =>
      Effect.suspend(() => {
        const socket = target.dial()
        return Effect.acquireRelease(
          Effect.sync(() => new MysqlConnection({ ...configOf(password), stream: () => socket }, shared)),
          (connection) => connection.close
        ).pipe(
          Effect.tap((connection) => connection.dial),
          Effect.tap((connection) => {
            accepted = password
            return introduce(connection, socket)
          }),
          Effect.tap((connection) => connection.commitItself),
          closedWhenFailed
        )
      })

    if (target.password === undefined || typeof target.password === "string") return login(target.password)
    const password = Effect.matchCauseEffect(target.password, {
      onFailure: (cause) => Effect.fail(new PasswordUnavailable(cause)),
      onSuccess: (redacted) => Effect.succeed(Redacted.value(redacted))
    })
    const attempt = Effect.flatMap(password, login)
    return Effect.catchIf(attempt, isRefusedPassword, () => attempt)
  })

/** a server that will not say who it is cannot be told to cancel */
const introduce = (connection: MysqlConnection, socket: Duplex): Effect.Effect<void, unknown> =>
  connection.text(whoAreYou).pipe(
    Effect.map((rows) => {
      const [id, server, autocommit] = rows[0] ?? []
      if (Number(autocommit) === 0) connection.status.autocommitIsOff()
      const { remoteAddress: host, remotePort: port } = socket as Socket
      connection.address = {
        id: String(id),
        server: String(server),
        remote: host === undefined || port === undefined ? undefined : { host, port }
      }
    }),
    // an error does not say what the session is like
    Effect.catchIf(isServerError, () => connection.validate)
  )

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
