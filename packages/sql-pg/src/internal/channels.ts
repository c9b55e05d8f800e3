/**
 * LISTEN and NOTIFY of a pool.
 */
import { InvalidPoolConfig } from "@dbpool/core/PoolError"
import type * as SqlPool from "@dbpool/sql/SqlPool"
import { refineErrors } from "@dbpool/sql/SqlPoolError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { PgPool } from "../PgPool.js"
import type { ListenConfig } from "./listen.js"
import { Listener } from "./listen.js"

/** @internal */
export type Channels = Pick<PgPool, "listen" | "notify">

/** @internal */
export const make = (
  pool: SqlPool.SqlPool,
  config: ListenConfig,
  transactionPooling: boolean
): Effect.Effect<Channels, never, Scope.Scope> =>
  Effect.gen(function*() {
    const listener = new Listener(pool, config, yield* Effect.runtime())
    // runs before the pool closes, which would wait for the listener's lease
    yield* Effect.addFinalizer(() => listener.close)
    return {
      listen: (channel, options) =>
        transactionPooling
          ? Stream.fail(
            new InvalidPoolConfig({
              pool: config.name,
              option: "transactionPooling",
              requirement: "must be off to listen: use a pool of its own that reaches the server without the proxy"
            })
          )
          : listener.listen(channel, options),
      notify: (channel, payload = "") =>
        Effect.asVoid(
          refineErrors(pool.client.unsafe("select pg_notify($1, $2)", [channel, payload]).raw)
        ) as ReturnType<
          Channels["notify"]
        >
    }
  })
