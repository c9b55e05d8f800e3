import type { InvalidPoolConfig } from "@dbpool/core/PoolError"
import * as SqlPool from "@dbpool/sql/SqlPool"
import * as SqlPoolConfig from "@dbpool/sql/SqlPoolConfig"
import * as Reactivity from "@effect/experimental/Reactivity"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { FakeServer } from "./server.js"
import { failsWith } from "./support.js"

const wrong: ReadonlyArray<readonly [option: string, value: unknown, requirement: string]> = [
  ["maxConnections", 0, "must be an integer of at least 1, not 0"],
  ["validateOn", "statement", `must be an array of "acquire", "return", "transaction", "statement", not "statement"`],
  ["validateOn", ["query"], `must be an array of "acquire", "return", "transaction", "statement", not ["query"]`],
  ["maxStatements", 0, "must be an integer of at least 1, not 0"],
  ["maxStatements", 1.5, "must be an integer of at least 1, not 1.5"],
  ["retryUnsent", "no", "must be true or false, not \"no\""],
  ["statementTimeout", 0, "must be a duration above zero, not 0"],
  ["commitTimeout", "soon", `must be a duration above zero, not "soon"`],
  ["setup", "set x to 1", "must be an array of statements or a function"],
  ["setup", [1], "must be an array of statements or a function"],
  [
    "reset",
    "sometimes",
    `must be "rollback-if-needed", "always-rollback", "session", "none", a function or a PoolReset`
  ]
]

describe("the options of a SQL pool", () => {
  it.effect("have defaults", () =>
    Effect.gen(function*() {
      const config = yield* SqlPoolConfig.resolve({ maxStatements: Infinity })
      assert.deepStrictEqual(config.validateOn, ["acquire"])
      assert.strictEqual(config.maxStatements, Infinity)
      assert.isTrue(config.retryUnsent)
      assert.strictEqual(config.statementTimeout, Infinity)
      assert.strictEqual(config.commitTimeout, 10_000)
    }))

  it.effect("are read as durations, numbers and lists", () =>
    Effect.gen(function*() {
      const config = yield* SqlPoolConfig.resolve({
        validateOn: ["transaction", "return"],
        statementTimeout: Duration.minutes(1),
        commitTimeout: "3 seconds",
        maxStatements: 7
      })
      assert.deepStrictEqual(config.validateOn, ["transaction", "return"])
      assert.deepStrictEqual([config.statementTimeout, config.commitTimeout, config.maxStatements], [60_000, 3000, 7])
    }))

  it.scoped("that are wrong make the pool fail with InvalidPoolConfig, which names them, before anything is opened", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      for (const [option, value, requirement] of wrong) {
        const made: Effect.Effect<unknown, InvalidPoolConfig, any> = SqlPool.make(server.driver, {
          name: "test",
          [option]: value
        }) as never
        const error = yield* failsWith(made, "InvalidPoolConfig")
        assert.strictEqual(error.option, option)
        assert.strictEqual(error.message, `Pool "test": ${option} ${requirement}`)
      }
      assert.strictEqual(server.connections.length, 0)
    }).pipe(Effect.provide(Reactivity.layer)))
})
