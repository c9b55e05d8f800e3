/**
 * Deliberate bugs, at least two for each rule; those of sessions and events are in `sessionMutants.ts`, those
 * of shared connections in `sharingMutants.ts`. The simulation has to find every one of them: a check that cannot fail
 * proves nothing. Each is a change to the text of one file of `src/internal`, made when the simulation is bundled.
 */
import type { Rule } from "./broken.js"
import { sessionMutants } from "./sessionMutants.js"
import { sharingMutants } from "./sharingMutants.js"

export interface Mutant {
  /** the rule that is broken; another one may be what shows it */
  readonly rule: Rule
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
}

export const mutants: ReadonlyArray<Mutant> = [
  {
    rule: 1,
    name: "a connection being closed holds no slot",
    file: "entry.ts",
    find: "return this.live + this.counts[State.connecting]! + this.counts[State.closing]!",
    replace: "return this.live + this.counts[State.connecting]!"
  },
  {
    rule: 1,
    name: "what is idle beyond maxIdle is kept",
    file: "pump.ts",
    find: "  trim(engine)\n",
    replace: ""
  },
  {
    rule: 1,
    name: "counter leak",
    file: "entry.ts",
    find: "this.counts[state]!--",
    replace: "if (entry.state !== State.resetting || entry.uses % 3 !== 0) this.counts[state]!--"
  },
  {
    rule: 1,
    name: "a pool that was made smaller keeps what comes back",
    file: "engine.ts",
    find: "    if (this.surplus > 0) return this.retire(entry, \"resized\")\n",
    replace: ""
  },
  {
    rule: 2,
    name: "lent, and still idle",
    file: "engine.ts",
    find: "    this.idle.remove(entry)\n    this.ledger.move(entry, State.leased)\n",
    replace:
      "    if (entry.uses % 5 === 4) return\n    this.idle.remove(entry)\n    this.ledger.move(entry, State.leased)\n"
  },
  {
    rule: 2,
    name: "a call that is interrupted goes on with a connection that is lent again",
    file: "call.ts",
    find: "      abandon()\n",
    replace: ""
  },
  {
    rule: 7,
    name: "a call that is interrupted keeps its connection",
    file: "call.ts",
    find: "    } finally {\n      this.hold!.end()\n    }",
    replace: "    } finally {\n    }"
  },
  {
    rule: 7,
    name: "a call that is interrupted on its way keeps what it was handed",
    file: "call.ts",
    find: "this.engine.withdraw(this)",
    replace: "return"
  },
  {
    rule: 2,
    name: "given back by the hand-off, and kept",
    file: "lease.ts",
    find: "        engine.taken(entry, engine.now() - waiter!.since)\n",
    replace:
      "        engine.taken(entry, engine.now() - waiter!.since)\n        if (entry.uses % 4 === 3) engine.withdraw(waiter!)\n"
  },
  {
    rule: 2,
    name: "an invalidated connection goes to the next one at once",
    file: "engine.ts",
    find: "    this.retire(entry, \"invalidated\")\n",
    replace: "    this.keep(entry, this.now())\n"
  },
  {
    rule: 3,
    name: "what was just found valid is looked at with a later clock",
    file: "engine.ts",
    find: "    this.tick(now)\n",
    replace: "    this.tick()\n"
  },
  {
    rule: 3,
    name: "lost wake-up: a return does not look at the queue",
    file: "engine.ts",
    find: "if (this.queue.size > 0 || entry.softAt <= now || ",
    replace: "if (entry.softAt <= now || "
  },
  {
    rule: 3,
    name: "lost wake-up: a slot that becomes free is not used",
    file: "engine.ts",
    find: "    Account.buried(this, entry, abandoned)\n    this.pump(this.now())",
    replace: "    Account.buried(this, entry, abandoned)\n    this.notify()"
  },
  {
    rule: 4,
    name: "a newcomer overtakes",
    file: "waiterQueue.ts",
    find:
      "    waiter.ahead = this.last\n    if (this.last === undefined) this.first = waiter\n    else this.last.behind = waiter\n" +
      "    this.last = waiter\n",
    replace: "    waiter.behind = this.first\n    if (this.first === undefined) this.last = waiter\n" +
      "    else this.first.ahead = waiter\n    this.first = waiter\n"
  },
  {
    rule: 4,
    name: "last come, first served",
    file: "pump.ts",
    find: "for (let waiter = queue.head; waiter !== undefined; waiter = queue.head) {\n    const entry = idle.peek()",
    replace: "for (let waiter = queue.tail; waiter !== undefined; waiter = queue.tail) {\n    const entry = idle.peek()"
  },
  {
    rule: 5,
    name: "re-armed deadline: a failed connect gives those who wait more time",
    file: "engine.ts",
    find: "    this.replacement.failed(entry)\n    this.close(entry)\n",
    replace: "    this.replacement.failed(entry)\n    this.close(entry)\n" +
      "    for (let w = this.queue.head; w !== undefined; w = w.behind) w.deadline += this.now() - w.since\n"
  },
  {
    rule: 5,
    name: "the alarm is not set for deadlines",
    file: "pump.ts",
    find: "Math.min(queue.nextDeadline, Outage.tellsAt(engine))",
    replace: "Outage.tellsAt(engine)"
  },
  {
    rule: 6,
    name: "a connection that comes too late for its caller is closed",
    file: "engine.ts",
    find: "    this.counters.opened++\n",
    replace: "    this.counters.opened++\n    if (this.queue.size === 0) return this.retire(entry, 'closing')\n"
  },
  {
    rule: 6,
    name: "a caller that leaves takes a connect along",
    file: "engine.ts",
    find: "      this.queue.remove(waiter)\n      // the last one",
    replace:
      "      this.queue.remove(waiter)\n      for (const [fiber, e] of this.queue.size > 0 ? [] : this.tasks) {\n        if (e?.state === State.connecting) fiber.unsafeInterruptAsFork(fiber.id())\n      }\n      // the last one"
  },
  {
    rule: 7,
    name: "hand-off to a waiter that has just been interrupted",
    file: "lease.ts",
    find: "if (waiter !== undefined) engine.withdraw(waiter)",
    replace: "if (waiter !== undefined && waiter.entry === undefined) engine.withdraw(waiter)"
  },
  {
    rule: 7,
    name: "one who waited for the length of an effect, and was interrupted just then, keeps what it was handed",
    file: "lease.ts",
    find: "else if (borrower !== undefined) engine.withdraw(borrower)",
    replace: "else if (borrower !== undefined && borrower.entry === undefined) engine.withdraw(borrower)"
  },
  {
    rule: 7,
    name: "one who had to wait, and fails, keeps its connection",
    file: "lease.ts",
    find: "if (borrower?.hold !== undefined) borrower.hold.end()",
    replace: "if (borrower?.hold !== undefined && borrower.hold.entry.uses % 3 !== 0) borrower.hold.end()"
  },
  {
    rule: 7,
    name: "a holder that fails keeps its connection",
    file: "lease.ts",
    find: "    onFailure: (cause) => {\n      hold.end()",
    replace: "    onFailure: (cause) => {\n      if (hold.entry.uses % 3 !== 0) hold.end()"
  },
  {
    rule: 8,
    name: "lent with a statement still running",
    file: "engine.ts",
    find: "else if (this.restores(condition)) this.restore",
    replace: "else if (condition === 'dirty') this.restore"
  },
  {
    rule: 8,
    name: "lent past its lifetime",
    file: "engine.ts",
    find: "return now < entry.hardAt &&\n",
    replace: "return true &&\n"
  },
  {
    rule: 8,
    name: "lent after a hard drain",
    file: "control.ts",
    find: "if (hard) entry.hardAt = Math.min(entry.hardAt, now + spread)",
    replace: ""
  },
  {
    rule: 8,
    name: "a hard drain forgets those that are being opened",
    file: "tasks.ts",
    find: "entry.hardAt = Math.min(entry.hardAt, now + config.maxLifetime)",
    replace: "entry.hardAt = now + config.maxLifetime"
  },
  {
    rule: 8,
    name: "expired lent: a stale connection passes for a valid one",
    file: "engine.ts",
    find: "    if (outcome === \"valid\") {\n",
    replace: "    if (outcome !== \"timedOut\") {\n"
  },
  {
    rule: 9,
    name: "what a connect opened too late is never closed",
    file: "tasks.ts",
    find: "entry.close = Effect.zipRight(Fiber.await(dial), Scope.close(scope, Exit.void))",
    replace: "entry.close = Effect.flatMap(Fiber.await(dial), (exit) => " +
      "Exit.isSuccess(exit) ? Scope.close(scope, Exit.void) : Effect.void)"
  },
  {
    rule: 9,
    name: "a connection that died while lent is never closed",
    file: "engine.ts",
    find: "    this.spawn(Tasks.bury(this, entry))\n",
    replace: ""
  },
  {
    rule: 9,
    name: "double close: an invalidated connection that comes back",
    file: "engine.ts",
    find: "    if (entry.state === State.detached) this.finish(entry)\n    else if (entry.state === State.leased) {\n" +
      "      const condition",
    replace: "    if (entry.state === State.detached) this.finish(entry)\n" +
      "    else if (entry.state === State.closing) this.closed(entry, false)\n" +
      "    else if (entry.state === State.leased) {\n      const condition"
  },
  {
    rule: 9,
    name: "the alarm goes on when the pool closes",
    file: "pump.ts",
    find: "  engine.alarm.clear()\n",
    replace: ""
  },
  {
    rule: 10,
    name: "closing has no bound",
    file: "tasks.ts",
    find: "settle(fiber, engine.config.closeTimeout)",
    replace: "settle(fiber, Infinity)"
  },
  {
    rule: 10,
    name: "the shutdown waits for every lease",
    file: "shutdown.ts",
    find: "      takeAll(engine)\n",
    replace: ""
  },
  ...sessionMutants,
  ...sharingMutants
]
