import * as PoolConfig from "@dbpool/core/PoolConfig"
import type { AcquireError } from "@dbpool/core/PoolError"
import * as SqlPoolConfig from "@dbpool/sql/SqlPoolConfig"
import type { SqlPoolError } from "@dbpool/sql/SqlPoolError"
import type { StatementReason } from "@dbpool/sql/StatementError"
import type * as Transaction from "@dbpool/sql/Transaction"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"

/** a section of a page, and the code words in it that a pattern finds */
const words = (page: string, title: string, pattern: RegExp) =>
  Effect.promise(async () => {
    const text = await readFile(new URL(`../../../docs/${page}.md`, import.meta.url), "utf8")
    const section = `\n${text}`.split(`\n${title}\n`)[1]!.split(/\n## /)[0]!
    return [...section.matchAll(pattern)].flatMap(([line]) => [...line.matchAll(/`(\w+)`/g)].map(([, word]) => word!))
  })

const firstCell = /^\| `[^|]*\|/gm

/** every member of a union, which the compiler counts */
const all = <T extends string>(members: Record<T, true>) => Object.keys(members)

describe("the documentation", () => {
  it.effect("explains every option that SQL pools have on top of others", () =>
    Effect.gen(function*() {
      const inherited = Object.keys(yield* PoolConfig.resolve({}))
      const own = Object.keys(yield* SqlPoolConfig.resolve({})).filter((option) => !inherited.includes(option))
      assert.sameMembers(yield* words("sql", "## Options", firstCell), [...own, "validateOn", "setup", "reset"])
    }))

  it.effect("explains every error of the SQL layer, and every reason", () =>
    Effect.gen(function*() {
      const errors = all<Exclude<SqlPoolError, AcquireError>["_tag"]>({
        StatementError: true,
        NoSuchConnection: true,
        ConnectionLost: true,
        LeaseReleased: true,
        CommitFailed: true,
        CommitUnknown: true,
        TransactionTimeout: true,
        InvalidTransaction: true
      })
      const reasons = all<StatementReason>({
        UniqueViolation: true,
        ForeignKeyViolation: true,
        NotNullViolation: true,
        CheckViolation: true,
        SerializationFailure: true,
        Deadlock: true,
        StalePlan: true,
        LockTimeout: true,
        StatementTimeout: true,
        Cancelled: true,
        Syntax: true,
        Authentication: true,
        Permission: true,
        ReadOnly: true,
        Unknown: true
      })
      assert.sameMembers(yield* words("sql", "## Errors", /^### .*/gm), errors)
      assert.sameMembers(yield* words("sql", "## Errors", firstCell), reasons)
    }))

  it.effect("explains every option of a transaction", () =>
    Effect.gen(function*() {
      const options = all<keyof Transaction.Options>({
        isolation: true,
        accessMode: true,
        deferrable: true,
        timeout: true,
        retry: true
      })
      assert.sameMembers(yield* words("transactions", "# Transactions", firstCell), options)
    }))
})
