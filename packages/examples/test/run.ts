/**
 * Runs a program of this package as a user would, in a process of its own.
 */
import * as Command from "@effect/platform/Command"
import type { CommandExecutor } from "@effect/platform/CommandExecutor"
import type { PlatformError } from "@effect/platform/Error"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { fileURLToPath } from "node:url"

export interface Output {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const text = (stream: Stream.Stream<Uint8Array, PlatformError>) => Stream.mkString(Stream.decodeText(stream))

export const start = (file: string, args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
  Effect.map(
    Command.make("node", "--import", "tsx", file, ...args).pipe(
      Command.workingDirectory(fileURLToPath(new URL("..", import.meta.url))),
      Command.env(env),
      Command.start
    ),
    (child) => ({
      child,
      output: Effect.all(
        { code: child.exitCode, stdout: text(child.stdout), stderr: text(child.stderr) },
        { concurrency: "unbounded" }
      )
    })
  )

export const run = (
  file: string,
  args: ReadonlyArray<string>,
  env?: Record<string, string>
): Effect.Effect<Output, PlatformError, CommandExecutor | Scope.Scope> =>
  Effect.flatMap(start(file, args, env), ({ output }) => output)
