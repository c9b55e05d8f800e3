import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config"

/** tests that try every case there is, in a world of their own; the other tests of a project are to be quick */
const proofs = "test/proofs/**/*.test.ts"

/** a real server that the tests of a project share */
type Server = "pgServer" | "mariaServer" | "avaticaServer"

const project = (name: string, ...servers: ReadonlyArray<Server>): TestProjectInlineConfiguration => ({
  extends: true,
  test: {
    name,
    root: `packages/${name}`,
    include: ["test/**/*.test.ts"],
    exclude: [proofs],
    globalSetup: servers.map((server) => `../testing/test/setup/${server}.ts`),
    setupFiles: servers.map((server) => `../testing/test/setup/${server}Url.ts`)
  }
})

export default defineConfig({
  test: {
    pool: "forks",
    // Files share nothing but modules without state; importing effect anew for each would take longer than the tests.
    // Vitest heeds it here only, not in a project.
    isolate: false,
    maxWorkers: 2,
    minWorkers: 1,
    // only a bound for what hangs: some tests run whole programs, and machines can be slow
    testTimeout: 120_000,
    hookTimeout: 30_000,
    projects: [
      project("core"),
      { extends: true, test: { name: "core-proofs", root: "packages/core", include: [proofs] } },
      project("testing"),
      project("sql"),
      project("sql-pg", "pgServer"),
      project("sql-mysql2", "mariaServer"),
      project("sql-lindorm", "avaticaServer"),
      project("examples", "pgServer", "mariaServer"),
      project("benchmarks", "pgServer", "mariaServer")
    ]
  }
})
