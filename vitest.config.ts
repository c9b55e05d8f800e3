import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config"

const project = (name: string, options: { readonly postgres: boolean }): TestProjectInlineConfiguration => ({
  extends: true,
  test: {
    name,
    root: `packages/${name}`,
    include: ["test/**/*.test.ts"],
    ...(options.postgres
      ? { globalSetup: ["../testing/test/setup/pgServer.ts"], setupFiles: ["../testing/test/setup/pgServerUrl.ts"] }
      : {})
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
      project("core", { postgres: false }),
      project("testing", { postgres: false }),
      project("sql", { postgres: false }),
      project("sql-pg", { postgres: true }),
      project("examples", { postgres: true })
    ]
  }
})
