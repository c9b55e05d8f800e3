/**
 * When everything has happened that needs no time.
 */
import * as Effect from "effect/Effect"

/**
 * Lets every fiber run that can: fibers go on in microtasks, and those are done when it is the event loop's turn.
 *
 * @internal
 */
export const rest = Effect.async<void>((resume) => {
  setImmediate(() => setImmediate(() => resume(Effect.void)))
})

/**
 * The same for fibers that yield by a timer, as Effect's scheduler does after two thousand hops.
 *
 * @internal
 */
export const longRest = Effect.zipRight(
  Effect.async<void>((resume) => void setTimeout(() => resume(Effect.void), 0)),
  rest
)
