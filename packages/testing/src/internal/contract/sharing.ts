import * as SqlPool from "@dbpool/sql/SqlPool"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { equal, errorOf, eventually, failsWith, isTrue, refusedAs, timed, within } from "./checks.js"
import type { Client, Lab, Table } from "./lab.js"
import { group, row } from "./row.js"

const shared = { maxLeases: 50 }

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

const inserts = (lab: Lab, client: Client, table: Table, ids: ReadonlyArray<number>) =>
  Effect.forEach(ids, (id) => lab.insert(client, table, id), { concurrency: "unbounded", discard: true })

const has = (table: Table, ids: ReadonlyArray<number>) =>
  Effect.flatMap(table.names, (names) => equal(names, ids.map((id) => `n${id}`), "the table"))

/** waits until a statement of the pool runs, and others are sent behind it */
const behind = (lab: Lab, client: Client, others: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function*() {
    yield* lab.running(client)
    const fiber = yield* Effect.fork(others)
    yield* Effect.sleep("30 millis")
    return fiber
  })

/** statements without end while an effect runs; none of them may fail */
const flooded = <A, E, R>(lab: Lab, client: Client, fibers: number, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    let over = false
    const worker = Effect.iterate<ReadonlyArray<any>, never, unknown>([], {
      while: () => !over,
      body: () => lab.one(client)
    })
    const workers = yield* Effect.replicateEffect(Effect.fork(worker), fibers)
    yield* Effect.sleep("30 millis")
    const exit = yield* Effect.exit(effect)
    over = true
    yield* within(3000, Fiber.joinAll(workers), "the last of the other statements")
    return yield* exit
  })

/** @internal */
export const sharing = group("sharing", ["sharing", "pool", "sessions"], [
  row(
    "more single statements are under way than there are connections, and a shared connection is leased once",
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 1, sharing: shared })
        const all = yield* Effect.fork(
          Effect.replicateEffect(lab.sleep(client, 0.05), 10, { concurrency: "unbounded" })
        )
        yield* lab.running(client)
        const { leased, waiting } = yield* client.pool.stats
        yield* equal({ leased, waiting }, { leased: 1, waiting: 0 }, "the pool")
        yield* within(3000, Fiber.join(all), "the statements")
      })
  ),
  row("whoever comes when all are shared by `maxLeases` waits, and is served", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 1, sharing: { maxLeases: 2 } })
      const all = yield* Effect.fork(Effect.replicateEffect(lab.sleep(client, 0.05), 5, { concurrency: "unbounded" }))
      yield* lab.running(client)
      yield* equal((yield* client.pool.stats).waiting, 3, "those who wait")
      yield* within(3000, Fiber.join(all), "the statements")
    })),
  row(
    "everybody gets the answer to his own statement, 1000 at once on two connections",
    (lab) =>
      Effect.gen(function*() {
        const { sql } = yield* lab.open({ maxConnections: 2, sharing: shared })
        const [table, numbers] = [yield* lab.table(), range(1, 1000)]
        yield* Effect.forEach(numbers.slice(0, 50), (id) => lab.insert({ sql }, table, id), { discard: true })
        const answers = yield* within(
          8000,
          Effect.forEach(
            numbers,
            (n) => sql<{ readonly name: string }>`select name from ${sql(table.name)} where id = ${1 + n % 50}`,
            { concurrency: "unbounded" }
          ),
          "the statements"
        )
        yield* equal(answers.map(([row]) => row!.name), numbers.map((n) => `n${1 + n % 50}`), "the answers")
      })
  ),
  row("one that the server refuses fails alone", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1, sharing: shared })
      yield* lab.insert(client, table, 0)
      yield* Effect.all([
        inserts(lab, client, table, range(1, 10)),
        refusedAs(lab.insert(client, table, 0), "UniqueViolation", "the second row with that key"),
        refusedAs(client.sql`select nothing from nowhere`, "Syntax", "a query of a table that there is not"),
        inserts(lab, client, table, range(11, 20))
      ], { concurrency: "unbounded" })
      yield* has(table, range(0, 20))
      yield* equal((yield* client.pool.stats).opened, 1, "connections opened")
    })),
  row("one that is interrupted returns at once, and its neighbours are not cancelled", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1, sharing: shared })
      const slow = yield* Effect.fork(lab.sleep(client, 2))
      const others = yield* behind(lab, client, inserts(lab, client, table, range(1, 10)))
      const [took] = yield* timed(within(2000, Fiber.interrupt(slow), "the interrupt"))
      yield* isTrue(took < 1300, `the interrupt took ${took} ms`)
      yield* within(3000, Fiber.join(others), "the neighbours")
      yield* has(table, range(1, 10))
    })),
  row("one that was interrupted before it ran harms nobody, 100 times", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1, sharing: shared })
      const round = (id: number) =>
        Effect.gen(function*() {
          const fibers = yield* Effect.replicateEffect(Effect.fork(lab.one(client)), 3)
          const kept = yield* Effect.fork(lab.insert(client, table, id))
          yield* Fiber.interruptAll(fibers)
          yield* Fiber.join(kept)
        })
      yield* within(8000, Effect.forEach(range(1, 100), round), "all rounds")
      yield* has(table, range(1, 100))
    })),
  row("one whose time is up fails at once, and its neighbours go on", (lab) =>
    Effect.gen(function*() {
      const [client, table] = yield* lab.openWithTable({ maxConnections: 1, sharing: shared })
      const slow = yield* Effect.fork(
        timed(
          refusedAs(
            SqlPool.withStatementTimeout(lab.sleep(client, 2), "150 millis"),
            "StatementTimeout",
            "the slow one"
          )
        )
      )
      const others = yield* behind(lab, client, inserts(lab, client, table, range(1, 10)))
      const [took, exit] = yield* Fiber.join(slow)
      yield* exit
      yield* isTrue(took < 1300, `a timeout of 150 ms took ${took} ms`)
      yield* within(3000, Fiber.join(others), "the neighbours")
      yield* has(table, range(1, 10))
    })),
  row(
    "when nobody waits for anything on it any more, what still runs there is ended, and the connection is lent again",
    ["cancel"],
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 1, sharing: shared })
        const fibers = yield* Effect.replicateEffect(Effect.fork(lab.sleep(client)), 2)
        yield* lab.running(client)
        yield* Fiber.interruptAll(fibers)
        yield* lab.quiet(client)
        yield* within(2000, lab.one(client), "the next statement")
        yield* equal((yield* client.pool.stats).opened, 1, "connections opened")
      })
  ),
  row("newcomers do not queue up behind a statement that nobody waits for", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 2, sharing: shared })
      yield* lab.fill(client)
      // the one connection has a statement that was given up, and somebody behind it; the other somebody who is slow
      const slow = yield* Effect.fork(lab.sleep(client, 2))
      yield* lab.running(client)
      yield* Effect.fork(lab.sleep(client, 0.05))
      yield* Effect.sleep("10 millis")
      const stuck = yield* Effect.fork(lab.one(client))
      yield* Effect.fork(lab.one(client))
      yield* Fiber.interrupt(slow)
      const [took] = yield* timed(within(3000, Effect.repeatN(lab.one(client), 9), "ten statements"))
      yield* isTrue(took < 1300, `ten statements took ${took} ms`)
      yield* within(3000, Fiber.join(stuck), "the one behind")
    })),
  row(
    "a raw BEGIN gets a connection of its own, and swallows nobody's insert",
    ["rawTransactions"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 2, sharing: shared })
        yield* Effect.all([
          inserts(lab, client, table, range(1, 20)),
          client.sql.unsafe(lab.syntax.begin),
          inserts(lab, client, table, range(21, 40))
        ], { concurrency: "unbounded" })
        yield* has(table, range(1, 40))
      })
  ),
  row(
    "a transaction is joined by nobody: what is rolled back is its own alone",
    ["transactions"],
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 2, sharing: shared })
        const undone = (id: number) =>
          Effect.exit(client.sql.withTransaction(Effect.zipRight(
            lab.insert(client, table, id),
            Effect.zipRight(Effect.sleep("10 millis"), Effect.fail("undo"))
          )))
        yield* within(
          8000,
          Effect.all([
            Effect.forEach(range(1001, 1010), undone, { concurrency: "unbounded" }),
            Effect.forEach(range(1, 100), (id) => lab.insert(client, table, id), { concurrency: 10 })
          ], { concurrency: "unbounded" }),
          "all of it"
        )
        yield* has(table, range(1, 100))
      })
  ),
  row(
    "statements in a session, a lease or a transaction see what came before them there",
    ["sessionState"],
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 3, sharing: shared })
        const { sql } = client
        const remembers = (value: string) =>
          Effect.gen(function*() {
            yield* sql.unsafe(lab.syntax.setVariable(value))
            yield* lab.one(client)
            yield* equal(yield* sql.unsafe(lab.syntax.variable), [{ value }], "the variable")
          })
        yield* flooded(
          lab,
          client,
          10,
          Effect.all([client.pool.session(remembers("a")), sql.withTransaction(remembers("b"))], {
            concurrency: "unbounded"
          })
        )
      })
  ),
  row("a stream has its connection for itself", ["streams"], (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 2, sharing: shared })
      const rows = yield* flooded(
        lab,
        client,
        10,
        within(5000, Stream.runCollect(client.sql.unsafe<any>(lab.syntax.series(1000)).stream), "the stream")
      )
      yield* equal([...rows].map(({ n }) => n), range(1, 1000), "the rows")
    })),
  row(
    "whoever wants a connection alone gets one under shared load that never ends, again and again",
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 2, sharing: shared })
        const alone = Effect.scoped(
          Effect.flatMap(client.sql.reserve, (connection) => connection.executeValues(lab.syntax.one, []))
        )
        yield* flooded(
          lab,
          client,
          40,
          within(5000, Effect.replicateEffect(alone, 20, { concurrency: 4 }), "twenty leases")
        )
      })
  ),
  row(
    "a drain replaces every connection under shared load that never ends, and no statement fails",
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 3, sharing: shared })
        yield* lab.fill(client)
        const old = new Set((yield* lab.sessions(client)).map(({ id }) => id))
        yield* flooded(
          lab,
          client,
          40,
          Effect.zipRight(
            client.pool.drain(),
            eventually(lab.sessions(client), (now) => now.every(({ id }) => !old.has(id)), "all are new", 5000)
          )
        )
      })
  ),
  row("so does `maxUses`", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 2, sharing: shared, maxUses: 100 })
      yield* flooded(
        lab,
        client,
        20,
        eventually(client.pool.stats, ({ retired }) => retired.maxUses >= 4, "four are replaced", 5000)
      )
    })),
  row("a smaller pool closes connections under shared load that never ends", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 4, sharing: shared })
      yield* lab.fill(client)
      yield* flooded(
        lab,
        client,
        40,
        Effect.zipRight(
          client.pool.resize({ maxConnections: 1 }),
          eventually(client.pool.stats, ({ open }) => open === 1, "one is left", 5000)
        )
      )
      client.spent.value = true
    })),
  row(
    "a connection that is killed under 100 statements: what is reported done is there, what is reported unsent is not",
    (lab) =>
      Effect.gen(function*() {
        const [client, table] = yield* lab.openWithTable({ maxConnections: 2, sharing: { maxLeases: 100 } })
        const [done, unsent] = [new Set<string>(), new Set<string>()]
        let ids = 0
        let over = false
        const insert = Effect.suspend(() => {
          const id = ++ids
          return Effect.flatMap(
            Effect.exit(SqlPool.refineErrors(lab.insert(client, table, id))),
            (exit): Effect.Effect<unknown, unknown> => {
              if (Exit.isSuccess(exit)) done.add(`n${id}`)
              else {
                const error = Cause.squash(exit.cause) as { readonly _tag?: string }
                if (error._tag === "NoSuchConnection") unsent.add(`n${id}`)
                else if (error._tag !== "ConnectionLost") return exit
              }
              return Effect.void
            }
          )
        })
        const workers = yield* Effect.replicateEffect(
          Effect.fork(Effect.iterate(undefined as unknown, { while: () => !over, body: () => insert })),
          100
        )
        for (let i = 0; i < 5; i++) {
          yield* Effect.sleep("50 millis")
          yield* lab.killAll(client)
        }
        over = true
        yield* within(5000, Fiber.joinAll(workers), "the last statements")
        const names = new Set(yield* table.names)
        yield* isTrue(done.size > 100, `only ${done.size} of ${ids} were done`)
        yield* equal([...done].filter((name) => !names.has(name)), [], "reported done, and not there")
        yield* equal([...unsent].filter((name) => names.has(name)), [], "reported unsent, and there")
        yield* eventually(client.pool.stats, ({ leased }) => leased === 0, "every lease is back")
      })
  ),
  row(
    "those whose connection is killed may have been executed: ConnectionLost, one and all",
    (lab) =>
      Effect.gen(function*() {
        const client = yield* lab.open({ maxConnections: 1, sharing: shared })
        const fibers = yield* Effect.replicateEffect(
          Effect.fork(failsWith(lab.sleep(client, 5), "ConnectionLost", "a statement")),
          5
        )
        yield* lab.running(client)
        yield* Effect.sleep("30 millis")
        yield* lab.killAll(client)
        yield* within(2000, Fiber.joinAll(fibers), "the errors")
      })
  ),
  row("a suspended pool comes to rest, and a closed one tells newcomers so", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 2, sharing: shared })
      const impatient = Effect.ignore(lab.one(client))
      const load = yield* Effect.fork(
        Effect.forever(Effect.replicateEffect(impatient, 10, { concurrency: "unbounded" }))
      )
      yield* Effect.sleep("30 millis")
      yield* client.pool.suspend
      yield* eventually(client.pool.stats, ({ leased }) => leased === 0, "it is at rest")
      yield* client.pool.resume
      yield* within(2000, lab.one(client), "a statement afterwards")
      yield* Fiber.interrupt(load)
      yield* client.close
      client.spent.value = true
      const error = yield* errorOf(lab.one(client), "a statement after the end")
      yield* equal((error as { readonly _tag: string })._tag, "PoolClosed", "the error")
    }))
])
