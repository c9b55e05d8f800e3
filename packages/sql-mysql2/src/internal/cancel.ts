/**
 * The cancel of what runs on one connection: a KILL QUERY beside it, for a statement that nobody waits for any more.
 *
 * A KILL names the connection, not the statement: it may arrive when the next one is already running, so its end is waited
 * for before anything else is sent. And it may arrive before the statement, to no effect: then it is sent again.
 */
import type { Address, Control } from "./control.js"

/** the first pause before it is repeated, in milliseconds */
const missed = 100

/** the connection whose statements are cancelled @internal */
export interface Cancelled {
  /** where and as what the server knows it, if it can be cancelled there */
  readonly address: Address | undefined
  /** a statement is running */
  readonly isRunning: boolean
  /** it is not known whether a cancel may still arrive */
  readonly breaks: (cause: Error) => void
  /** the cancel is over, and the statement was before it */
  readonly changed: () => void
}

/** @internal */
export class Cancel {
  /** gives up the one that is under way */
  private stop: (() => void) | undefined = undefined
  private pause: ReturnType<typeof setTimeout> | undefined = undefined

  constructor(private readonly control: Control, private readonly connection: Cancelled) {}

  /** one that may still hit what is sent next */
  get isUnderWay(): boolean {
    return this.stop !== undefined
  }

  /** Begins after so many milliseconds, if what runs has not ended by itself; does nothing if it has begun already. */
  begin(patience: number): void {
    if (this.stop !== undefined || this.pause !== undefined) return
    if (patience === 0) this.send(missed)
    else this.pause = setTimeout(() => this.send(missed), patience)
  }

  /** the statement has ended: one that was not sent yet is not sent */
  settle(): void {
    clearTimeout(this.pause)
    this.pause = undefined
  }

  /** the connection is broken */
  end(): void {
    this.settle()
    this.stop?.()
    this.stop = undefined
  }

  private send(patience: number): void {
    const { connection } = this
    this.pause = undefined
    if (connection.address === undefined) {
      return connection.breaks(new Error("the server has not said how to cancel on it"))
    }
    this.stop = this.control.kill("QUERY", connection.address, (error) => {
      this.stop = undefined
      if (error !== undefined) connection.breaks(error as Error)
      else if (!connection.isRunning) connection.changed()
      else this.pause = setTimeout(() => this.send(2 * patience), patience)
    })
  }
}
