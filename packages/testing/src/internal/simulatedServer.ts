/**
 * The server's side of a simulation: what each operation is answered with, and which connections it knows.
 */
import type * as Pool from "@dbpool/core/Pool"
import * as Effect from "effect/Effect"
import type * as Api from "../SimulatedServer.js"
import { ServerError, TypeId } from "../SimulatedServer.js"
import { SimulatedConnection } from "./simulatedConnection.js"

const operations: ReadonlyArray<Api.Operation> = ["connect", "validate", "cancel", "reset", "close", "query"]

const perOperation = <A>(make: () => A): Record<Api.Operation, A> =>
  Object.fromEntries(operations.map((operation) => [operation, make()])) as Record<Api.Operation, A>

const wait = (takes: NonNullable<Api.Answer["takes"]>): Effect.Effect<void> =>
  takes === "never" ? Effect.never : Effect.sleep(takes)

class Server implements Api.SimulatedServer {
  readonly [TypeId]: Api.TypeId = TypeId
  readonly connections: Array<SimulatedConnection> = []
  readonly calls = perOperation(() => 0)
  maxOpen = 0
  maxConnecting = 0
  private connecting = 0
  private most = Infinity
  private readonly standing = perOperation((): Api.Answer => ({}))
  private readonly scripts = perOperation((): Array<{ readonly answer: Api.Answer; left: number }> => [])

  get open(): number {
    return this.connections.reduce((count, { open }) => open ? count + 1 : count, 0)
  }

  // ------------------------------------------------------------------ what the test says

  readonly always: Api.SimulatedServer["always"] = (operation, answer) =>
    Effect.sync(() => void (this.standing[operation] = answer))

  readonly next: Api.SimulatedServer["next"] = (operation, answer, times = 1) =>
    Effect.sync(() => void this.scripts[operation].push({ answer, left: times }))

  readonly limit: Api.SimulatedServer["limit"] = (connections) => Effect.sync(() => void (this.most = connections))

  readonly kill: Api.SimulatedServer["kill"] = ({ id }, { unheard = false } = {}) =>
    Effect.sync(() => this.connections[id - 1]!.die(unheard))

  readonly restart = Effect.sync(() => {
    for (const connection of this.connections) {
      if (connection.open) connection.die(false)
    }
  })

  readonly goDeaf = Effect.sync(() => {
    for (const operation of operations) {
      if (operation !== "close") this.standing[operation] = { takes: "never" }
    }
  })

  readonly calm = Effect.sync(() => {
    for (const operation of operations) {
      this.standing[operation] = {}
      this.scripts[operation].length = 0
    }
    this.most = Infinity
  })

  // ------------------------------------------------------------------ what is asked of it

  /** Goes as the script says. What takes no time is done at once; `done` decides what comes of it when it is over. */
  answer<A>(
    operation: Api.Operation,
    done: Effect.Effect<A, ServerError>,
    meanwhile: (waiting: Effect.Effect<void>) => Effect.Effect<void, ServerError> = (waiting) => waiting
  ): Effect.Effect<A, ServerError> {
    return Effect.suspend(() => {
      this.calls[operation]++
      const { fails, stubborn, takes = 0 } = this.take(operation)
      const outcome = fails === undefined ? done : Effect.fail(fails)
      if (takes === 0) return outcome
      return stubborn === true
        ? Effect.uninterruptible(Effect.zipRight(wait(takes), outcome))
        : Effect.zipRight(meanwhile(wait(takes)), outcome)
    })
  }

  private take(operation: Api.Operation): Api.Answer {
    const queue = this.scripts[operation]
    while (queue.length > 0 && !(queue[0]!.left > 0)) queue.shift()
    const script = queue[0]
    if (script === undefined) return this.standing[operation]
    script.left--
    return script.answer
  }

  private readonly accept = Effect.suspend((): Effect.Effect<SimulatedConnection, ServerError> => {
    if (this.open >= this.most) {
      return Effect.fail(new ServerError({ message: "too many connections", fault: "refused" }))
    }
    const connection = new SimulatedConnection(this.connections.length + 1, this)
    this.connections.push(connection)
    this.maxOpen = Math.max(this.maxOpen, this.open)
    return Effect.succeed(connection)
  })

  private readonly dial = Effect.suspend(() => {
    this.maxConnecting = Math.max(this.maxConnecting, ++this.connecting)
    return Effect.ensuring(
      // what it opens is owned from that moment: only the waiting can be interrupted
      this.answer("connect", this.accept, Effect.interruptible),
      Effect.sync(() => void this.connecting--)
    )
  })

  /** a scope's finalizer has no error channel: a close that fails is a defect, after which the connection is closed */
  private readonly hangUp = (connection: SimulatedConnection): Effect.Effect<void> =>
    Effect.ensuring(
      Effect.orDie(this.answer("close", Effect.void)),
      Effect.sync(() => connection.hangUp())
    )

  readonly options: Api.Hooks = {
    connect: Effect.acquireRelease(this.dial, this.hangUp),
    connectFault: ({ fault }) => fault ?? "transient",
    validate: (connection) => this.answer("validate", Effect.sync(() => connection.open)),
    condition: ({ condition }) => condition,
    cancel: (connection) => this.restore("cancel", connection, "dirty"),
    reset: (connection) => this.restore("reset", connection, "clean"),
    onLost: (connection, lost) => this.connections[connection.id - 1]!.listen(lost),
    destroy: (connection) => this.connections[connection.id - 1]!.destroy()
  }

  private restore(operation: "cancel" | "reset", { id }: Api.Connection, condition: Pool.Condition) {
    const connection = this.connections[id - 1]!
    return this.answer(operation, Effect.suspend(() => connection.restore(condition)))
  }
}

/** @internal */
export type { Server }

/** @internal */
export const make: Effect.Effect<Api.SimulatedServer> = Effect.sync(() => new Server())
