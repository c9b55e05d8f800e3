/**
 * The ten minutes, shortened to a fraction of a second, under load: upserts go on while the server forgets one connection
 * after the other. Each row counts how often it was written, so that what is lost shows as well as what is doubled.
 */
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as AvaticaServer from "@dbpool/testing/AvaticaServer"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as gateway from "./gateway.js"
import { asLindorm, lindormLogin, makePool } from "./support.js"

/** milliseconds */
const expiry = 200

/** how many expiries have to be seen */
const wanted = 200

describe("upserts while connections expire", () => {
  it.scopedLive("are none of them lost that was reported as done, and none executed twice", () =>
    Effect.gen(function*() {
      const server = yield* AvaticaServer.make({ lindorm: lindormLogin, connectionExpiry: Duration.millis(expiry) })
      const between = yield* gateway.make(server.url)
      let expiries = 0
      for (const name of ["CreateStatement", "Prepare"] as const) {
        between.on(name, async (_, pass) => {
          const reply = await pass()
          if (gateway.errorOf(reply.body)?.errorCode === 1) expiries++
          return reply
        })
      }
      // nothing is looked at before it is lent: every expiry is met by a statement
      const { pool, sql } = yield* makePool(between.url, {
        ...asLindorm,
        maxConnections: 10,
        validateAfterIdle: "1 hour",
        order: "fifo"
      })
      yield* sql`create table tb (id varchar primary key, times int)`
      const upsert = (id: string, n: number) =>
        n % 2 === 0
          ? sql`upsert into tb (id, times) values (${id}, (select count(*) + 1 from tb where id = ${id}))`
          : sql.unsafe(`upsert into tb (id, times) values ('${id}', (select count(*) + 1 from tb where id = '${id}'))`)
      const outcomes: Array<readonly [id: string, outcome: string]> = []
      const worker = (round: number, name: number) =>
        Effect.forEach([1, 2, 3], (n) =>
          Effect.gen(function*() {
            const id = `r${round}-w${name}-${n}`
            const result = yield* Effect.either(SqlPool.refineErrors(upsert(id, n)))
            outcomes.push([id, result._tag === "Right" ? "done" : result.left._tag])
          }))
      // they rest for longer than the server remembers, and then all go on at once
      for (let round = 0; expiries < wanted; round++) {
        const workers = Array.from({ length: 20 }, (_, name) => worker(round, name))
        yield* Effect.all(workers, { concurrency: "unbounded" })
        yield* Effect.sleep(Duration.millis(expiry * 1.2))
      }
      const all = sql`select id, times from tb`.values.pipe(Effect.retry({ times: 20 }))
      const written = new Map(
        (yield* all).map(([id, times]) => [id as string, times as number])
      )
      const tally: Record<string, number> = {}
      for (const [id, outcome] of outcomes) {
        tally[outcome] = (tally[outcome] ?? 0) + 1
        // one that expired between a statement and its execution, on a machine too slow for all this, may be either
        const allowed = { done: [1], NoSuchConnection: [undefined], ConnectionLost: [undefined, 1] }[outcome] ?? []
        assert.include(allowed, written.get(id), `${id} is ${outcome}`)
      }
      assert.isAbove(tally.done!, outcomes.length / 2)
      assert.isAtLeast(expiries, wanted)
      const { opened } = yield* pool.stats
      process.stdout.write(`${expiries} expiries, ${opened} connections opened, ${JSON.stringify(tally)}\n`)
    }))
})
