/**
 * Finding out whether a connection still works before it is used, by those who hold it. What nobody holds is validated
 * by the pool.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { DriverConnection, Objection } from "../Driver.js"
import type { ValidationMoment } from "../SqlPoolConfig.js"
import type { Dialect } from "./member.js"
import { Stale } from "./queryError.js"

/** when a connection was last known to work @internal */
export class Proof {
  private provedAt: bigint

  constructor(private readonly dialect: Dialect, private readonly connection: DriverConnection) {
    this.provedAt = dialect.clock.unsafeCurrentTimeNanos()
  }

  /** Makes sure, if that was asked for and is due, that the connection works, or gives it up. */
  before<A>(
    moment: ValidationMoment,
    self: Effect.Effect<A, unknown>,
    objection?: Objection
  ): Effect.Effect<A, unknown> {
    if (!this.asked(moment)) return self
    return this.after(
      moment,
      Effect.suspend(() => this.isDue ? Effect.zipRight(this.establish(objection), self) : self)
    )
  }

  /** What has been answered proves the connection, too. */
  after<A>(moment: ValidationMoment, self: Effect.Effect<A, unknown>): Effect.Effect<A, unknown> {
    return this.asked(moment) ? Effect.tap(self, this.established) : self
  }

  /** As `before`, where nothing is sent yet, if it was asked for. */
  ensure(moment: ValidationMoment): Effect.Effect<void, unknown> | undefined {
    return !this.asked(moment)
      ? undefined
      : Effect.suspend(() => this.isDue ? this.after(moment, this.establish()) : Effect.void)
  }

  private asked(moment: ValidationMoment): boolean {
    return this.dialect.config.validateOn.includes(moment)
  }

  /** Only for the first of those who share a connection: a validation would have to wait for what the others run. */
  beforeShared<A>(self: Effect.Effect<A, unknown>): Effect.Effect<A, unknown> {
    return this.connection.condition() === "busy" ? self : this.before("statement", self)
  }

  beforeStream<A>(rows: Stream.Stream<A, unknown>, objection?: Objection): Stream.Stream<A, unknown> {
    if (!this.asked("statement")) return rows
    return Stream.unwrap(Effect.as(this.before("statement", Effect.void, objection), rows))
  }

  readonly established = Effect.sync(() => {
    this.provedAt = this.dialect.clock.unsafeCurrentTimeNanos()
  })

  /** what is in a transaction cannot be replaced any more */
  private get isDue(): boolean {
    const age = Number(this.dialect.clock.unsafeCurrentTimeNanos() - this.provedAt) / 1e6
    return age > this.dialect.config.validateAfterIdle && this.connection.transactionStatus() === "none"
  }

  /** whoever objects has no right to the connection any more, and must not touch it */
  private establish(objection: Objection = () => undefined): Effect.Effect<void, unknown> {
    const { connection, dialect: { config: { validateTimeout } } } = this
    const refusal = objection()
    if (refusal !== undefined) return Effect.fail(refusal)
    return Effect.interruptible(connection.validate).pipe(
      Effect.timeoutFail({
        duration: validateTimeout,
        onTimeout: () => new Error(`no answer within ${validateTimeout} ms`)
      }),
      Effect.mapError((cause) => {
        const refusal = objection()
        if (refusal !== undefined) return refusal
        connection.destroy()
        return new Stale(cause)
      })
    )
  }
}
