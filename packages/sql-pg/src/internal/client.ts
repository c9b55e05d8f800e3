/**
 * `@effect/sql-pg`'s client over a pool of ours: what its interface has beyond `SqlClient`.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import type * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { PgPoolOptions } from "../PgPoolConfig.js"
import type { Channels } from "./channels.js"
import type { Target } from "./config.js"

/** `sql.json`, by the name that the compiler of `@effect/sql-pg` knows; the function itself is not exported */
const json = Statement.custom<Statement.Custom<"PgJson", unknown, void, void>>("PgJson")

/** Gives a client what it lacks. @internal */
export const extend = (
  client: SqlClient.SqlClient,
  channels: Channels,
  config: PgClient.PgClientConfig
): PgClient.PgClient => {
  const { withoutTransforms } = client
  const extended: PgClient.PgClient = Object.assign(client as PgClient.PgClient, {
    [PgClient.TypeId]: PgClient.TypeId,
    config,
    json: (value: unknown) => json(value, undefined, undefined),
    listen: (channel: string) =>
      channels.listen(channel).pipe(
        Stream.filterMap((element) => element._tag === "Notification" ? Option.some(element.payload) : Option.none()),
        Stream.mapError(toSqlError)
      ),
    notify: (channel: string, payload: string) => Effect.mapError(channels.notify(channel, payload), toSqlError),
    withoutTransforms: () => {
      const untransformed = withoutTransforms.call(client)
      return untransformed === client ? extended : extend(untransformed, channels, config)
    }
  })
  return extended
}

const toSqlError = (cause: Error) => new SqlError({ cause, message: cause.message })

/** what `@effect/sql-pg` would have been configured with */
export const configOf = <R>(target: Target<R>, options: PgPoolOptions<any, any, R>): PgClient.PgClientConfig => ({
  url: options.url,
  ...target.address,
  path: options.path,
  ssl: target.config.ssl,
  username: target.username,
  password: typeof target.config.password === "string" ? Redacted.make(target.config.password) : undefined,
  stream: options.stream,
  idleTimeout: options.idleTimeout,
  connectTimeout: options.connectTimeout,
  maxConnections: options.maxConnections,
  minConnections: options.minConnections,
  connectionTTL: options.connectionTTL ?? options.maxLifetime,
  applicationName: options.applicationName,
  spanAttributes: options.spanAttributes,
  transformResultNames: options.transformResultNames,
  transformQueryNames: options.transformQueryNames,
  transformJson: options.transformJson,
  types: options.types
})
