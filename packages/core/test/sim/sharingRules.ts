/**
 * What holds where connections are shared: who shares never waits beside room for him, and whoever wants a connection for
 * himself is not kept waiting by newcomers. Both are seen in how many share each connection, from step to step.
 */
import type { Engine } from "../../src/internal/engine.js"
import type { Entry } from "../../src/internal/entry.js"
import { State } from "../../src/internal/entry.js"
import type { Waiter } from "../../src/internal/waiterQueue.js"
import type { Blame } from "./broken.js"
import { Broken } from "./broken.js"
import type { Coverage } from "./coverage.js"
import { count } from "./coverage.js"
import type { Socket } from "./network.js"
import type { World } from "./world.js"

export class SharingRules {
  /** how many shared each connection after the last step */
  private shares = new Map<Entry<Socket>, number>()
  /** who wants a connection alone and is the first who waits, and those that have got another sharer since */
  private first: Waiter<Socket> | undefined
  private readonly joined = new Set<Entry<Socket>>()

  constructor(
    private readonly world: World,
    private readonly engine: Engine<Socket>,
    private readonly coverage: Coverage,
    private readonly blame: Blame,
    /** connections that a hard drain forbids to lend again, and until when the others may be lent */
    private readonly condemned: ReadonlySet<Entry<Socket>>,
    private readonly ageLimit: (entry: Entry<Socket>) => number
  ) {
    this.watch()
  }

  /** whatever is shared by one more is judged in the step that decides so */
  private watch(): void {
    const { engine } = this
    const sharing = engine.sharing!
    const roomiest = sharing.roomiest.bind(sharing)
    sharing.roomiest = (now) => {
      const entry = roomiest(now)
      if (entry !== undefined) this.checkJoined(entry)
      return entry
    }
    const lend = sharing.lend.bind(sharing)
    sharing.lend = () => {
      const waiting = engine.queue.sharers.size
      const entry = lend()
      if (entry !== undefined && waiting > 0) this.blame(4, "a newcomer overtook those who wait and would share, too")
      return entry
    }
  }

  check(): void {
    const before = this.shares
    this.shares = new Map()
    for (const entry of this.engine.entries) {
      if (entry.state === State.leased && entry.leases > 0) this.shares.set(entry, entry.leases)
    }
    const joined = [...this.shares].filter(([entry, leases]) => leases > (before.get(entry) ?? Infinity))
    this.checkFirst(joined.map(([entry]) => entry), before)
    if (!this.engine.closing && !this.engine.suspended) this.checkRoom()
  }

  private checkJoined(entry: Entry<Socket>): void {
    const { closing, suspended } = this.engine
    const what = `socket ${entry.connection.id} gets one more sharer`
    if (this.condemned.has(entry)) this.blame(8, `${what} after a hard drain`)
    if (this.engine.now() >= this.ageLimit(entry)) this.blame(8, `${what} past its lifetime`)
    if (closing || suspended) this.blame(8, `${what}, and the pool lends nothing`)
  }

  /** one of the shared connections gets no more sharers, so that it comes to be free */
  private checkFirst(joined: ReadonlyArray<Entry<Socket>>, before: ReadonlyMap<Entry<Socket>, number>): void {
    const head = this.engine.queue.head
    const first = head?.shared === false && !this.engine.suspended ? head : undefined
    // one that has ended, for whatever reason, may be replaced by one that had sharers since
    const ended = [...before.keys()].some((entry) => !this.shares.has(entry))
    if (first === undefined || first !== this.first || ended) {
      this.first = first
      this.joined.clear()
      return
    }
    for (const entry of joined) this.joined.add(entry)
    if (this.shares.size === 0) return
    count(this.coverage, "one waits who would not share")
    if ([...this.shares.keys()].every((entry) => this.joined.has(entry))) {
      throw new Broken(4, "whoever waits first wants a connection alone, and every one gets more sharers")
    }
  }

  /** as many wait for a connection of their own as may come, and no more */
  private checkRoom(): void {
    const { admission, config, idle, ledger, queue, surplus } = this.engine
    const now = this.engine.now()
    if (queue.sharers.size === 0 || surplus > 0 || !this.world.idle) return
    const room = admission.paced ? 0 : Math.max(0, config.maxConnections - ledger.open)
    const coming = idle.size + ledger.count(State.reserved) + ledger.count(State.connecting) + room
    if (queue.size <= coming) return
    const open = [...this.shares].filter(([entry, leases]) =>
      leases < entry.connection.mostSharers && !entry.connection.obstructed && now < entry.hardAt && entry.softAt > now
    )
    // one may be kept for whoever waits first and would not share
    if (open.length > (queue.head?.shared === false ? 1 : 0)) {
      throw new Broken(3, "somebody waits who would share, beside a connection that takes one more")
    }
    count(this.coverage, "one waits who would share")
  }
}
