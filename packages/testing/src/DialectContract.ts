/**
 * The contract of a dialect as tests of `@effect/vitest`, without which this module cannot be loaded.
 *
 * @since 0.1.0
 */
import { afterAll, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Contract from "./Contract.js"
import type { Capability, Dialect, Server } from "./ContractDialect.js"

/**
 * Registers a test for every row that applies to the dialect, group by group, and one that says which do not, and why.
 * The rows share one server and run one after the other, on the real clock.
 *
 * @example
 * ```ts
 * import { dialectContract } from "@dbpool/testing/DialectContract"
 * import type * as ContractDialect from "@dbpool/testing/ContractDialect"
 *
 * const register = (dialect: ContractDialect.Dialect) => dialectContract(dialect)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const dialectContract = (dialect: Dialect): void => {
  const rows = Contract.rows(dialect)
  const groups = [...new Set(rows.map(({ group }) => group))]
  describe(`${dialect.name}:`, () => {
    const scope = Effect.runSync(Scope.make())
    let server: Server
    beforeAll(async () => {
      server = await Effect.runPromise(Scope.extend(Contract.server(dialect), scope))
      // it may have to be fetched first
    }, 120_000)
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    for (const group of groups) {
      const applicable = rows.filter((row) => row.group === group && Option.isNone(row.notApplicable))
      if (applicable.length === 0) continue
      describe(group, () => {
        for (const row of applicable) it.live(row.name, () => row.run(server))
      })
    }
    it("has a reason for every row that does not apply", () => unexplained(dialect, rows))
  })
}

/** a capability that is given up without a word, or for nothing, hides what should work */
const unexplained = (dialect: Dialect, rows: ReadonlyArray<Contract.Row>): void => {
  const reasons = Object.entries(dialect.capabilities) as unknown as ReadonlyArray<readonly [Capability, true | string]>
  for (const [capability, reason] of reasons) {
    if (reason === true) continue
    const off = rows.filter(({ notApplicable }) => Option.exists(notApplicable, (why) => why.includes(reason)))
    if (reason.trim() === "" || off.length === 0) {
      throw new Error(`The capability ${capability} is given up without a reason, or no row needs it.`)
    }
    process.stdout.write(`${off.length} rows do not apply to ${dialect.name}: ${reason}\n`)
  }
}
