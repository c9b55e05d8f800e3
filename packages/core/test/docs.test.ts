import * as Pool from "@dbpool/core/Pool"
import * as PoolConfig from "@dbpool/core/PoolConfig"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"

const page = (name: string) =>
  Effect.promise(() => readFile(new URL(`../../../docs/${name}.md`, import.meta.url), "utf8"))

describe("the documentation", () => {
  it.effect("explains every option of the pool", () =>
    Effect.gen(function*() {
      const listed = [...(yield* page("options")).matchAll(/^\| `(\w+)` \|/gm)].map(([, option]) => option!)
      assert.includeMembers(listed, Object.keys(yield* PoolConfig.resolve({})))
    }))

  it.scoped("explains every error that a caller can get", () =>
    Effect.gen(function*() {
      const listed = [...(yield* page("errors")).matchAll(/^### `(\w+)`/gm)].map(([, tag]) => tag!)
      const pool = yield* Pool.make({ connect: Effect.succeed("a connection") })
      assert.sameMembers(listed, Object.keys((yield* pool.stats).refused))
    }))
})
