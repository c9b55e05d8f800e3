/**
 * Work on a real server while things go wrong, and books by unique ids: what a transaction reported is compared with what
 * the server kept.
 */
import type * as SqlPool from "@dbpool/sql/SqlPool"
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/** what the program was told about each id */
export interface Ledger {
  readonly committed: Set<number>
  readonly failed: Set<number>
  readonly unknown: Set<number>
  readonly errors: Record<string, number>
  readonly defects: Array<string>
  /** when each commit was reported, in ms of `performance.now` */
  readonly at: Array<number>
}

export const makeLedger = (): Ledger => ({
  committed: new Set(),
  failed: new Set(),
  unknown: new Set(),
  errors: {},
  defects: [],
  at: []
})

let ids = 0

/** one transaction of two rows, and what came of it */
const transact = (pool: SqlPool.SqlPool, table: string, ledger: Ledger) =>
  Effect.suspend(() => {
    const id = ++ids
    const { client: sql } = pool
    const row = (part: number) => sql`insert into ${sql(table)} (id, part) values (${id}, ${part})`
    return Effect.map(Effect.exit(pool.withTransaction(Effect.zipRight(row(1), row(2)))), (exit) => {
      if (Exit.isSuccess(exit)) {
        ledger.committed.add(id)
        ledger.at.push(performance.now())
        return true
      }
      const error = Cause.squash(exit.cause) as { readonly _tag: string }
      if (Cause.isDie(exit.cause)) ledger.defects.push(Cause.pretty(exit.cause))
      ledger.errors[error._tag] = (ledger.errors[error._tag] ?? 0) + 1
      void (error._tag === "CommitUnknown" ? ledger.unknown : ledger.failed).add(id)
      return false
    })
  })

/** so many fibers do transactions while an effect runs, and finish what they have begun; all in a table of its own */
export const underLoad = <A, E, R>(
  options: { readonly pool: SqlPool.SqlPool; readonly table: string; readonly fibers: number },
  disturbance: (ledger: Ledger) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    const ledger = makeLedger()
    let over = false
    const worker = Effect.iterate(true, {
      while: () => !over,
      // whoever failed does not knock again at once
      body: () =>
        Effect.tap(transact(options.pool, options.table, ledger), (done) => done ? Effect.void : Effect.sleep(5))
    })
    const workers = yield* Effect.replicateEffect(Effect.fork(worker), options.fibers)
    const result = yield* disturbance(ledger)
    over = true
    yield* Effect.timeoutFail(Fiber.joinAll(workers), {
      duration: "10 seconds",
      onTimeout: () => new Error("some transactions never ended")
    })
    return { ledger, result }
  })

/** what does not fit together; `rows` are those of the table */
export const audit = (ledger: Ledger, rows: ReadonlyArray<{ readonly id: number }>): ReadonlyArray<string> => {
  const times = new Map<number, number>()
  for (const { id } of rows) times.set(id, (times.get(id) ?? 0) + 1)
  const wrong = (what: string, ids: Set<number>, right: ReadonlyArray<number>) =>
    [...ids].filter((id) => !right.includes(times.get(id) ?? 0)).map((id) =>
      `${what} transaction ${id} has ${times.get(id) ?? 0} of its 2 rows`
    )
  const known = [ledger.committed, ledger.failed, ledger.unknown]
  return [
    ...wrong("committed", ledger.committed, [2]),
    ...wrong("failed", ledger.failed, [0]),
    ...wrong("unknown", ledger.unknown, [0, 2]),
    ...[...times.keys()].filter((id) => !known.some((ids) => ids.has(id))).map((id) => `nobody reported ${id}`)
  ]
}

/** the books balance, and would not if one entry were another */
export const assertBalanced = (ledger: Ledger, rows: ReadonlyArray<{ readonly id: number }>) => {
  assert.deepStrictEqual(audit(ledger, rows), [])
  const [first] = ledger.committed
  const forged = { ...ledger, committed: new Set([...ledger.committed].slice(1)), failed: new Set([first!]) }
  assert.strictEqual(audit(forged, rows).length, 1, "a forged entry is found")
}
