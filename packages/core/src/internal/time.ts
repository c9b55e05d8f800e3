/**
 * The pool's time: milliseconds, by a clock that only goes forward.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"

const live = Context.get(DefaultServices.liveServices, Clock.Clock)

const { performance } = globalThis as { readonly performance?: { readonly now: () => number } }

/**
 * What time it is, since this was called. Effect's own clock tells it in nanoseconds, as a bigint, which takes longer
 * than lending a connection; so where it is in place, what it reads is read without it.
 *
 * @internal
 */
export const since = (clock: Clock.Clock): () => number => {
  if (clock === live && performance !== undefined) {
    const origin = performance.now()
    return () => performance.now() - origin
  }
  const origin = clock.unsafeCurrentTimeNanos()
  return () => Number(clock.unsafeCurrentTimeNanos() - origin) / 1e6
}
