import * as Effect from "effect/Effect"
import * as Net from "node:net"
import type { Counts, Direction } from "../TcpProxy.js"

/** @internal */
export const host = "127.0.0.1"

const directions: ReadonlyArray<Direction> = ["toServer", "toClient"]

/** @internal */
export class Proxy {
  port = 0
  private server: Net.Server | undefined
  private readonly links = new Set<Link>()
  private readonly deafNow = new Set<Direction>()
  private readonly tally = { accepted: 0, reset: 0, toServer: 0, toClient: 0, swallowed: 0 }
  private millis = 0

  constructor(private readonly target: { readonly host: string; readonly port: number }) {}

  readonly listen: Effect.Effect<void> = Effect.async<void>((resume) => {
    if (this.server !== undefined) return resume(Effect.void)
    const server = Net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.accept(client))
    this.server = server
    server.once("error", (error) => resume(Effect.die(error)))
    server.listen(this.port, host, () => {
      this.port = (server.address() as Net.AddressInfo).port
      resume(Effect.void)
    })
  })

  /** the callback of `close` would wait for every connection that is open; the port is closed at once */
  readonly unlisten: Effect.Effect<void> = Effect.sync(() => {
    this.server?.close()
    this.server = undefined
  })

  readonly cut: Effect.Effect<void> = Effect.suspend(() => {
    this.tally.reset += this.links.size
    return Effect.forEach([...this.links], (link) => link.reset, { concurrency: "unbounded", discard: true })
  })

  delay(millis: number): void {
    this.millis = millis
  }

  deaf(direction: Direction | undefined, connections: "all" | "open"): void {
    for (const each of direction === undefined ? directions : [direction]) {
      if (connections === "all") this.deafNow.add(each)
      for (const link of this.links) link.deaf.add(each)
    }
  }

  hear(): void {
    this.deafNow.clear()
    for (const link of this.links) link.deaf.clear()
  }

  counts(): Counts {
    return { ...this.tally, open: this.links.size }
  }

  private accept(client: Net.Socket): void {
    this.tally.accepted++
    const link = new Link(client, Net.connect({ ...this.target, allowHalfOpen: true, noDelay: true }), {
      hold: () => this.millis,
      passed: (direction, bytes) => this.tally[direction] += bytes,
      swallowed: (bytes) => this.tally.swallowed += bytes,
      noServer: () => this.tally.reset++,
      closed: () => this.links.delete(link)
    })
    for (const each of this.deafNow) link.deaf.add(each)
    this.links.add(link)
  }
}

interface Owner {
  readonly hold: () => number
  readonly passed: (direction: Direction, bytes: number) => void
  readonly swallowed: (bytes: number) => void
  readonly noServer: () => void
  readonly closed: () => void
}

/** one client and its connection to the server */
class Link {
  readonly deaf = new Set<Direction>()
  private connected = false
  private readonly timers = new Set<NodeJS.Timeout>()
  private ended = false

  constructor(
    private readonly client: Net.Socket,
    private readonly upstream: Net.Socket,
    private readonly owner: Owner
  ) {
    this.pump("toServer", client, upstream)
    this.pump("toClient", upstream, client)
    upstream.once("connect", () => this.connected = true)
    upstream.once("error", () => {
      if (!this.connected) owner.noServer()
    })
    for (const socket of [client, upstream]) {
      // what ends one side badly ends the other the same way; a polite end has been passed on
      socket.on("error", () => this.end())
      socket.once("close", () => {
        if (client.closed && upstream.closed) owner.closed()
      })
    }
  }

  /** ends with the last of both sides to close; one that is closing already may have closed a moment later */
  readonly reset: Effect.Effect<void> = Effect.async<void>((resume) => {
    const open = new Set([this.client, this.upstream].filter((socket) => !socket.closed))
    const isOver = () => {
      if (open.size === 0) resume(Effect.void)
    }
    for (const socket of open) {
      socket.once("close", () => {
        open.delete(socket)
        isOver()
      })
    }
    this.end()
    isOver()
  })

  private end(): void {
    this.ended = true
    for (const timer of this.timers) clearTimeout(timer)
    this.timers.clear()
    for (const socket of [this.client, this.upstream]) {
      // one that is saying goodbye cannot be reset: the system refuses, and it would never close
      if (socket.connecting || socket.writableEnded) socket.destroy()
      else if (!socket.destroyed) socket.resetAndDestroy()
    }
    this.owner.closed()
  }

  private pump(direction: Direction, from: Net.Socket, to: Net.Socket): void {
    const inTurn = this.hourglass()
    from.on("data", (chunk) => {
      if (this.deaf.has(direction)) return this.owner.swallowed(chunk.length)
      inTurn(() => {
        this.owner.passed(direction, chunk.length)
        if (to.write(chunk)) return
        from.pause()
        to.once("drain", () => from.resume())
      })
    })
    from.once("end", () => {
      if (!this.deaf.has(direction)) inTurn(() => to.end())
    })
  }

  /** does each step when its time has come, and never before an earlier one, however the delay was changed since */
  private hourglass(): (step: () => void) => void {
    const steps: Array<{ readonly due: number; readonly step: () => void }> = []
    const run = () => {
      while (!this.ended && steps.length > 0 && steps[0]!.due <= performance.now()) steps.shift()!.step()
      if (this.ended || steps.length === 0) return
      const timer = setTimeout(() => {
        this.timers.delete(timer)
        run()
      }, steps[0]!.due - performance.now())
      this.timers.add(timer)
    }
    return (step) => {
      const due = Math.max(steps.at(-1)?.due ?? 0, performance.now() + this.owner.hold())
      steps.push({ due, step })
      if (steps.length === 1) run()
    }
  }
}
