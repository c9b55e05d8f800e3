/**
 * What building a pool waits for. The minimum is opened in any case; `initialize` says whether somebody waits for it.
 */
import * as Effect from "effect/Effect"
import type * as PoolError from "../PoolError.js"
import { ConnectFailed, ConnectTimeout } from "../PoolError.js"
import type { Engine } from "./engine.js"
import { acquire } from "./lease.js"
import * as Outage from "./outage.js"
import { shutdown } from "./shutdown.js"

/** @internal */
export const initialize = <C>(
  engine: Engine<C>
): Effect.Effect<void, PoolError.ConnectFailed | PoolError.TooManyConnections> =>
  Effect.suspend(() => {
    engine.pump(engine.now())
    switch (engine.config.initialize) {
      case "lazy":
        return Effect.void
      case "check":
        return check(engine, 1)
      case "fill":
        return check(engine, Math.max(1, engine.config.minConnections))
    }
  })

/** takes that many connections at once and gives them back; without them nothing is left of the pool */
const check = <C>(engine: Engine<C>, count: number) => {
  const { admission, config: { failFastAfter, initializeTimeout, name } } = engine
  // there are no callers yet that could be told sooner
  admission.failFastAfter = Infinity
  const deadline = engine.now() + initializeTimeout
  // one after the other: what is still missing of the minimum is opened meanwhile
  const lease = Effect.suspend(() =>
    acquire(engine, { timeout: Math.max(0, deadline - engine.now()), whenExhausted: "wait" })
  )
  return Effect.scoped(Effect.replicateEffect(lease, count, { discard: true }))
    .pipe(
      Effect.catchTags({
        AcquireTimeout: () =>
          Effect.fail(
            admission.paced
              ? Outage.error(engine)
              : new ConnectFailed({
                pool: name,
                cause: new ConnectTimeout({ afterMillis: initializeTimeout }),
                attempts: 1,
                fatal: false,
                ageMillis: 0,
                retryInMillis: undefined
              })
          ),
        PoolClosed: Effect.die,
        PoolSuspended: Effect.die,
        InvalidPoolConfig: Effect.die,
        // a pool that is being made has no leases yet
        NestedAcquire: Effect.die,
        SessionLost: Effect.die
      }),
      Effect.onError(() => shutdown(engine)),
      Effect.ensuring(Effect.sync(() => {
        admission.failFastAfter = failFastAfter
      }))
    )
}
