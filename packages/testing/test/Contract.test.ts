import * as Contract from "@dbpool/testing/Contract"
import type * as ContractDialect from "@dbpool/testing/ContractDialect"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"

const none = "it cannot do that"

/** a dialect whose server lets nobody in, and which can do next to nothing */
const dialect = (
  options: {
    readonly has?: ReadonlyArray<ContractDialect.Capability>
    readonly syntax?: Partial<ContractDialect.Syntax>
  } = {}
): ContractDialect.Dialect => {
  const may = (capability: ContractDialect.Capability) => options.has?.includes(capability) === true ? true : none
  return {
    name: "test",
    layer: () => Layer.fail("nobody gets in"),
    server: Effect.succeed({ address: { host: "127.0.0.1", port: 1 }, query: () => Effect.succeed([]) }),
    syntax: {
      placeholder: () => "?",
      one: "select 1 as one",
      series: (rows) => `select ${rows}`,
      createTable: (table) => [`create table ${table}`],
      insert: "insert into",
      types: [{ name: "a number", sql: "select ? as value", parameter: 1 }],
      ...options.syntax
    },
    capabilities: {
      pool: may("pool"),
      sessions: may("sessions"),
      cancel: may("cancel"),
      streams: may("streams"),
      transactions: may("transactions"),
      savepoints: may("savepoints"),
      isolation: may("isolation"),
      readOnly: may("readOnly"),
      rawTransactions: may("rawTransactions"),
      abortedTransactions: may("abortedTransactions"),
      deferredConstraints: may("deferredConstraints"),
      constraints: may("constraints"),
      rowLocks: may("rowLocks"),
      sessionState: may("sessionState"),
      returning: may("returning"),
      models: may("models"),
      listen: may("listen"),
      sharing: may("sharing"),
      restart: may("restart")
    }
  }
}

describe("Contract", () => {
  it("has more than sixty rows, each with a name of its own in its group", () => {
    const names = Contract.rows(dialect()).map(({ group, name }) => `${group}: ${name}`)
    assert.isAbove(names.length, 60)
    assert.strictEqual(new Set(names).size, names.length)
  })

  it("says of every row that needs what the dialect lacks that it does not apply, and why", () => {
    const rows = Contract.rows(dialect())
    const off = rows.filter(({ notApplicable }) => Option.isSome(notApplicable))
    assert.isTrue(off.every(({ notApplicable }) => Option.getOrThrow(notApplicable) === none))
    const find = (text: string) => rows.find(({ name }) => name.includes(text))!
    assert.isTrue(Option.isSome(find("an inner one that fails is undone alone").notApplicable))
    assert.isTrue(Option.isNone(find("a statement gives its connection back").notApplicable))
    const more = Contract.rows(dialect({ has: ["savepoints", "rowLocks"] }))
    assert.isAbove(more.filter(({ notApplicable }) => Option.isNone(notApplicable)).length, rows.length - off.length)
  })

  it("makes a row of every type that the dialect names", () => {
    const types = Contract.rows(dialect()).filter(({ group }) => group === "types")
    assert.deepStrictEqual(types.map(({ name }) => name), ["a number"])
  })

  it("refuses a capability without what its rows need", () => {
    assert.throws(() => Contract.rows(dialect({ has: ["cancel"] })), "has the capability cancel, but no sleep")
    assert.throws(() => Contract.rows(dialect({ has: ["listen"] })), "has the capability listen, but no notifications")
    assert.doesNotThrow(() => Contract.rows(dialect({ has: ["rawTransactions"], syntax: { begin: "begin" } })))
  })

  it.effect("refuses a server that cannot do what the dialect says", () =>
    Effect.gen(function*() {
      const error = yield* Contract.server(dialect({ has: ["sessions"] })).pipe(
        Effect.scoped,
        Effect.sandbox,
        Effect.flip
      )
      assert.include(String(error), "has the capability sessions, but no sessions")
    }))

  it.live("tries the rows it is asked for, and tells what came of each in a table", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const outcomes = yield* Contract.run(dialect(), {
        filter: "interruption: ",
        onOutcome: ({ _tag }) => Effect.sync(() => seen.push(_tag))
      })
      assert.deepStrictEqual(seen, outcomes.map(({ _tag }) => _tag))
      assert.deepStrictEqual([...new Set(outcomes.map(({ row }) => row.group))], ["interruption"])
      assert.deepStrictEqual(new Set(seen), new Set(["broken", "not applicable"]))
      const table = Contract.table(outcomes)
      assert.match(table, /BROKEN +\d+ ms {2}a statement that waits is gone at once, and leaks nothing/)
      assert.include(table, "wrong result: an error ('nobody gets in')")
      assert.include(table, "not applicable: it cannot do that")
      assert.match(table, /0 kept, \d+ broken, \d+ not applicable$/)
    }))
})
