/**
 * A promise of the contract: a sentence, and an effect that fails when it is not kept.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Capability } from "../../ContractDialect.js"
import type { Lab } from "./lab.js"

/** @internal */
export interface Spec {
  readonly group: string
  readonly name: string
  readonly needs: ReadonlyArray<Capability>
  readonly run: (lab: Lab) => Effect.Effect<unknown, unknown, Scope.Scope>
}

type Run = Spec["run"]

type Promised = Omit<Spec, "group">

/** @internal */
export const row: {
  (name: string, run: Run): Promised
  (name: string, needs: ReadonlyArray<Capability>, run: Run): Promised
} = (name: string, ...rest: readonly [Run] | readonly [ReadonlyArray<Capability>, Run]): Promised =>
  rest.length === 1 ? { name, needs: [], run: rest[0] } : { name, needs: rest[0], run: rest[1] }

/** what belongs together, and what all of it needs @internal */
export const group = (
  name: string,
  needs: ReadonlyArray<Capability>,
  rows: ReadonlyArray<Promised>
): ReadonlyArray<Spec> => rows.map((row) => ({ ...row, group: name, needs: [...needs, ...row.needs] }))
