/**
 * How far the work is: a bar on a terminal, a line for every tenth elsewhere.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

const width = 40

export const show = (total: number, done: () => number): Effect.Effect<never> => {
  const { columns, isTTY } = process.stdout
  let tenth = 0
  const bar = Effect.sync(() => {
    const filled = Math.min(width, Math.floor((done() / total) * width))
    const line = `${"█".repeat(filled)}${"░".repeat(width - filled)} ${done()} of ${total} transactions`
    process.stdout.write(`\r${line.slice(0, columns)}`)
  })
  const lines = Effect.sync(() => {
    const reached = Math.floor((done() / total) * 10)
    if (reached > tenth && reached < 10) console.log(`${done()} of ${total} transactions`)
    tenth = reached
  })
  return Effect.zipRight(Effect.repeat(isTTY ? bar : lines, Schedule.spaced("100 millis")), Effect.never).pipe(
    Effect.ensuring(isTTY ? Effect.sync(() => process.stdout.write("\r\u001b[K")) : Effect.void)
  )
}
