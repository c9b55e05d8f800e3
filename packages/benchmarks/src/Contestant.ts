/**
 * Something that can be run so and so often, and what most of them are made of: an operation, repeated by one or by many.
 */
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import type * as Scope from "effect/Scope"

export interface Contestant {
  readonly name: string
  /** runs that many operations; what it fails with ends the benchmark */
  readonly run: (operations: number) => Effect.Effect<void, unknown, Scope.Scope>
}

const repeat = <E>(next: () => boolean, operation: () => Effect.Effect<unknown, E>): Effect.Effect<void, E> =>
  Effect.whileLoop({ while: next, body: operation, step: constVoid })

export const ofEffect = (
  name: string,
  operation: () => Effect.Effect<unknown, unknown>,
  fibers = 1
): Contestant => fibers === 1 ? alone(name, operation) : crowd(name, operation, fibers)

const alone = (name: string, operation: () => Effect.Effect<unknown, unknown>): Contestant => ({
  name,
  run: (operations) =>
    Effect.suspend(() => {
      let left = operations
      return repeat(() => left-- > 0, operation)
    })
})

/**
 * So many fibers share the operations. They are forked once and rest between the turns: what is compared is what they do,
 * not what it costs to fork them.
 */
const crowd = (name: string, operation: () => Effect.Effect<unknown, unknown>, fibers: number): Contestant => {
  let left = 0
  let resting: Array<() => void> = []
  let finished: (result: Effect.Effect<void, unknown>) => void = constVoid
  const rest = Effect.async<void>((resume) => {
    resting.push(() => resume(Effect.void))
    if (resting.length === fibers) finished(Effect.void)
  })
  const worker = repeat(() => left-- > 0, operation).pipe(
    Effect.zipRight(rest),
    Effect.forever,
    Effect.catchAllCause((cause) => Effect.sync(() => finished(Effect.failCause(cause))))
  )
  const fork = Effect.forEach(Array.from({ length: fibers }), () => Effect.forkScoped(worker), { discard: true })
  const turn = (operations: number) =>
    Effect.async<void, unknown>((resume) => {
      finished = resume
      left = operations
      const awake = resting
      resting = []
      for (const wake of awake) wake()
    })
  // at first there are none: they find nothing to do, and rest
  const first = Effect.zipRight(
    fork,
    Effect.async<void, unknown>((resume) => {
      finished = resume
    })
  )
  return {
    name,
    run: (operations) =>
      Effect.suspend(() => resting.length === 0 ? Effect.zipRight(first, turn(operations)) : turn(operations))
  }
}

/** the same for peers that know promises only */
export const ofPromise = (name: string, operation: () => Promise<unknown>, callers = 1): Contestant => ({
  name,
  run: (operations) =>
    Effect.tryPromise(async () => {
      let left = operations
      const worker = async () => {
        while (left-- > 0) await operation()
      }
      await (callers === 1 ? worker() : Promise.all(Array.from({ length: callers }, worker)))
    })
})
