/**
 * How long the server may be silent while something is expected of it, by the real clock, which no test moves.
 */
import type { Wire } from "./wire.js"

/** in milliseconds, or `Infinity` @internal */
export interface Limits {
  readonly readTimeout: number
  readonly writeTimeout: number
}

/** of one connection @internal */
export class Watch {
  private isOn = false
  private timer: ReturnType<typeof setTimeout> | undefined = undefined

  /** `silence` is told, in an error, what was waited for */
  constructor(
    private readonly wire: Wire,
    private readonly limits: Limits,
    private readonly silence: (error: Error) => void
  ) {
    if (limits.readTimeout === Infinity && limits.writeTimeout === Infinity) return
    wire.stream.on("timeout", () => this.tooLong())
    wire.stream.on("drain", () => this.set(this.isOn))
  }

  /** whether something is expected, from now on anew */
  set(isOn: boolean): void {
    this.isOn = isOn
    const { readTimeout, writeTimeout } = this.limits
    if (readTimeout === Infinity && writeTimeout === Infinity) return
    const { stream } = this.wire
    const limit = stream.writableNeedDrain ? writeTimeout : readTimeout
    const millis = isOn && limit !== Infinity ? limit : 0
    // a socket counts every byte; what a program has put in its place may know nothing of time
    if (stream.setTimeout !== undefined) return void stream.setTimeout(millis)
    clearTimeout(this.timer)
    this.timer = millis === 0 ? undefined : setTimeout(() => this.tooLong(), millis)
  }

  /** the server has said something */
  heard(): void {
    if (this.timer !== undefined) this.set(this.isOn)
  }

  private tooLong(): void {
    if (!this.isOn) return
    // what nobody reads at the moment is no silence of the server
    if (this.wire._paused) return this.set(true)
    const { readTimeout, writeTimeout } = this.limits
    this.silence(
      this.wire.stream.writableNeedDrain
        ? new Error(`the server took nothing of what was sent for ${writeTimeout} ms (writeTimeout)`)
        : new Error(`the server was silent for ${readTimeout} ms (readTimeout)`)
    )
  }
}
