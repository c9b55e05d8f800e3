/**
 * One simulated connection: what its driver sees, and whether the server still knows it. The two may differ.
 */
import type * as Pool from "@dbpool/core/Pool"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import type * as Api from "../SimulatedServer.js"
import { ServerError } from "../SimulatedServer.js"
import type { Server } from "./simulatedServer.js"

/** @internal */
export class SimulatedConnection implements Api.Connection {
  open = true
  condition: Pool.Condition = "clean"
  closed = 0
  destroyed = 0
  private lost: ((cause: unknown) => void) | undefined
  /** ends the query that runs on it */
  private endQuery: (cause: ServerError) => void = () => {}

  constructor(readonly id: number, private readonly server: Server) {}

  readonly query = Effect.suspend(() => Effect.as(this.run(this.condition), this.id))
  readonly begin = Effect.suspend(() => this.run("dirty"))
  readonly commit = Effect.suspend(() => this.run("clean"))

  readonly leave = (condition: Pool.Condition): Effect.Effect<void> =>
    Effect.sync(() => void (this.condition = condition))

  private run(after: Pool.Condition): Effect.Effect<void, ServerError> {
    if (this.condition === "busy") return Effect.fail(this.error("is busy with another query"))
    if (!this.open) {
      this.condition = "broken"
      return Effect.fail(this.error("is closed"))
    }
    const before = this.condition
    this.condition = "busy"
    return Effect.tapError(
      this.server.answer(
        "query",
        Effect.suspend(() => this.restore(after)),
        (waiting) => this.unlessKilled(waiting)
      ),
      // a query that fails is over, too
      () => Effect.sync(() => void (this.condition = this.open ? before : "broken"))
    )
  }

  /** not a race: in Effect 3, one that is interrupted while it starts may hang */
  private unlessKilled(waiting: Effect.Effect<void>): Effect.Effect<void, ServerError> {
    return Effect.flatMap(Effect.runtime<never>(), (runtime) =>
      Effect.async<void, ServerError>((resume) => {
        const fiber = Runtime.runFork(runtime)(Effect.interruptible(waiting))
        fiber.addObserver(() => resume(Effect.void))
        this.endQuery = (cause) => {
          resume(Effect.fail(cause))
          fiber.unsafeInterruptAsFork(fiber.id())
        }
        return Fiber.interrupt(fiber)
      }))
  }

  private error(what: string): ServerError {
    return new ServerError({ message: `connection ${this.id} ${what}` })
  }

  listen(lost: (cause: unknown) => void): void {
    this.lost = lost
  }

  die(unheard: boolean): void {
    this.open = false
    if (unheard) return
    const cause = this.error("was killed")
    this.condition = "broken"
    this.endQuery(cause)
    this.lost?.(cause)
  }

  restore(condition: Pool.Condition): Effect.Effect<void, ServerError> {
    return this.open ? this.leave(condition) : Effect.fail(this.error("is closed"))
  }

  hangUp(): void {
    this.closed++
    this.end()
  }

  destroy(): void {
    this.destroyed++
    this.end()
  }

  private end(): void {
    this.open = false
    this.condition = "broken"
    this.endQuery(this.error("is closed"))
  }
}
