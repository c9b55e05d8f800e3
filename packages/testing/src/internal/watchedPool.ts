/**
 * A pool that tells the referee what is done with it, and does what the one inside does.
 */
import * as AcquireOptions from "@dbpool/core/AcquireOptions"
import type * as Pool from "@dbpool/core/Pool"
import type { AcquireError } from "@dbpool/core/PoolError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Call } from "./calls.js"
import type { Session } from "./calls.js"
import type { Referee } from "./referee.js"

/** the sessions that the running fiber is in, by the pool they are of */
const sessions = FiberRef.unsafeMake<ReadonlyMap<Referee, Session>>(new Map())

const sessionOf = (referee: Referee): Effect.Effect<Session | undefined> =>
  Effect.map(FiberRef.get(sessions), (all) => {
    const session = all.get(referee)
    return session === undefined || (session.ended && session.turns === 0) ? undefined : session
  })

/** one that is no duration is the pool's to refuse */
const millisOf = (timeout: Duration.DurationInput): number =>
  Option.match(Duration.decodeUnknown(timeout), { onNone: () => Infinity, onSome: Duration.toMillis })

/**
 * Begins a call. The fiber yields before, so that it does not have to between this step and its place in the queue: the
 * order in which calls are made known is the order in which they queue up.
 */
const asks = (referee: Referee, options: AcquireOptions.AcquireOptions | undefined): Effect.Effect<Call> =>
  Effect.yieldNow().pipe(
    Effect.zipRight(Effect.all([AcquireOptions.Region, sessionOf(referee)])),
    Effect.map(([region, session]) => {
      const timeout = options?.timeout ?? region.timeout
      return referee.asks(timeout === undefined ? undefined : millisOf(timeout), session)
    })
  )

/** runs with a call, which ends when the effect does */
const asking = <A, E, R>(
  referee: Referee,
  options: AcquireOptions.AcquireOptions | undefined,
  self: (call: Call) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      asks(referee, options),
      (call) => Effect.ensuring(restore(Effect.suspend(() => self(call))), Effect.sync(() => referee.left(call)))
    )
  )

/** what a borrower does with its connection; it has given it back before the pool gets it */
const borrowing = <C, A, E, R>(referee: Referee, call: Call, connection: C, self: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    referee.served(call, connection)
    return Effect.ensuring(self, Effect.sync(() => referee.gaveBack(call)))
  })

const acquire = <C>(
  referee: Referee,
  pool: Pool.Pool<C>,
  options: AcquireOptions.AcquireOptions
): Effect.Effect<Pool.Lease<C>, AcquireError, Scope.Scope> =>
  asking(referee, options, (call) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Scope.make(), (scope) =>
        // a scope in between, so that a lease that comes together with an interrupt goes back at once
        Effect.matchCauseEffect(restore(Scope.extend(pool.acquireWith(options), scope)), {
          onFailure: (cause) => Effect.zipRight(Scope.close(scope, Exit.failCause(cause)), Effect.failCause(cause)),
          onSuccess: (lease) => {
            referee.served(call, lease.connection)
            return Effect.as(
              Effect.addFinalizer((exit) => {
                referee.gaveBack(call)
                return Scope.close(scope, exit)
              }),
              lease
            )
          }
        }))
    ))

const use = <C>(referee: Referee, pool: Pool.Pool<C>): Pool.Pool<C>["use"] => (f, options) =>
  asking(
    referee,
    options,
    (call) =>
      pool.use((connection) => borrowing(referee, call, connection, Effect.suspend(() => f(connection))), options)
  )

const call = <C>(referee: Referee, pool: Pool.Pool<C>): Pool.Pool<C>["call"] => (start, options) =>
  asking(referee, options, (call) =>
    pool.call((connection, done) => {
      referee.served(call, connection)
      try {
        const abandon = start(connection, (exit) => {
          referee.gaveBack(call)
          done(exit)
        })
        return () => {
          referee.gaveBack(call)
          abandon()
        }
      } catch (defect) {
        referee.gaveBack(call)
        throw defect
      }
    }, options))

const stream = <C>(referee: Referee, pool: Pool.Pool<C>): Pool.Pool<C>["stream"] => (f, options) =>
  Stream.unwrapScoped(
    Effect.map(
      Effect.acquireRelease(asks(referee, options), (call) => Effect.sync(() => referee.left(call))),
      (call) =>
        pool.stream((connection) => {
          referee.served(call, connection)
          return Stream.ensuring(f(connection), Effect.sync(() => referee.gaveBack(call)))
        }, options)
    )
  )

const session = <C>(referee: Referee, pool: Pool.Pool<C>): Pool.Pool<C>["session"] => (self) =>
  Effect.flatMap(sessionOf(referee), (outer) =>
    outer !== undefined
      ? pool.session(self)
      : asking(referee, undefined, (call) =>
        pool.session(
          Effect.suspend(() => {
            referee.served(call)
            const session = referee.calls.openSession()
            return self.pipe(
              Effect.locallyWith(sessions, (all) => new Map(all).set(referee, session)),
              Effect.ensuring(Effect.sync(() => referee.calls.endSession(session)))
            )
          })
        )))

/** @internal */
export const watched = <C, P extends Pool.Pool<C>>(pool: P, referee: Referee): P => {
  const noOptions: AcquireOptions.AcquireOptions = {}
  const overrides: Partial<Pool.Pool<C>> = {
    acquire: acquire(referee, pool, noOptions),
    acquireWith: (options) => acquire(referee, pool, options),
    tryAcquire: acquire(referee, pool, { whenExhausted: "fail" }),
    use: use(referee, pool),
    call: call(referee, pool),
    stream: stream(referee, pool),
    session: session(referee, pool),
    resize: (size) =>
      Effect.suspend(() => {
        const before = referee.grows(size.maxConnections)
        return Effect.onExit(pool.resize(size), (exit) =>
          Effect.map(pool.stats, ({ open }) => {
            referee.resized(Exit.isSuccess(exit) ? size.maxConnections ?? before : before, open)
          }))
      }),
    evictIdle: Effect.suspend(() => {
      referee.purges("what is idle is evicted")
      return pool.evictIdle
    }),
    drain: (options) =>
      Effect.suspend(() => {
        const { hard = false, over = 0 } = options ?? {}
        referee.purges(hard ? "a hard drain" : "a drain")
        const open = referee.standing()
        const draining = pool.drain(options)
        return hard ? Effect.tap(draining, () => referee.condemns(open, Duration.toMillis(over))) : draining
      }),
    suspend: Effect.zipRight(Effect.sync(() => void (referee.suspended = true)), pool.suspend),
    resume: Effect.zipRight(pool.resume, Effect.sync(() => void (referee.suspended = false)))
  }
  return { ...pool, ...overrides }
}
