import * as Failure from "@dbpool/testing/Failure"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"

class Late extends Data.TaggedError("Late")<{ readonly message: string }> {}
class Full extends Data.TaggedError("Full")<{ readonly message: string }> {}

const late = new Late({ message: "too late" })
const failed: Exit.Exit<number, Late | Full | string> = Exit.fail(late)

describe("the failure of an exit", () => {
  it("is its typed error", () => {
    assert.strictEqual(Failure.of(failed), late)
    assert.strictEqual(Failure.tagged(failed, "Late"), late)
  })

  it("is no defect, no interrupt and no other error, and there must be one", () => {
    assert.throws(() => Failure.of(Exit.succeed(1)), "it has not failed")
    assert.throws(() => Failure.of(Exit.die("a bug")), "not failed with an error of its own: Error: a bug")
    assert.throws(() => Failure.of(Exit.interrupt(FiberId.none)), "All fibers interrupted without errors")
    assert.throws(() => Failure.tagged(failed, "Full"), "it has not failed with Full: Late: too late")
    assert.throws(() => Failure.tagged(Exit.fail("no") as typeof failed, "Full"), "it has not failed with Full: no")
  })
})
