/**
 * Starts the one plain Avatica server that all tests of a run share. Vitest calls it once for each project that names it
 * in `globalSetup`, before the first test of that project and only if one is to run. What Avatica's server needs is
 * installed here if it may be: on Debian, as root.
 */
import * as AvaticaServer from "@dbpool/testing/AvaticaServer"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { spawnSync } from "node:child_process"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    readonly dbpoolAvaticaUrl: string | undefined
  }
}

const install = Effect.sync(() => {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  const apt = (...args: ReadonlyArray<string>) =>
    spawnSync("apt-get", args, { env, stdio: ["ignore", "ignore", "inherit"] }).status === 0
  process.stderr.write("Installing a JDK and Maven with apt-get ...\n")
  if (apt("-q", "update")) apt("-q", "install", "-y", "--no-install-recommends", "default-jdk-headless", "maven")
})

export default async (project: TestProject) => {
  const scope = Effect.runSync(Scope.make())
  const start = Scope.extend(AvaticaServer.makeTest(), scope)
  const server = await Effect.runPromise(Effect.either(Effect.catchIf(
    start,
    ({ reason }) => reason === "JavaMissing" || reason === "MavenMissing",
    () => Effect.zipRight(install, start)
  )))
  if (Either.isLeft(server)) {
    // Not thrown, which would end the whole run: now only the tests that ask for a server fail, each with this message.
    process.stderr.write(`${server.left.message}\n`)
    return
  }
  // The next project's setup finds the server here; the workers get it by `provide`.
  process.env.DBPOOL_AVATICA_URL = server.right.url
  project.provide("dbpoolAvaticaUrl", server.right.url)
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
