/**
 * Programs that tests need and no npm package has: from the Debian packages of this machine.
 */
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"

const run = (command: string, ...args: ReadonlyArray<string>): Effect.Effect<void, string> =>
  Effect.async((resume) => {
    // RUNLEVEL keeps the package from starting a server of its own
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" }
    execFile(command, args, { env }, (error, _, stderr) =>
      resume(error === null ? Effect.void : Effect.fail(stderr.trim().split("\n").at(-1) ?? error.message)))
  })

/**
 * The first of these files that exists; if none does, the package that has it is installed, where this is Debian and we
 * are root. Fails with a sentence.
 *
 * @internal
 */
export const program = (name: string, files: ReadonlyArray<string>): Effect.Effect<string, string> => {
  const find = Effect.suspend(() => {
    const found = files.find((file) => Fs.existsSync(file))
    return found === undefined ? Effect.fail(`There is no ${files.join(" or ")}.`) : Effect.succeed(found)
  })
  // other tests may be installing at the same time
  const install = run("apt-get", "install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", name)
  const obtain = install.pipe(
    Effect.catchAll(() => Effect.zipRight(run("apt-get", "-o", "DPkg::Lock::Timeout=120", "update"), install)),
    Effect.mapError((why) => `The Debian package ${name} could not be installed: ${why}`),
    Effect.zipRight(find)
  )
  return Effect.catchAll(find, (why) =>
    process.getuid?.() === 0 && Fs.existsSync("/usr/bin/apt-get")
      ? obtain
      : Effect.fail(`${why} Install the Debian package ${name}, or whatever has it here.`))
}
