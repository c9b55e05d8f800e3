/**
 * Starts the one MariaDB server that all tests of a run share. Vitest calls it once for each project that names it
 * in `globalSetup`, before the first test of that project and only if one is to run.
 */
import * as MariaServer from "@dbpool/testing/MariaServer"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    readonly dbpoolMysqlUrl: string | undefined
  }
}

export default async (project: TestProject) => {
  const scope = Effect.runSync(Scope.make())
  const server = await Effect.runPromise(
    Effect.either(Scope.extend(MariaServer.makeTest({ maxConnections: 300 }), scope))
  )
  if (Either.isLeft(server)) {
    // Not thrown, which would end the whole run: now only the tests that ask for a server fail, each with this message.
    process.stderr.write(`${server.left.message}\n`)
    return
  }
  // The next project's setup finds the server here; the workers get it by `provide`.
  process.env.DBPOOL_MYSQL_URL = server.right.url
  project.provide("dbpoolMysqlUrl", server.right.url)
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
