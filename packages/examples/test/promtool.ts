/**
 * Prometheus' own judge of metrics and rules: the program at `DBPOOL_PROMTOOL`, or that of the Debian package `prometheus`.
 */
import * as DebianPackage from "@dbpool/testing/DebianPackage"
import * as Command from "@effect/platform/Command"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

const program = Effect.orElse(
  Config.nonEmptyString("DBPOOL_PROMTOOL"),
  () => DebianPackage.program("prometheus", ["/usr/bin/promtool"])
)

/** what it says, and its exit code: zero when it has nothing to object */
export const promtool = (args: ReadonlyArray<string>, input = "") =>
  Effect.gen(function*() {
    const child = yield* Command.make(yield* program, ...args).pipe(Command.feed(input), Command.start)
    const text = (stream: typeof child.stdout) => Stream.mkString(Stream.decodeText(stream))
    return yield* Effect.all(
      { code: child.exitCode, stdout: text(child.stdout), stderr: text(child.stderr) },
      { concurrency: "unbounded" }
    )
  })
