/**
 * Tries one row: within a bound, whatever it does, and with nothing of it left for the next.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Dialect, Server } from "../../ContractDialect.js"
import { ContractFailure } from "../../ContractFailure.js"
import { describe, within } from "./checks.js"
import { Lab } from "./lab.js"
import type { Spec } from "./row.js"

const bound = 10_000

/** @internal */
export const attempt = (dialect: Dialect, server: Server, spec: Spec): Effect.Effect<void, ContractFailure> =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const lab = new Lab(dialect, server)
    const exit = yield* Effect.exit(
      within(bound, Effect.provideService(spec.run(lab), Scope.Scope, scope), "the row").pipe(
        Effect.zipRight(lab.settle)
      )
    )
    if (Exit.isFailure(exit)) yield* lab.sweep
    yield* Effect.ignore(within(bound, Scope.close(scope, Exit.void), "cleaning up"))
    if (Exit.isFailure(exit)) yield* Effect.fail(failureOf(exit.cause))
  })

/** in two words, and the sentence that goes with them */
const failureOf = (cause: Cause.Cause<unknown>): ContractFailure => {
  const error = Cause.squash(cause)
  return error instanceof ContractFailure
    ? error
    : new ContractFailure({ reason: Cause.isDie(cause) ? "defect" : "wrong result", message: describe(error) })
}
