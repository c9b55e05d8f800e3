/**
 * A server and the network to it, as bad as the dice say.
 */
import type * as Pool from "@dbpool/core/Pool"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Hooks } from "../../src/internal/hooks.js"
import type { Sharing } from "../../src/SharingPool.js"
import type { Stay } from "./stay.js"
import type { World } from "./world.js"

export type Weather = "fine" | "slow" | "down" | "deaf" | "full" | "locked" | "stubborn"

export class ConnectError extends Error {
  constructor(message: string, readonly fault: Pool.Fault) {
    super(message)
  }
}

export class Socket {
  /** the server still knows it */
  alive = true
  /** what a driver would see on its side */
  condition: Pool.Condition = "clean"
  /** who uses it right now: one user, and whoever does so inside that */
  readonly stays = new Set<Stay>()
  /** the pool knows that it is dead, or was told that it is no good */
  gone = false
  closed = 0
  destroyed = 0
  /** the pool has it; one whose connect was interrupted and opened it nevertheless is only closed */
  known = false
  /** its close failed, so that it has to be destroyed if it can be */
  stuck = false
  opened = false
  /** a validation of it did not succeed */
  doubted = false
  lost: ((cause: unknown) => void) | undefined
  /** nobody more may share it, until those who do are done */
  obstructed = false

  /** `mostSharers`: how many may use it at once, if they share */
  constructor(readonly id: number, readonly mostSharers: number) {}
}

export class Network {
  weather: Weather = "fine"
  /** how many the server takes in `full` weather */
  limit = 2
  readonly sockets: Array<Socket> = []
  /** whether connections that come back clean are reset, too */
  private readonly resetsAll: boolean
  /** told how long it had taken when a connect is interrupted; each pool has its own */
  onDialInterrupted: (after: number) => void = () => {}

  /** whether connections may be shared, and how */
  readonly sharing: Sharing<Socket> | undefined

  constructor(readonly world: World) {
    const { dice } = world
    this.resetsAll = dice.chance(0.2)
    if (dice.chance(0.4)) this.sharing = { maxLeases: dice.pick([1, 2, 5]), accepts: ({ obstructed }) => !obstructed }
  }

  /** sockets that the server or the client still has */
  get open(): ReadonlyArray<Socket> {
    return this.sockets.filter((socket) => socket.opened && socket.closed === 0)
  }

  private delay(low: number, high: number): Effect.Effect<void> {
    return Effect.suspend(() => Effect.sleep(this.world.dice.between(low, high)))
  }

  readonly connect: Effect.Effect<Socket, ConnectError, Scope.Scope> = Effect.acquireRelease(
    Effect.sync(() => {
      const socket = new Socket(this.sockets.length + 1, this.sharing?.maxLeases ?? 0)
      this.sockets.push(socket)
      return socket
    }),
    (socket) => this.close(socket)
  ).pipe(
    Effect.tap((socket) => {
      const { onDialInterrupted, world } = this
      const begun = world.now
      return Effect.onInterrupt(this.dial(socket), () => Effect.sync(() => onDialInterrupted(world.now - begun)))
    })
  )

  private readonly setup = Effect.suspend((): Effect.Effect<void, ConnectError> => {
    const { dice } = this.world
    if (dice.chance(0.97)) return Effect.void
    return dice.chance(0.5) ? Effect.never : Effect.fail(new ConnectError("set up in vain", "transient"))
  })

  private dial(socket: Socket): Effect.Effect<void, ConnectError> {
    return Effect.suspend(() => {
      const { dice } = this.world
      const opened = Effect.sync(() => {
        socket.opened = true
        this.world.record(`socket ${socket.id} open`)
      })
      const refused = (message: string, fault: Pool.Fault) =>
        Effect.zipRight(this.delay(0, 5), Effect.fail(new ConnectError(message, fault)))
      switch (this.weather) {
        case "fine":
          return Effect.zipRight(dice.chance(0.1) ? Effect.void : this.delay(1, 40), opened)
        case "slow":
          return Effect.zipRight(this.delay(100, 3000), opened)
        case "down":
          return refused("refused", "transient")
        case "deaf":
          return dice.chance(0.5) ? Effect.never : refused("timed out", "transient")
        case "full":
          return this.open.length >= this.limit
            ? refused("too many", "refused")
            : Effect.zipRight(this.delay(1, 10), opened)
        case "locked":
          return refused("wrong password", "fatal")
        case "stubborn":
          return Effect.uninterruptible(Effect.zipRight(this.delay(500, 12_000), opened))
      }
    })
  }

  private close(socket: Socket): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { dice } = this.world
      const gone = Effect.suspend(() => {
        socket.closed++
        socket.alive = false
        this.world.record(`socket ${socket.id} ${socket.stuck ? "would not close" : "closed"}`)
        return socket.stuck ? Effect.die("it would not close") : Effect.void
      })
      if (!socket.opened) return gone
      socket.stuck = dice.chance(0.02)
      return Effect.zipRight(
        dice.chance(0.05) ? this.delay(2000, 20_000) : dice.chance(0.5) ? this.delay(0, 20) : Effect.void,
        gone
      )
    })
  }

  get hooks(): Hooks<Socket> {
    return {
      connect: this.connect,
      setup: (socket: Socket): Effect.Effect<void, ConnectError> => {
        socket.known = true
        return this.setup
      },
      fault: (error: unknown): Pool.Fault => error instanceof ConnectError ? error.fault : "transient",
      validate: (socket: Socket): Effect.Effect<boolean> =>
        Effect.suspend(() => {
          socket.doubted = true
          if (this.weather === "deaf" && this.world.dice.chance(0.7)) return Effect.never
          return Effect.zipRight(
            this.delay(0, 5),
            Effect.sync(() => {
              socket.doubted = !socket.alive
              return socket.alive
            })
          )
        }),
      condition: (socket: Socket): Pool.Condition => socket.alive ? socket.condition : "broken",
      cancel: (socket: Socket): Effect.Effect<void, string> =>
        this.repair(socket, this.world.dice.chance(0.2) ? "clean" : "dirty"),
      reset: {
        onDirty: (socket: Socket): Effect.Effect<void, string> => this.repair(socket, "clean"),
        onClean: this.resetsAll
          ? (socket: Socket): Effect.Effect<void, string> => this.repair(socket, "clean")
          : undefined
      },
      worn: (): boolean => this.world.dice.chance(0.01),
      onLost: (socket: Socket, lost: (cause: unknown) => void): void => {
        socket.lost = lost
      },
      activity: undefined,
      destroy: (socket: Socket): void => {
        socket.alive = false
        socket.destroyed++
        this.world.record(`socket ${socket.id} destroyed`)
      }
    }
  }

  private repair(socket: Socket, to: Pool.Condition): Effect.Effect<void, string> {
    return Effect.suspend((): Effect.Effect<void, string> => {
      const { dice } = this.world
      if (dice.chance(0.05)) return Effect.never
      if (dice.chance(0.05)) return Effect.fail("it would not")
      return Effect.zipRight(this.delay(0, 30), Effect.sync(() => void (socket.condition = to)))
    })
  }

  /** the server drops a connection; a driver that listens notices, one whose packets are lost does not */
  kill(socket: Socket): void {
    if (!socket.opened || socket.closed > 0 || !socket.alive) return
    socket.alive = false
    const heard = this.weather !== "deaf" && this.world.dice.chance(0.7)
    this.world.record(`socket ${socket.id} killed${heard ? "" : ", unheard"}`)
    if (!heard || socket.lost === undefined) return
    socket.gone = true
    socket.lost(new Error("killed"))
  }
}
