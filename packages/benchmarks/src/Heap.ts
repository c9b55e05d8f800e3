/**
 * How much memory something takes: the heap after a full collection, with it and without.
 */
import * as Effect from "effect/Effect"
import * as V8 from "node:v8"
import * as Vm from "node:vm"

V8.setFlagsFromString("--expose-gc")
const collect = Vm.runInNewContext("gc") as () => void

/** what was resolved or timed out must be over before it can be collected */
const settled = Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 20)))

export const bytes: Effect.Effect<number> = Effect.map(settled, () => {
  collect()
  collect()
  return process.memoryUsage().heapUsed
})

/** timers that are set, in this whole process */
export const timers = (): number => process.getActiveResourcesInfo().filter((what) => what === "Timeout").length
