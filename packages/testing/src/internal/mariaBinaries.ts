/**
 * MariaDB's programs, from Debian's packages without the service, or from wherever they are installed.
 */
import * as Effect from "effect/Effect"
import * as aptPackage from "./aptPackage.js"

/** @internal */
export interface MariaBinaries {
  readonly server: string
  readonly install: string
}

/** on Debian, on other Linuxes, from sources, and on macOS */
const directories = ["/usr/sbin", "/usr/bin", "/usr/libexec", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin"]

const program = (name: string, packageName: string) =>
  aptPackage.program(packageName, directories.map((directory) => `${directory}/${name}`))

/** @internal */
export const resolve: Effect.Effect<MariaBinaries, string> = Effect.gen(function*() {
  const server = yield* program("mariadbd", "mariadb-server-core")
  const install = yield* program("mariadb-install-db", "mariadb-server-core")
  // that is a shell script, which does nothing without this
  yield* program("my_print_defaults", "mariadb-client-core")
  return { server, install }
})
