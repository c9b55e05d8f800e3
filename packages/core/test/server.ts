/**
 * A database server that exists only in the test: it can refuse, hang, be slow, be full, forget connections, and it
 * keeps books of everything that was opened.
 */
import type * as Pool from "@dbpool/core/Pool"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

export class Refused extends Error {
  constructor(message: string, readonly fault: Pool.Fault = "transient") {
    super(message)
  }
}

export class Connection {
  open = true
  condition: Pool.Condition = "clean"
  valid = true
  /** how often each happened to it; whatever was opened must be closed once */
  closed = 0
  destroyed = 0
  listener: ((cause: unknown) => void) | undefined
  constructor(readonly id: number) {}

  /** the server goes away, and the socket says so */
  die(): void {
    this.open = false
    this.condition = "broken"
    this.listener?.(new Error(`connection ${this.id} died`))
  }
}

/** what takes time: that long, or for ever; `stubborn` cannot be interrupted either */
export type Pace = Duration.DurationInput | "never" | "stubborn"

export class Server {
  readonly connections: Array<Connection> = []
  attempts = 0
  /** the most connections that were open at once, and attempts under way at once */
  maxOpen = 0
  maxConnecting = 0
  /** how the next connects go */
  connectTime: Pace = 0
  refuse: Refused | undefined
  /** how many it accepts */
  limit = Infinity
  /** how the next validations, restores and closes go */
  validateTime: Pace = 0
  validations = 0
  resetTime: Pace = 0
  resets = 0
  cancelTime: Pace = 0
  cancels = 0
  closeTime: Pace = 0
  private connecting = 0

  get open(): number {
    return this.connections.filter((connection) => connection.open).length
  }

  /** everything is quick and works again */
  calm(): void {
    this.connectTime =
      this.validateTime =
      this.resetTime =
      this.cancelTime =
      this.closeTime =
        0
    this.refuse = undefined
    this.limit = Infinity
  }

  /** restarts: every connection dies */
  kill(): void {
    for (const connection of this.connections) {
      if (connection.open) connection.die()
    }
  }

  private readonly dial = Effect.suspend(() => {
    this.attempts++
    this.maxConnecting = Math.max(this.maxConnecting, ++this.connecting)
    return wait(this.connectTime)
  }).pipe(
    Effect.ensuring(Effect.sync(() => this.connecting--)),
    Effect.zipRight(Effect.suspend(() => {
      if (this.refuse !== undefined) return Effect.fail(this.refuse)
      if (this.open >= this.limit) return Effect.fail(new Refused("too many connections", "refused"))
      const connection = new Connection(this.connections.length + 1)
      this.connections.push(connection)
      this.maxOpen = Math.max(this.maxOpen, this.open)
      return Effect.succeed(connection)
    }))
  )

  private readonly hangUp = (connection: Connection) =>
    Effect.zipRight(
      Effect.suspend(() => wait(this.closeTime)),
      Effect.sync(() => {
        connection.closed++
        connection.open = false
      })
    )

  readonly connect = Effect.acquireRelease(Effect.interruptible(this.dial), this.hangUp)

  readonly options = {
    name: "test",
    initialize: "lazy" as const,
    connect: this.connect,
    connectFault: (error: Refused) => error.fault,
    validate: (connection: Connection) =>
      Effect.suspend(() => {
        this.validations++
        return Effect.map(wait(this.validateTime), () => connection.valid && connection.open)
      }),
    condition: (connection: Connection) => connection.condition,
    cancel: (connection: Connection) =>
      Effect.suspend(() => {
        this.cancels++
        return Effect.map(wait(this.cancelTime), () => void (connection.condition = "dirty"))
      }),
    reset: (connection: Connection) =>
      Effect.suspend(() => {
        this.resets++
        return Effect.map(wait(this.resetTime), () => void (connection.condition = "clean"))
      }),
    onLost: (connection: Connection, lost: (cause: unknown) => void) => void (connection.listener = lost),
    destroy: (connection: Connection) => {
      connection.destroyed++
      connection.open = false
    }
  }
}

/** a wait of zero takes no step of the clock */
const wait = (pace: Pace): Effect.Effect<void> => {
  if (pace === "never") return Effect.never
  if (pace === "stubborn") return Effect.uninterruptible(Effect.never)
  return Duration.toMillis(pace) === 0 ? Effect.void : Effect.sleep(pace)
}
