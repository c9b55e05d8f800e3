/**
 * Deliberate bugs of shared connections.
 */
import type { Mutant } from "./mutants.js"

export const sharingMutants: ReadonlyArray<Mutant> = [
  {
    rule: 2,
    name: "more share a connection than may",
    file: "sharing.ts",
    find: "entry.leases < (best?.leases ?? maxLeases)",
    replace: "entry.leases < (best?.leases ?? maxLeases + 1)"
  },
  {
    rule: 2,
    name: "given back before the last of those who share it has ended",
    file: "sharing.ts",
    find: "if (--entry.leases > 0) return false",
    replace: "if (--entry.leases > 1) return false"
  },
  {
    rule: 3,
    name: "lost wake-up: a part that has become free is not used",
    file: "sharing.ts",
    find: "    if (engine.queue.size > 0) engine.pump(now)\n",
    replace: ""
  },
  {
    rule: 3,
    name: "lost wake-up: a part whose waiter was interrupted is not used",
    file: "sharing.ts",
    find: "else if (engine.queue.size > 0) engine.pump(engine.now())",
    replace: ""
  },
  {
    rule: 4,
    name: "starvation: who wants a connection alone waits while newcomers share all of them",
    file: "sharing.ts",
    find: "this.ending = this.isWanted ? this.fewest() : undefined",
    replace: "this.ending = undefined"
  },
  {
    rule: 4,
    name: "a newcomer takes the part that those who wait could use",
    file: "sharing.ts",
    find: "engine.queue.sharers.size > 0 || ",
    replace: ""
  },
  {
    rule: 7,
    name: "a part handed to a waiter that has just been interrupted",
    file: "sharing.ts",
    find: "    if (this.isLast(entry)) {\n      if (entry.state !== State.leased ||",
    replace: "    if (entry.leases < 2) {\n      if (entry.state !== State.leased ||"
  },
  {
    rule: 8,
    name: "shared past its lifetime",
    file: "sharing.ts",
    find: "now < entry.hardAt && ",
    replace: ""
  },
  {
    rule: 8,
    name: "shared although the pool is suspended",
    file: "sharing.ts",
    find: "if (engine.suspended || engine.closing) return undefined",
    replace: "if (engine.closing) return undefined"
  }
]
