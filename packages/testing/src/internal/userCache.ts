/**
 * What is made once for each machine, by other programs, and kept in the user's cache.
 */
import * as Effect from "effect/Effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

/** @internal */
export interface Failed {
  /** there is no such program here */
  readonly missing: boolean
  readonly output: string
}

/** Runs a program to its end, and answers with what it said. @internal */
export const run = (
  command: string,
  args: ReadonlyArray<string>,
  cwd: string,
  input = ""
): Effect.Effect<string, Failed> =>
  Effect.async((resume, signal) => {
    const child = ChildProcess.execFile(
      command,
      args,
      { cwd, signal, maxBuffer: 1 << 24 },
      (error, stdout, stderr) => {
        const output = `${stdout}${stderr}`.trim()
        const missing = (error as NodeJS.ErrnoException | null)?.code === "ENOENT"
        resume(error === null ? Effect.succeed(output) : Effect.fail({ missing, output }))
      }
    )
    child.stdin?.on("error", () => {})
    child.stdin?.end(input)
  })

const root = (): string => Path.join(process.env.XDG_CACHE_HOME || Path.join(Os.homedir(), ".cache"), "dbpool")

/**
 * The directory of that name. If there is none it is made beside its place and then put there, so that nobody ever sees
 * half of it; if another process was faster, what that one made stays. `finish` is run once it is in its place.
 *
 * @internal
 */
export const directory = <E>(
  name: string,
  make: (work: string) => Effect.Effect<unknown, E>,
  finish: (directory: string) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<string, E> =>
  Effect.suspend(() => {
    const directory = Path.join(root(), name)
    if (Fs.existsSync(directory)) return Effect.succeed(directory)
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        Fs.mkdirSync(Path.dirname(directory), { recursive: true })
        return Fs.mkdtempSync(`${directory}-`)
      }),
      (work) =>
        make(work).pipe(
          Effect.andThen(Effect.ignore(Effect.try(() => Fs.renameSync(work, directory)))),
          Effect.andThen(Effect.suspend(() => finish(directory))),
          Effect.as(directory)
        ),
      (work) => Effect.sync(() => Fs.rmSync(work, { recursive: true, force: true }))
    )
  })
