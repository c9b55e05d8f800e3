/**
 * Deliberate bugs in sessions, nested calls and events.
 */
import type { Mutant } from "./mutants.js"

export const sessionMutants: ReadonlyArray<Mutant> = [
  {
    rule: "session",
    name: "turns overlap",
    file: "level.ts",
    find: "if (this.occupied || this.over) return false",
    replace: "if (this.over) return false"
  },
  {
    rule: "session",
    name: "lost wake-up: the end of a turn does not bring the next one",
    file: "level.ts",
    find: "      for (const turn of this.waiting) {\n        this.waiting.delete(turn)\n        this.grant(turn)",
    replace: "      for (const turn of []) {\n        this.waiting.delete(turn)\n        this.grant(turn)"
  },
  {
    rule: "session",
    name: "a turn granted to a caller that has just been interrupted",
    file: "level.ts",
    find: "    if (turn.granted) this.leave()\n    else if",
    replace: "    if (turn.granted) return\n    else if"
  },
  {
    rule: "session",
    name: "the wait for a turn has no deadline",
    file: "level.ts",
    find: "    this.alarm.set(next, this.engine.now())\n",
    replace: ""
  },
  {
    rule: "session",
    name: "re-armed deadline: whoever looks again after a session",
    file: "session.ts",
    find: "timeout: Math.max(0, turn!.deadline - engine.now())",
    replace: "timeout: millis"
  },
  {
    rule: "session",
    name: "the end of a session does not wait for the turns in it",
    file: "level.ts",
    find: "    if (!this.occupied) this.vacated()\n",
    replace: "    if (this.leases.size === 0) this.vacated()\n"
  },
  {
    rule: "session",
    name: "a lease that outlives its session uses what others get",
    file: "level.ts",
    find: "      this.engine.invalidate(this.entry)\n",
    replace: ""
  },
  {
    rule: "session",
    name: "a turn in a session that has lost its connection",
    file: "session.ts",
    find: "  if (level.isLost) {\n",
    replace: "  if (level.isLost && level.entry.uses % 2 === 0) {\n"
  },
  {
    rule: "session",
    name: "a session that has lost its connection goes on with another",
    file: "session.ts",
    find: "  engine.sessions === 0 ? undefined : Lineage.innermost(engine, hasLevel)?.level\n",
    replace: "  [engine.sessions === 0 ? undefined : Lineage.innermost(engine, hasLevel)?.level]\n" +
      "    .find((level) => level?.isLost !== true)\n"
  },
  {
    rule: "session",
    name: "children are not in the session",
    file: "lineage.ts",
    find: "    const holds = record.holds.filter((hold) => !hold.ended)\n",
    replace: "    const holds = record.holds.filter((hold) => !hold.ended && hold.level === undefined)\n"
  },
  {
    rule: "session",
    name: "a lease that a child took for its parent is not the parent's",
    file: "lineage.ts",
    find: "if (!hold.lasting || hold.ended || hold.record !== other) continue",
    replace: "continue"
  },
  {
    rule: "session",
    name: "a caller waits for its turn on a connection that is gone",
    file: "level.ts",
    find: "else if (this.isLost) this.refuse(turn, this.whyLost, this.engine.now())\n    ",
    replace: ""
  },
  {
    rule: "session",
    name: "those who wait for their turn are not told that the connection died",
    file: "loss.ts",
    find: "      entry.hold?.level?.lose()\n",
    replace: ""
  },
  {
    rule: "session",
    name: "a lease that was given back ends with its session once more",
    file: "level.ts",
    find: "[...this.leases].filter(({ ended }) => !ended)",
    replace: "[...this.leases]"
  },
  {
    rule: "nested",
    name: "a holder that waits for another connection is not told",
    file: "nested.ts",
    find: "  if (nestedAcquire === \"fail\") return error\n",
    replace: "  if (nestedAcquire === \"fail\" && hold.entry.uses % 3 !== 0) return error\n"
  },
  {
    rule: "nested",
    name: "children may wait for what their parent holds",
    file: "lineage.ts",
    find: "    if (hold.engine === engine && !hold.ended && which(hold)) return hold\n",
    replace:
      "    if (hold.engine === engine && !hold.ended && which(hold) && (hold.level || hold.record === record)) return hold\n"
  },
  {
    rule: "events",
    name: "a lease that goes on for too long is reported again and again",
    file: "holders.ts",
    find: "      hold.reported = true\n",
    replace: ""
  },
  {
    rule: "events",
    name: "a connection that dies while lent is not told to be retired",
    file: "loss.ts",
    find: "      Account.retiring(engine, entry, \"lost\")\n",
    replace: ""
  }
]
