/**
 * For each of the ten rules, pools that break it deliberately, and are caught.
 */
import * as Pool from "@dbpool/core/Pool"
import * as PoolBooks from "@dbpool/testing/PoolBooks"
import * as PoolRules from "@dbpool/testing/PoolRules"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"

type Connection = SimulatedServer.Connection
type TestPool = Pool.Pool<Connection>
type Options = Pool.Options<Connection, SimulatedServer.ServerError, Scope.Scope>

/** what is wrong with a pool: with the options that it really has, or with what it does */
interface Bug {
  readonly options?: (honest: Options) => Partial<Options>
  readonly pool?: (pool: TestPool, honest: Options) => Partial<TestPool>
}

interface World {
  readonly pool: TestPool
  readonly server: SimulatedServer.SimulatedServer
  /** a user who keeps a connection for ten seconds, in the background */
  readonly holder: Effect.Effect<Fiber.RuntimeFiber<unknown, unknown>, never, Scope.Scope>
}

/** plays a scene with a pool of at most two connections that has a bug, and tells which rules it has broken */
const play = (
  bug: Bug,
  options: Partial<Options>,
  scene: (world: World) => Effect.Effect<unknown, unknown, Scope.Scope>
) =>
  Effect.gen(function*() {
    const server = yield* SimulatedServer.make
    const honest: Options = { ...server.options, name: "buggy", initialize: "lazy", maxConnections: 2, ...options }
    const books = yield* PoolBooks.record(honest)
    const scope = yield* Scope.make()
    const real = yield* Scope.extend(Pool.make({ ...books.options, ...bug.options?.(books.options) }), scope)
    const watched = yield* Scope.extend(
      PoolRules.watch({ ...real, ...bug.pool?.(real, books.options) }, books, { tolerance: "1 millis" }),
      scope
    )
    const { pool } = watched
    const holder = Effect.zipLeft(
      Effect.forkScoped(pool.use(() => Effect.sleep("10 seconds"))),
      TestClock.adjust(0)
    )
    yield* Effect.scoped(Effect.zipRight(Effect.exit(scene({ server, pool, holder })), Effect.exit(watched.check)))
    const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
    yield* TestClock.adjust("2 hours")
    yield* Fiber.join(closing)
    yield* Effect.exit(watched.balanced)
    return yield* watched.broken
  })

const use = (pool: TestPool) => pool.use((connection) => connection.query)

/** two who hold, so that the next one has to wait */
const full = (world: World) =>
  Effect.zipRight(world.holder, Effect.zipRight(TestClock.adjust("1 second"), world.holder))

interface Case {
  readonly bug: Bug
  readonly options?: Partial<Options>
  readonly scene: (world: World) => Effect.Effect<unknown, unknown, Scope.Scope>
  readonly says: string
}

const cases: Record<PoolRules.Rule, Record<string, Case>> = {
  1: {
    "opens more than maxConnections": {
      bug: { options: () => ({ maxConnections: 3 }) },
      scene: (world) => Effect.zipRight(full(world), world.holder),
      says: "3 connections, and there may be 2"
    },
    "opens more when it ought to shrink": {
      bug: { pool: (pool) => ({ resize: () => pool.resize({ maxConnections: 3 }) }) },
      scene: (world) =>
        Effect.zipRight(world.pool.resize({ maxConnections: 1 }), Effect.zipRight(full(world), world.holder)),
      says: "2 connections, and there may be 1"
    },
    "keeps what comes back when it has shrunk": {
      bug: { pool: () => ({ resize: () => Effect.void }) },
      scene: (world) =>
        full(world).pipe(
          Effect.zipRight(world.pool.resize({ maxConnections: 1 })),
          Effect.zipRight(TestClock.adjust("20 seconds"))
        ),
      says: "2 connections are kept idle, although there are 1 too many"
    },
    "counts more than maxConnections": {
      bug: { pool: (pool) => ({ stats: Effect.map(pool.stats, (stats) => ({ ...stats, open: 3 })) }) },
      scene: full,
      says: "stats says that 3 of 2 are open"
    }
  },
  2: {
    "lends one connection to two": {
      bug: {
        pool: (pool) => {
          let lent: Connection | undefined
          return {
            use: (f) =>
              lent === undefined
                ? pool.use((connection) => {
                  lent = connection
                  return f(connection)
                })
                : f(lent)
          }
        }
      },
      scene: full,
      says: "connection 1 was lent to call 2 while call 1 had it"
    },
    "validates what is lent": {
      bug: {
        pool: (pool, { validate }) => ({
          use: (f) =>
            pool.use((connection) =>
              Effect.zipRight(Effect.fork(Effect.delay(validate!(connection), "1 second")), f(connection))
            )
        })
      },
      scene: full,
      says: "validate ran on connection 1 while call 1 had it"
    }
  },
  3: {
    "lets callers wait beside an idle connection": {
      bug: { pool: (pool) => ({ use: (f) => Effect.delay(pool.use(f), "1 second") }) },
      scene: ({ pool }) =>
        Effect.gen(function*() {
          yield* Effect.scoped(pool.acquire)
          yield* Effect.forkScoped(use(pool))
          yield* TestClock.adjust("500 millis")
        }),
      says: "call 2 waits, and 1 connections are idle"
    },
    "forgets to connect": {
      bug: { pool: (pool) => ({ use: (f) => Effect.delay(pool.use(f), "1 second") }) },
      scene: ({ pool }) => Effect.zipRight(Effect.forkScoped(use(pool)), TestClock.adjust("500 millis")),
      says: "call 1 waits, there are 0 of 2 connections, and none is being opened"
    }
  },
  4: {
    "serves whoever came last": {
      bug: {
        pool: (pool) => {
          let turn = 0
          // everybody steps back by as many seconds as have come after him
          return {
            use: (f) =>
              Effect.suspend(() => {
                const mine = ++turn
                return Effect.zipRight(
                  Effect.delay(Effect.void, mine === 3 ? "20 seconds" : 0),
                  pool.use(f)
                )
              })
          }
        }
      },
      scene: (world) =>
        Effect.gen(function*() {
          yield* full(world)
          yield* world.holder
          yield* world.holder
          yield* TestClock.adjust("15 seconds")
        }),
      says: "call 4 was served before call 3, which still waits"
    }
  },
  5: {
    "arms the deadline anew": {
      bug: { pool: (pool) => ({ use: (f, options) => Effect.retry(pool.use(f, options), { times: 1 }) }) },
      options: { acquireTimeout: "3 seconds" },
      scene: (world) =>
        Effect.gen(function*() {
          yield* full(world)
          const late = yield* Effect.fork(use(world.pool))
          yield* TestClock.adjust("6 seconds")
          yield* Fiber.await(late)
        }),
      says: "call 3 was answered 3000 ms after its deadline"
    },
    "never answers": {
      bug: { pool: () => ({ use: () => Effect.never }) },
      options: { acquireTimeout: "3 seconds" },
      scene: ({ pool }) => Effect.zipRight(Effect.forkScoped(use(pool)), TestClock.adjust("1 minute")),
      says: "call 1 still waits, after its deadline"
    }
  },
  6: {
    "has the caller connect": {
      bug: { pool: (_, { connect }) => ({ use: (f) => Effect.scoped(Effect.flatMap(Effect.orDie(connect), f)) }) },
      scene: ({ pool, server }) =>
        Effect.gen(function*() {
          yield* server.always("connect", { takes: "1 second" })
          const caller = yield* Effect.fork(use(pool))
          yield* TestClock.adjust("300 millis")
          yield* Fiber.interrupt(caller)
        }),
      says: "the connect of connection 1 was cut off after 300 ms"
    },
    "throws a late connection away": {
      bug: {
        pool: (pool) => {
          const evict = pool.events.pipe(
            Stream.filter(({ _tag }) => _tag === "ConnectionOpened"),
            Stream.take(1),
            Stream.runForEach(() => pool.evictIdle)
          )
          return { use: (f) => Effect.onInterrupt(pool.use(f), () => Effect.forkDaemon(evict)) }
        }
      },
      scene: ({ pool, server }) =>
        Effect.gen(function*() {
          yield* server.always("connect", { takes: "1 second" })
          const caller = yield* Effect.fork(use(pool))
          yield* TestClock.adjust("300 millis")
          yield* Fiber.interrupt(caller)
          yield* TestClock.adjust("1 second")
        }),
      says: "connection 1 was closed unused as soon as it was open"
    }
  },
  7: {
    "forgets what an interrupted caller was given": {
      bug: {
        pool: (pool) => ({
          use: (f, options) =>
            Effect.uninterruptibleMask((restore) =>
              Effect.flatMap(
                Scope.make(),
                (scope) =>
                  Effect.flatMap(
                    Scope.extend(pool.acquireWith(options ?? {}), scope),
                    ({ connection }) => Effect.zipLeft(restore(f(connection)), Scope.close(scope, Exit.void))
                  )
              )
            )
        })
      },
      scene: ({ pool, server }) =>
        Effect.gen(function*() {
          yield* server.always("connect", { takes: "1 second" })
          const caller = yield* Effect.fork(use(pool))
          yield* TestClock.adjust("300 millis")
          yield* Fiber.interruptFork(caller)
          yield* TestClock.adjust("1 second")
        }),
      says: "1 connections are lent, and 0 callers have one"
    }
  },
  8: {
    "lends what is in a transaction": {
      bug: { options: () => ({ condition: () => "clean" }) },
      scene: ({ pool }) => Effect.zipRight(pool.use(({ begin }) => begin), use(pool)),
      says: "connection 1 was lent while dirty"
    },
    "lends what is busy": {
      bug: { options: () => ({ condition: () => "clean" }) },
      scene: ({ pool }) => Effect.zipRight(pool.use(({ leave }) => leave("busy")), use(pool)),
      says: "connection 1 was lent while busy"
    },
    "lends what is too old": {
      bug: { options: () => ({ maxLifetime: Duration.infinity }) },
      options: { maxLifetime: "1 minute" },
      scene: ({ pool }) => use(pool).pipe(Effect.zipRight(TestClock.adjust("61 seconds")), Effect.zipRight(use(pool))),
      says: "connection 1 was lent 61000 ms old, and maxLifetime is 60000 ms"
    },
    "lends what was drained": {
      bug: { pool: () => ({ drain: () => Effect.void }) },
      scene: ({ pool }) =>
        Effect.gen(function*() {
          yield* use(pool)
          yield* pool.drain({ hard: true, over: "1 second" })
          yield* TestClock.adjust("2 seconds")
          yield* use(pool)
        }),
      says: "connection 1 was lent after a hard drain"
    },
    "does not listen for deaths": {
      bug: {
        options: ({ onLost }) => ({ validate: undefined, onLost: (connection) => onLost!(connection, () => {}) })
      },
      scene: ({ pool, server }) =>
        Effect.gen(function*() {
          yield* use(pool)
          yield* server.restart
          yield* TestClock.adjust("1 second")
          yield* use(pool)
        }),
      says: "connection 1 was lent after it had died"
    },
    "lends what it has closed": {
      bug: {
        pool: (pool) => {
          let last: Connection | undefined
          return {
            use: (f) =>
              last === undefined
                ? pool.use((connection) => {
                  last = connection
                  return f(connection)
                })
                : f(last)
          }
        }
      },
      scene: ({ pool }) =>
        Effect.gen(function*() {
          yield* use(pool)
          yield* pool.evictIdle
          yield* TestClock.adjust("1 second")
          yield* use(pool)
        }),
      says: "connection 1 was lent after it was closed"
    }
  },
  9: {
    "never closes": {
      bug: {
        options: ({ connect }) => ({ connect: Effect.flatMap(Scope.make(), (scope) => Scope.extend(connect, scope)) })
      },
      scene: ({ pool }) => use(pool),
      says: "connection 1 was never closed"
    },
    "does not clear up after a connect that failed": {
      bug: {
        options: ({ connect }) => ({
          connect: Effect.flatMap(Scope.make(), (scope) => Scope.extend(connect, scope))
        })
      },
      options: { connectTimeout: "1 second" },
      scene: ({ pool, server }) =>
        Effect.gen(function*() {
          yield* server.always("connect", { takes: "2 seconds", stubborn: true })
          yield* Effect.forkScoped(use(pool))
          yield* TestClock.adjust("5 seconds")
        }),
      says: "connection 1 was never closed"
    },
    "loses sight of a connection": {
      bug: {
        options: ({ connect }) => ({
          connect: Effect.zipRight(Effect.flatMap(Scope.make(), (scope) => Scope.extend(connect, scope)), connect)
        })
      },
      scene: ({ pool }) => use(pool),
      says: "2 connections are open, and the pool knows of 1"
    },
    "destroys what is closed": {
      bug: {
        pool: (pool, { destroy }) => ({
          evictIdle: Effect.zipLeft(
            pool.use((connection) => Effect.as(pool.evictIdle, connection)).pipe(
              Effect.zipLeft(pool.evictIdle),
              Effect.zipLeft(TestClock.adjust("1 second")),
              Effect.map((connection) => destroy!(connection)),
              Effect.orDie
            ),
            Effect.void
          ).pipe(Effect.as(1))
        })
      },
      scene: ({ pool }) => Effect.zipRight(use(pool), pool.evictIdle),
      says: "connection 1 was destroyed after it had been closed"
    },
    "destroys twice": {
      bug: {
        options: ({ destroy }) => ({
          destroy: (connection) => {
            destroy!(connection)
            destroy!(connection)
          }
        })
      },
      scene: ({ pool, server }) =>
        Effect.gen(function*() {
          yield* server.always("close", { takes: "never" })
          yield* use(pool)
          yield* pool.evictIdle
          yield* TestClock.adjust("2 seconds")
        }),
      says: "connection 1 was closed 0 and destroyed 2 times"
    },
    "miscounts": {
      bug: { pool: (pool) => ({ stats: Effect.map(pool.stats, (stats) => ({ ...stats, closed: 0 })) }) },
      scene: ({ pool }) => use(pool),
      says: "1 connections were opened, and 0 closed"
    },
    "does not empty": {
      bug: { pool: (pool) => ({ stats: Effect.map(pool.stats, (stats) => ({ ...stats, open: 1 })) }) },
      scene: ({ pool }) => use(pool),
      says: "stats says that 1 connections are open, 0 idle, 0 leased, and 0 callers waiting"
    },
    "forgets those who wait": {
      bug: { pool: () => ({ use: () => Effect.never }) },
      scene: ({ pool }) => Effect.zipRight(Effect.forkDaemon(use(pool)), TestClock.adjust(0)),
      says: "call 1 waits for a pool that is closed"
    }
  },
  10: {
    "waits for a close that never ends": {
      bug: { options: () => ({ closeTimeout: "1 hour" }) },
      options: { closeTimeout: "1 second" },
      scene: ({ pool, server }) =>
        Effect.gen(function*() {
          yield* server.always("close", { takes: "never" })
          yield* use(pool)
          yield* pool.evictIdle
          yield* TestClock.adjust("2 seconds")
        }),
      says: "connection 1 is still being closed, and closeTimeout is 1000 ms"
    },
    "does not count what it gave up": {
      bug: { pool: (pool) => ({ stats: Effect.map(pool.stats, (stats) => ({ ...stats, abandoned: 0 })) }) },
      scene: ({ pool, server }) =>
        Effect.gen(function*() {
          yield* server.always("close", { takes: "never" })
          yield* use(pool)
          yield* pool.evictIdle
          yield* TestClock.adjust("2 seconds")
        }),
      says: "1 connections were given up, and 0 counted as abandoned"
    }
  }
}

for (const [rule, bugs] of Object.entries(cases)) {
  describe(`rule ${rule}, ${PoolRules.rules[Number(rule) as PoolRules.Rule]}, is broken by a pool that`, () => {
    for (const [name, { bug, options = {}, says, scene }] of Object.entries(bugs)) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const broken = yield* play(bug, options, scene)
          const found = broken.map(({ rule, what }) => `${rule}: ${what}`)
          assert.include(found, `${rule}: ${says}`)
          assert.isEmpty(yield* play({}, options, scene), "a sound pool does not break it")
        }))
    }
  })
}
