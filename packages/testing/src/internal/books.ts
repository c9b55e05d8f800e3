/**
 * How the hooks of a pool write its books, and tell whoever follows them.
 */
import type * as Pool from "@dbpool/core/Pool"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Api from "../PoolBooks.js"

/** @internal */
export const TypeId: Api.TypeId = "~@dbpool/testing/PoolBooks"

/** @internal */
export class Account implements Api.Account<unknown> {
  connection: unknown = undefined
  connecting = true
  openedAt = Infinity
  lostAt = Infinity
  closingAt = Infinity
  closed = 0
  closedAt = Infinity
  destroyed = 0
  hook: string | undefined = undefined
  /** since when it could have been lent: a new connection may have to be validated first */
  readyAt = Infinity
  /** its validation did not succeed, or its opening */
  doubtful = false
  /** how often it was lent */
  lent = 0

  constructor(readonly id: number, readonly startedAt: number) {}

  get open(): boolean {
    return this.openedAt !== Infinity && this.closed === 0 && this.destroyed === 0
  }
}

/**
 * What the books tell about; `interrupted` is a connect that was.
 *
 * @internal
 */
export type Event =
  | "connecting"
  | "interrupted"
  | "failed"
  | "opened"
  | "lost"
  | "hook"
  | "hookEnded"
  | "broken"
  | "closing"
  | "closed"
  | "destroyed"

type Hook = (connection: any) => Effect.Effect<unknown, any, any>

/** @internal */
export class Books implements Api.PoolBooks<unknown> {
  readonly [TypeId]: Api.TypeId = TypeId
  readonly accounts: Array<Account> = []
  readonly options: Api.AnyOptions
  /** is told of everything, in the middle of it: it must be quick and throw nothing */
  follower: (event: Event, account: Account) => void = () => {}
  private readonly byConnection = new Map<unknown, Account>()
  private readonly origin: bigint

  constructor(private readonly given: Api.AnyOptions, private readonly clock: Clock.Clock) {
    this.origin = clock.unsafeCurrentTimeNanos()
    const { cancel, condition, connect, destroy, onLost, reset = {}, setup, validate } = given
    const { onClean, onDirty } = typeof reset === "function" ? { onClean: undefined, onDirty: reset } : reset
    this.options = {
      ...given,
      connect: this.connect(connect, setup === undefined),
      setup: setup === undefined ? undefined : this.setup(setup),
      validate: this.hook("validate", validate),
      cancel: this.hook("cancel", cancel),
      reset: { onClean: this.hook("reset", onClean), onDirty: this.hook("reset", onDirty) },
      condition: condition === undefined ? undefined : (connection) => {
        const seen = condition(connection)
        if (seen === "broken") this.follower("broken", this.of(connection))
        return seen
      },
      onLost: onLost === undefined ? undefined : (connection, lost) => {
        const account = this.of(connection)
        // one that cannot be listened to is of no use
        account.doubtful = true
        onLost(connection, (cause) => {
          account.lostAt = Math.min(account.lostAt, this.now())
          this.follower("lost", account)
          lost(cause)
        })
        account.doubtful = false
      },
      destroy: (connection) => {
        const account = this.of(connection)
        account.destroyed++
        this.follower("destroyed", account)
        destroy?.(connection)
      }
    }
  }

  /** milliseconds since the books were opened, by a clock that only goes forward */
  now(): number {
    return Number(this.clock.unsafeCurrentTimeNanos() - this.origin) / 1e6
  }

  /** what a connection is like, by the hook that was given; one that throws does not know */
  conditionOf({ connection }: Account): Pool.Condition | undefined {
    try {
      return this.given.condition?.(connection)
    } catch {
      return undefined
    }
  }

  of(connection: unknown): Account {
    const account = this.byConnection.get(connection)
    if (account === undefined) throw new Error("the pool has a connection that its connect did not open")
    return account
  }

  /**
   * The scope's finalizers run last come, first served: those around `connect`'s own see its closing begin and end. `last`:
   * there is no setup, after which alone a connection is open.
   */
  private connect(connect: Effect.Effect<unknown, unknown, unknown>, last: boolean) {
    return Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const account = new Account(this.accounts.length + 1, this.now())
        this.accounts.push(account)
        this.follower("connecting", account)
        return Effect.addFinalizer(() => Effect.sync(() => this.hasClosed(account))).pipe(
          Effect.zipRight(restore(connect)),
          Effect.onExit((exit) =>
            Effect.sync(() => {
              if (Exit.isSuccess(exit)) {
                account.connection = exit.value
                this.byConnection.set(exit.value, account)
              }
              if (last || Exit.isFailure(exit)) this.dialled(account, exit)
            })
          ),
          // also when it failed, or was interrupted: what it had opened by then may take its time
          Effect.ensuring(Effect.addFinalizer(() => Effect.sync(() => this.closes(account))))
        )
      })
    )
  }

  private setup(setup: Hook): Hook {
    return (connection) =>
      Effect.onExit(
        Effect.suspend(() => setup(connection)),
        (exit) => Effect.sync(() => this.dialled(this.of(connection), exit))
      )
  }

  private dialled(account: Account, exit: Exit.Exit<unknown, unknown>): void {
    account.connecting = false
    if (Exit.isFailure(exit)) {
      account.doubtful = true
      return this.follower(Exit.isInterrupted(exit) ? "interrupted" : "failed", account)
    }
    account.openedAt = account.readyAt = this.now()
    this.follower("opened", account)
  }

  private closes(account: Account): void {
    // its setup never began
    account.connecting = false
    account.closingAt = this.now()
    if (account.connection !== undefined) this.follower("closing", account)
  }

  private hasClosed(account: Account): void {
    account.closedAt = this.now()
    if (account.connection === undefined) return
    account.closed++
    this.follower("closed", account)
  }

  private hook(name: string, hook: Hook | undefined): Hook | undefined {
    if (hook === undefined) return undefined
    return (connection) =>
      Effect.suspend(() => {
        const account = this.of(connection)
        const begunAt = this.now()
        account.hook = name
        this.follower("hook", account)
        return Effect.onExit(Effect.suspend(() => hook(connection)), (exit) =>
          Effect.sync(() => {
            account.hook = undefined
            if (name === "validate") account.doubtful = Exit.isFailure(exit) || exit.value === false
            // one that ran right after it was opened belonged to its opening
            if (account.lent === 0 && begunAt - account.readyAt <= 10) account.readyAt = this.now()
            this.follower("hookEnded", account)
          }))
      })
  }
}

/** @internal */
export const record = (options: Api.AnyOptions): Effect.Effect<Books> =>
  Effect.map(Effect.clock, (clock) => new Books(options, clock))
