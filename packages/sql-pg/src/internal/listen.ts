/**
 * LISTEN for all channels of a pool, on one connection that it keeps on lease while anybody listens.
 *
 * Subscribers come and go in synchronous steps; one fiber holds the lease, and makes the server's list of channels what
 * the subscribers want. When the connection dies it takes another, and tells those who listened that there was a gap.
 */
import type * as Pool from "@dbpool/core/Pool"
import type { PoolConfig } from "@dbpool/core/PoolConfig"
import { InvalidPoolConfig, PoolClosed } from "@dbpool/core/PoolError"
import * as PoolSchedule from "@dbpool/core/PoolSchedule"
import { connectionOf } from "@dbpool/sql/Driver"
import type { SqlConnection } from "@dbpool/sql/SqlConnection"
import type { QueryError } from "@dbpool/sql/SqlPoolError"
import { ConnectionLost } from "@dbpool/sql/SqlPoolError"
import { StatementError } from "@dbpool/sql/StatementError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import pg from "pg"
import type { Element, Gap, ListenError, Options } from "../PgListen.js"
import type { PgConnection } from "./connection.js"

/** longer names are cut off by LISTEN, and refused by NOTIFY */
const longestName = 63

/** timers cannot count for ever */
const longestSleep = 3_600_000

/** @internal */
export type ListenConfig = Pick<PoolConfig, "name" | "maxConnections" | "keepaliveInterval" | "validateTimeout">

/** somebody who listens to a channel */
interface Subscriber {
  readonly channel: string
  readonly capacity: number
  readonly queue: Queue.Queue<Exit.Exit<Element, Option.Option<ListenError>>>
  /** it has been told that it listens: from then on it is told of gaps, and no longer of errors */
  listening: boolean
  missed: Gap["reason"] | undefined
}

/** @internal */
export class Listener {
  private readonly channels = new Map<string, Set<Subscriber>>()
  /** what the connection listens to; `starting` until the server has confirmed it */
  private readonly inForce = new Map<string, "starting" | "on">()
  private fiber: Fiber.RuntimeFiber<void> | undefined = undefined
  private closed = false
  /** the subscriptions have changed, or the connection has died, since the fiber last looked */
  private stirred = false
  private wake: (() => void) | undefined = undefined

  constructor(
    private readonly pool: Pool.Pool<SqlConnection>,
    private readonly config: ListenConfig,
    private readonly runtime: Runtime.Runtime<never>
  ) {}

  listen(channel: string, options: Options = {}): Stream.Stream<Element, ListenError> {
    const { capacity = 4096 } = options
    return Stream.unwrapScoped(Effect.suspend(() => {
      const refusal = this.refuses(channel, capacity)
      if (refusal !== undefined) return Effect.fail(refusal)
      return Effect.acquireRelease(
        Effect.map(Queue.unbounded<Exit.Exit<Element, Option.Option<ListenError>>>(), (queue) => {
          const subscriber: Subscriber = { channel, capacity, queue, listening: false, missed: undefined }
          this.enter(subscriber)
          return subscriber
        }),
        (subscriber) => Effect.sync(() => this.leave(subscriber))
      ).pipe(Effect.map(({ queue }) => Stream.flattenExitOption(Stream.fromQueue(queue))))
    }))
  }

  /** nobody listens from now on, and whoever did is told why */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.closed = true
      this.end(() => true, Exit.fail(new PoolClosed({ pool: this.config.name })))
      return this.fiber === undefined ? Effect.void : Fiber.interrupt(this.fiber)
    })
  }

  private refuses(channel: string, capacity: number): ListenError | undefined {
    const { maxConnections, name } = this.config
    if (this.closed) return new PoolClosed({ pool: name })
    const invalid = (option: string, requirement: string) => new InvalidPoolConfig({ pool: name, option, requirement })
    if (maxConnections === 1) {
      return invalid("maxConnections", "must be at least 2 to listen: it takes one connection for itself")
    }
    if (!(Number.isInteger(capacity) && capacity > 0)) {
      return invalid("capacity", `must be an integer of at least 1, not ${capacity}`)
    }
    return Buffer.byteLength(channel) > longestName
      ? new StatementError({
        pool: name,
        reason: "Syntax",
        code: "42622",
        constraint: undefined,
        inTransaction: false,
        cause: new Error(`the name of the channel is longer than ${longestName} bytes: ${channel}`)
      })
      : undefined
  }

  // ------------------------------------------------------------------ subscribers: synchronous steps

  private enter(subscriber: Subscriber): void {
    const others = this.channels.get(subscriber.channel)
    if (others === undefined) this.channels.set(subscriber.channel, new Set([subscriber]))
    else others.add(subscriber)
    if (this.inForce.get(subscriber.channel) === "on") announce(subscriber)
    this.stir()
    this.fiber ??= Runtime.runFork(this.runtime)(this.serveAll)
  }

  private leave(subscriber: Subscriber): void {
    const others = this.channels.get(subscriber.channel)
    if (others?.delete(subscriber) !== true) return
    if (others.size === 0) this.channels.delete(subscriber.channel)
    this.stir()
  }

  private stir(): void {
    this.stirred = true
    this.wake?.()
  }

  private *all(): Iterable<Subscriber> {
    for (const subscribers of this.channels.values()) yield* subscribers
  }

  private end(which: (subscriber: Subscriber) => boolean, exit: Exit.Exit<never, ListenError>): void {
    for (const subscriber of [...this.all()]) {
      if (!which(subscriber)) continue
      subscriber.queue.unsafeOffer(Exit.mapError(exit, Option.some))
      this.leave(subscriber)
    }
  }

  private readonly receive = (message: pg.Notification): void => {
    const { channel, payload = "", processId } = message
    // it may come before the answer to LISTEN is looked at, and after UNLISTEN was sent
    if (!this.inForce.has(channel)) return
    for (const subscriber of this.channels.get(channel) ?? []) {
      announce(subscriber)
      offer(subscriber, { _tag: "Notification", channel, payload, processId })
    }
  }

  // ------------------------------------------------------------------ the fiber that holds the lease

  /** until nobody listens any more */
  private get serveAll(): Effect.Effect<void> {
    const attempt = Effect.tapError(Effect.scoped(this.serve), (error) =>
      Effect.sync(() => {
        this.inForce.clear()
        this.end(({ listening }) => !listening, Exit.fail(error))
        for (const subscriber of this.all()) subscriber.missed = "ConnectionLost"
      }))
    return attempt.pipe(
      Effect.retry({ schedule: again, while: () => !this.rests() }),
      Effect.ignore,
      Effect.catchAllDefect((defect) => Effect.sync(() => this.end(() => true, Exit.die(defect)))),
      Effect.withSpan("dbpool.listen", { attributes: { "dbpool.pool": this.config.name } })
    )
  }

  /** whether there is nothing to do; then whoever subscribes next starts anew */
  private rests(): boolean {
    if (this.channels.size > 0) return false
    this.fiber = undefined
    return true
  }

  private get serve(): Effect.Effect<void, ListenError, Scope.Scope> {
    return Effect.gen(this, function*() {
      const lease = yield* this.pool.acquire
      const connection = connectionOf(lease.connection) as PgConnection
      let clean = false
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          connection.client.on("notification", this.receive)
          connection.client.once("end", this.died)
        }),
        () =>
          Effect.suspend(() => {
            connection.client.off("notification", this.receive)
            connection.client.off("end", this.died)
            // the next borrower would go on listening
            return clean ? Effect.void : lease.invalidate
          })
      )
      do {
        this.stirred = false
        yield* this.reconcile(lease.connection)
        if (this.inForce.size === 0 && this.rests()) {
          clean = true
          return
        }
        yield* this.change
        if (!this.stirred) yield* this.look(connection)
        const broken = connection.line.isBroken
        if (broken !== undefined) return yield* this.lost(broken.cause)
      } while (true)
    })
  }

  private readonly died = (): void => this.stir()

  private lost(cause: unknown): Effect.Effect<never, ConnectionLost> {
    return Effect.fail(new ConnectionLost({ pool: this.config.name, inTransaction: false, cause }))
  }

  /** the server's list of channels becomes that of the subscribers */
  private reconcile(connection: SqlConnection): Effect.Effect<void, QueryError> {
    const unlisten = (channel: string) =>
      Effect.suspend(() => {
        // from here on it is not relied on: a subscriber that comes now waits for the next LISTEN
        this.inForce.delete(channel)
        return connection.query(`UNLISTEN ${pg.escapeIdentifier(channel)}`)
      })
    const listen = (channel: string) =>
      Effect.suspend(() => {
        this.inForce.set(channel, "starting")
        return connection.query(`LISTEN ${pg.escapeIdentifier(channel)}`)
      }).pipe(
        Effect.andThen(() => {
          this.inForce.set(channel, "on")
          for (const subscriber of this.channels.get(channel) ?? []) announce(subscriber)
        }),
        Effect.catchTag("StatementError", (error) => {
          this.inForce.delete(channel)
          this.end((subscriber) => subscriber.channel === channel && !subscriber.listening, Exit.fail(error))
          return this.channels.has(channel) ? Effect.fail(error) : Effect.void
        })
      )
    return Effect.suspend(() => {
      const gone = [...this.inForce.keys()].filter((channel) => !this.channels.has(channel))
      const wanted = [...this.channels.keys()].filter((channel) => !this.inForce.has(channel))
      if (gone.length === 0 && wanted.length === 0) return Effect.void
      return Effect.zipRight(
        Effect.forEach(gone, unlisten, { discard: true }),
        Effect.forEach(wanted, listen, { discard: true })
      ).pipe(Effect.andThen(() => this.reconcile(connection)))
    })
  }

  /** waits until something has changed, or it is time to look after a connection on which nothing happens */
  private get change(): Effect.Effect<void> {
    const stirred = Effect.async<void>((resume) => {
      const wake = () => resume(Effect.void)
      if (this.stirred) return wake()
      this.wake = wake
      return Effect.sync(() => {
        this.wake = undefined
      })
    })
    return Effect.asVoid(Effect.timeoutOption(stirred, Math.min(this.config.keepaliveInterval, longestSleep)))
  }

  private look(connection: PgConnection): Effect.Effect<void, ConnectionLost> {
    return connection.validate.pipe(
      Effect.timeoutFail({
        duration: this.config.validateTimeout,
        onTimeout: () => new Error(`no answer within ${this.config.validateTimeout} ms`)
      }),
      Effect.catchAll((cause) => this.lost(cause))
    )
  }
}

/** from the start again when a connection has lasted for a while */
const again = Schedule.resetAfter(PoolSchedule.connect, "1 minute")

/** tells a subscriber that it listens, or that it listens again */
const announce = (subscriber: Subscriber): void => {
  const { channel, missed } = subscriber
  if (!subscriber.listening) offer(subscriber, { _tag: "Listening", channel })
  else if (missed === "ConnectionLost") offer(subscriber, { _tag: "Gap", channel, reason: missed })
  subscriber.listening = true
}

const offer = (subscriber: Subscriber, element: Element): void => {
  const { capacity, channel, queue } = subscriber
  const room = Option.getOrElse(queue.unsafeSize(), () => 0) < capacity
  if (room) subscriber.missed = undefined
  else if (subscriber.missed === "TooSlow") return
  else subscriber.missed = "TooSlow"
  queue.unsafeOffer(Exit.succeed(room ? element : { _tag: "Gap", channel, reason: "TooSlow" }))
}
