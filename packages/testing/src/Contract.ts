/**
 * The contract of a dialect: what every client over a pool must do on a real server, as plain data.
 *
 * `DialectContract` runs it as tests. Here it is a list of rows, which can also be tried outside of a test runner, against a
 * client of somebody else's too, and printed as a table.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Capability, Dialect, Server } from "./ContractDialect.js"
import type { ContractFailure } from "./ContractFailure.js"
import { attempt } from "./internal/contract/attempt.js"
import * as report from "./internal/contract/report.js"
import { specs } from "./internal/contract/rows.js"
import { missing, missingInServer } from "./internal/contract/snippets.js"

/**
 * One promise.
 *
 * @since 0.1.0
 * @category models
 */
export interface Row {
  readonly group: string
  readonly name: string
  /** Why the dialect does not have to keep it: the capabilities that it lacks, and what it says about them. */
  readonly notApplicable: Option.Option<string>
  /** Tries it, within a bound, and leaves nothing behind. */
  readonly run: (server: Server) => Effect.Effect<void, ContractFailure>
}

/**
 * A dialect says that it has a capability, but not how to use it.
 *
 * @since 0.1.0
 * @category errors
 */
export class IncompleteDialect extends Data.TaggedError("IncompleteDialect")<{
  readonly dialect: string
  readonly capability: Capability
  readonly missing: string
}> {
  /**
   * @since 0.1.0
   */
  override get message(): string {
    return `The dialect "${this.dialect}" has the capability ${this.capability}, but no ${this.missing}`
  }
}

/**
 * The rows of a dialect, in the order in which they are to be tried, one after the other. Throws `IncompleteDialect` when
 * the dialect does not say what a row needs to know.
 *
 * @example
 * ```ts
 * import * as Contract from "@dbpool/testing/Contract"
 * import type * as ContractDialect from "@dbpool/testing/ContractDialect"
 * import * as Option from "effect/Option"
 *
 * const missing = (dialect: ContractDialect.Dialect) =>
 *   Contract.rows(dialect).filter(({ notApplicable }) => Option.isSome(notApplicable)).map(({ name }) => name)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const rows = (dialect: Dialect): ReadonlyArray<Row> => {
  complain(dialect, missing(dialect))
  return specs(dialect).map((spec) => {
    const lacks = spec.needs.flatMap((need) => {
      const has = dialect.capabilities[need]
      return has === true ? [] : [has]
    })
    return {
      group: spec.group,
      name: spec.name,
      notApplicable: lacks.length === 0 ? Option.none() : Option.some([...new Set(lacks)].join("; ")),
      run: (server) => attempt(dialect, server, spec)
    }
  })
}

const complain = (dialect: Dialect, missing: ReadonlyArray<readonly [Capability, string]>): void => {
  for (const [capability, snippet] of missing) {
    throw new IncompleteDialect({ dialect: dialect.name, capability, missing: snippet })
  }
}

/**
 * The server of a dialect, which must be able to do what the dialect says: else it dies with `IncompleteDialect`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const server = (dialect: Dialect): Effect.Effect<Server, unknown, Scope.Scope> =>
  Effect.tap(dialect.server, (server) => Effect.sync(() => complain(dialect, missingInServer(dialect, server))))

/**
 * What came of a row.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | { readonly _tag: "kept"; readonly row: Row; readonly millis: number }
  | { readonly _tag: "broken"; readonly row: Row; readonly millis: number; readonly failure: ContractFailure }
  | { readonly _tag: "not applicable"; readonly row: Row; readonly why: string }

/**
 * Tries all rows of a dialect on one server, or those whose group or name contains a text.
 *
 * @example
 * ```ts
 * import * as Contract from "@dbpool/testing/Contract"
 * import type * as ContractDialect from "@dbpool/testing/ContractDialect"
 * import * as Effect from "effect/Effect"
 *
 * const print = (dialect: ContractDialect.Dialect) =>
 *   Effect.flatMap(
 *     Contract.run(dialect, { filter: "transactions" }),
 *     (outcomes) => Effect.log(Contract.table(outcomes))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const run = (
  dialect: Dialect,
  options: {
    readonly filter?: string | undefined
    readonly onOutcome?: ((outcome: Outcome) => Effect.Effect<void>) | undefined
  } = {}
): Effect.Effect<ReadonlyArray<Outcome>, unknown> =>
  Effect.gen(function*() {
    const where = yield* server(dialect)
    const chosen = rows(dialect).filter(({ group, name }) => `${group}: ${name}`.includes(options.filter ?? ""))
    return yield* Effect.forEach(chosen, (row) =>
      Effect.tap(outcomeOf(row, where), (outcome) => options.onOutcome?.(outcome) ?? Effect.void))
  }).pipe(Effect.scoped)

const outcomeOf = (row: Row, server: Server): Effect.Effect<Outcome> =>
  Option.match(row.notApplicable, {
    onSome: (why) => Effect.succeed<Outcome>({ _tag: "not applicable", row, why }),
    onNone: () =>
      Effect.map(Effect.timed(Effect.either(row.run(server))), ([took, result]): Outcome => {
        const millis = Math.round(Duration.toMillis(took))
        return result._tag === "Right"
          ? { _tag: "kept", row, millis }
          : { _tag: "broken", row, millis, failure: result.left }
      })
  })

/**
 * What came of the rows, one line each, group by group.
 *
 * @since 0.1.0
 * @category getters
 */
export const table: (outcomes: ReadonlyArray<Outcome>) => string = report.table
