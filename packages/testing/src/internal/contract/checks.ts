/**
 * What rows say about what they saw.
 */
import type * as SqlPoolError from "@dbpool/sql/SqlPoolError"
import { refineErrors } from "@dbpool/sql/SqlPoolError"
import type { StatementReason } from "@dbpool/sql/StatementError"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { inspect, isDeepStrictEqual } from "node:util"
import type { Reason } from "../../ContractFailure.js"
import { ContractFailure } from "../../ContractFailure.js"

/** @internal */
export const fails = (reason: Reason, message: string) => Effect.fail(new ContractFailure({ reason, message }))

const show = (value: unknown) => inspect(value, { depth: 5, breakLength: Infinity, maxStringLength: 200 })

/** @internal */
export const equal = (actual: unknown, expected: unknown, what: string): Effect.Effect<void, ContractFailure> =>
  isDeepStrictEqual(plain(actual), plain(expected))
    ? Effect.void
    : fails("wrong result", `${what}: ${show(actual)} instead of ${show(expected)}`)

/** drivers give rows classes and prototypes of their own */
const plain = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(plain)
    : typeof value === "object" && value !== null && !Buffer.isBuffer(value) && !(value instanceof Date)
    ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]))
    : value

/** @internal */
export const isTrue = (holds: boolean, otherwise: string): Effect.Effect<void, ContractFailure> =>
  holds ? Effect.void : fails("wrong result", otherwise)

/** lets nothing hang: what cannot even be interrupted is left behind @internal */
export const within = <A, E, R>(
  millis: number,
  effect: Effect.Effect<A, E, R>,
  what: string
): Effect.Effect<A, E | ContractFailure, R> =>
  Effect.timeoutFail(Effect.disconnect(effect), {
    duration: millis,
    onTimeout: () => new ContractFailure({ reason: "timed out", message: `${what}: nothing after ${millis} ms` })
  })

/** how long it took, and what came of it @internal */
export const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.timed(Effect.exit(effect)), ([took, exit]) => [Duration.toMillis(took), exit] as const)

/** waits until something holds @internal */
export const eventually = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  holds: (a: A) => boolean,
  what: string,
  millis = 3000
): Effect.Effect<A, E | ContractFailure, R> => {
  const look: Effect.Effect<A, E, R> = Effect.flatMap(
    effect,
    (a) => holds(a) ? Effect.succeed(a) : Effect.zipRight(Effect.sleep("3 millis"), look)
  )
  return within(millis, look, what)
}

/** the typed error of what must fail, out of the `SqlError` if it is in one @internal */
export const errorOf = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  what: string
): Effect.Effect<unknown, ContractFailure, R> =>
  Effect.flatMap(Effect.exit(refineErrors(effect)), (exit): Effect.Effect<unknown, ContractFailure> => {
    if (Exit.isSuccess(exit)) return fails("wrong result", `${what}: succeeded with ${show(exit.value)}`)
    const { cause } = exit
    if (Cause.isInterruptedOnly(cause)) return fails("wrong result", `${what}: was interrupted`)
    const defect = Cause.dieOption(cause)
    if (Option.isSome(defect)) return fails("defect", `${what}: died with ${describe(defect.value)}`)
    const error = Option.getOrThrow(Cause.failureOption(cause))
    // a check inside has failed, or its time is up
    return error instanceof ContractFailure ? Effect.fail(error) : Effect.succeed(error)
  })

type Tag = SqlPoolError.SqlPoolError["_tag"]

/** @internal */
export const failsWith = <T extends Tag, A, E, R>(
  effect: Effect.Effect<A, E, R>,
  tags: T | ReadonlyArray<T>,
  what: string
): Effect.Effect<Extract<SqlPoolError.SqlPoolError, { readonly _tag: T }>, ContractFailure, R> =>
  Effect.flatMap(errorOf(effect, what), (error) => {
    const expected: ReadonlyArray<string> = Array.isArray(tags) ? tags : [tags as string]
    return expected.some((tag) => Predicate.isTagged(error, tag))
      ? Effect.succeed(error as Extract<SqlPoolError.SqlPoolError, { readonly _tag: T }>)
      : fails(
        Predicate.isTagged(error, "SqlError") ? "untyped error" : "wrong result",
        `${what}: ${describe(error)} instead of ${expected.join(" or ")}`
      )
  })

/** the server refused it, for that reason @internal */
export const refusedAs = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  reason: StatementReason,
  what: string
) =>
  Effect.tap(
    failsWith(effect, "StatementError", what),
    (error) => equal(error.reason, reason, `the reason of "${error.message}"`)
  )

/** an error in a few words: its tag, and what the driver said @internal */
export const describe = (error: unknown): string => {
  const tag = Predicate.hasProperty(error, "_tag") ? String(error._tag) : "an error"
  const cause = Predicate.hasProperty(error, "cause") ? error.cause : undefined
  const message = cause instanceof Error ? cause.message : error instanceof Error ? error.message : show(error)
  if (error instanceof ContractFailure) return error.message
  return `${tag} (${message})`
}
