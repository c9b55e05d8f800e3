/** one of the ten rules of docs/engine.md, or what holds for sessions, nested calls and events */
export type Rule = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | "session" | "nested" | "events"

/** notes that a rule was broken; what is thrown inside a fiber of the world would only end that fiber */
export type Blame = (rule: Rule, what: string) => void

/** what a world fails with */
export class Broken extends Error {
  constructor(readonly rule: Rule, what: string) {
    super(`${typeof rule === "number" ? `rule ${rule}` : rule}: ${what}`)
  }
}
