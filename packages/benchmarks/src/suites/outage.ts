/**
 * HikariCP's "database down" test: callers use a pool while its server goes away, and comes back.
 */
import * as PgServer from "@dbpool/testing/PgServer"
import * as TcpProxy from "@dbpool/testing/TcpProxy"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import pg from "pg"
import type { Address } from "../pools/postgres.js"
import * as pools from "../pools/postgres.js"
import * as Row from "../Row.js"
import * as Statistics from "../Statistics.js"
import * as Suite from "../Suite.js"

const suite = "outage"

/** how many use the pool, and how long each rests between two attempts, in milliseconds */
const callers = 20
const pause = 20

/** counts the sockets that a pool opens */
class Dials {
  count = 0
  readonly stream = () => {
    this.count++
    return new Net.Socket()
  }
}

interface Candidate {
  readonly name: string
  readonly query: (address: Address, dials: Dials, downMillis: number) => Effect.Effect<
    () => Effect.Effect<unknown, unknown>,
    unknown,
    Scope.Scope | PgServer.PgServer
  >
}

const candidates: ReadonlyArray<Candidate> = [
  {
    name: "dbpool",
    // by default callers wait for five seconds before they are told anything, so that nobody sees a short outage
    query: (address, { stream }, downMillis) =>
      Effect.map(
        pools.ours({ stream, failFastAfter: downMillis / 4 }, address),
        ({ client }) => () => client`select 1`
      )
  },
  {
    name: "@effect/sql-pg",
    query: (address, { stream }) => Effect.map(pools.official(address, stream), (sql) => () => sql`select 1`)
  },
  {
    name: "pg.Pool",
    query: (address, { stream }) =>
      Effect.map(pools.raw(address, stream), (pool) => () => Effect.tryPromise(() => pool.query("select 1")))
  }
]

interface Course {
  /** what callers were told, and after how many milliseconds each */
  readonly told: number
  readonly toldCause: number
  readonly waited: ReadonlyArray<number>
  readonly dialsPerSecond: number
  /** milliseconds from the return of the server: to a login of somebody else, and to the pool's first success */
  readonly probe: number
  readonly recovered: number
}

/** an error tells the cause if what it carries says that the server is not there, or that the connection was lost */
const namesCause = (cause: Cause.Cause<unknown>): boolean =>
  /ECONNREFUSED|ECONNRESET|EPIPE|terminated|closed|lost/i.test(deep(Cause.squash(cause)))

const deep = (error: unknown, levels = 6): string =>
  error === undefined || error === null || levels === 0 ? "" : [
    String(error),
    ...Object.entries(error).filter(([key]) => ["cause", "error", "lastError", "code"].includes(key)).map(
      ([, value]) => deep(value, levels - 1)
    ),
    error instanceof Error ? deep(error.cause, levels - 1) : ""
  ].join(" ")

const sleep = (millis: number) => Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, millis)))

/** logs in again and again, until it works */
const probe = (address: Address) =>
  Effect.flatMap(PgServer.PgServer, ({ database, password, user }) =>
    Effect.promise(async () => {
      for (;;) {
        const client = new pg.Client({ ...address, database, user, password })
        try {
          await client.connect()
          await client.end()
          return performance.now()
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 10))
        }
      }
    }))

const run = (candidate: Candidate, downMillis: number): Effect.Effect<Course, unknown, PgServer.PgServer> =>
  Effect.gen(function*() {
    const proxy = yield* TcpProxy.make(yield* PgServer.PgServer)
    const dials = new Dials()
    const query = yield* candidate.query(proxy, dials, downMillis)
    let back = Infinity
    let down = false
    let recovered = 0
    const waited: Array<number> = []
    let toldCause = 0
    const caller = Effect.suspend(() => {
      const begun = performance.now()
      return Effect.flatMap(Effect.exit(query()), (exit) => {
        const now = performance.now()
        if (exit._tag === "Success") {
          if (begun >= back || now >= back) recovered ||= now
        } else if (down) {
          waited.push(now - begun)
          if (namesCause(exit.cause)) toldCause++
        }
        return sleep(pause)
      })
    })
    yield* Effect.forkScoped(Effect.forEach(Array.from({ length: callers }), () => Effect.forever(caller), {
      concurrency: "unbounded"
    }))
    yield* sleep(200)
    down = true
    const dialled = dials.count
    yield* Effect.zipRight(proxy.stop, proxy.cut)
    yield* sleep(downMillis)
    const attempts = dials.count - dialled
    down = false
    yield* proxy.start
    back = performance.now()
    const loggedIn = yield* probe(proxy)
    while (recovered === 0) yield* sleep(5)
    return {
      told: waited.length,
      toldCause,
      waited,
      dialsPerSecond: attempts / downMillis * 1000,
      probe: loggedIn - back,
      recovered: recovered - back
    }
  }).pipe(Effect.scoped)

/** the longest pause between two attempts that our default schedule can have reached by then, in milliseconds */
const retryStep = (downMillis: number): number => {
  let step = 100
  for (let passed = 0; passed + 0.75 * step < downMillis && step < 5000;) {
    passed += 0.75 * step
    step = Math.min(5000, step * 2)
  }
  return step
}

const gone = Suite.part("server gone", (name, size) =>
  Effect.gen(function*() {
    const downMillis = size.name === "full" ? 8000 : size.name === "quick" ? 2000 : 300
    const courses = new Map<string, Array<Course>>(candidates.map(({ name }) => [name, []]))
    for (let round = 0; round < Math.ceil(size.repeats / 3); round++) {
      for (const candidate of candidates) courses.get(candidate.name)!.push(yield* run(candidate, downMillis))
    }
    const what = `${name} for ${downMillis / 1000} s`
    const of = (candidate: string, value: (course: Course) => number) => courses.get(candidate)!.map(value)
    const peers = candidates.map(({ name }) => name).filter((name) => name !== "dbpool")
    const compared = (part: string, unit: string, value: (course: Course) => number) =>
      peers.map((peer) =>
        Row.make({ suite, name: `${what}: ${part}`, peer, unit }, of("dbpool", value), of(peer, value))
      )
    const perCause = ({ told, toldCause }: Course) => told / toldCause
    const recovered = ({ recovered }: Course) => Math.max(1, recovered)
    const limits = of("dbpool", ({ probe }) => probe + 1.25 * retryStep(downMillis) + 1000)
    return [
      Row.limit({ suite, name: `${what}: errors per one that tells the cause`, unit: "" }, of("dbpool", perCause), 1),
      ...compared("errors per one that tells the cause", "", perCause),
      ...compared("error after", "ms", ({ waited }) => Statistics.median(waited)),
      Row.limit(
        { suite, name: `${what}: connects tried per second`, unit: "" },
        of("dbpool", ({ dialsPerSecond }) => dialsPerSecond),
        10
      ),
      ...compared("connects tried per second", "", ({ dialsPerSecond }) => dialsPerSecond),
      Row.make(
        { suite, name: `${what}: first success after its return`, peer: "limit", unit: "ms", target: 1 },
        of("dbpool", recovered),
        limits
      ),
      ...compared("first success after its return", "ms", recovered)
    ]
  }))

export const outage = Suite.make(suite, [gone], PgServer.layerTest({ maxConnections: 300 }))
