import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { describe, fails, within } from "./checks.js"
import type { Client, Lab } from "./lab.js"
import { group, row } from "./row.js"

let channels = 0

/** listens, and for each word can say it until it is heard */
const listening = (lab: Lab, client: Client) =>
  Effect.gen(function*() {
    const { listen, notify } = lab.notifications(client)
    const channel = `contract_channel_${process.pid}_${++channels}`
    const words = new Map<string, Deferred.Deferred<void>>()
    const fiber = yield* Effect.fork(
      Stream.runForEach(listen(channel), (word) => {
        const heard = words.get(word)
        return heard === undefined ? Effect.void : Deferred.succeed(heard, undefined)
      })
    )
    const say = (word: string) =>
      Effect.gen(function*() {
        const heard = yield* Deferred.make<void>()
        words.set(word, heard)
        let refused = ""
        // what is said before anybody listens is lost
        const again = notify(channel, word).pipe(
          Effect.catchAll((error) => Effect.sync(() => refused = `, and notifying fails: ${describe(error)}`)),
          Effect.zipRight(Effect.sleep("20 millis")),
          Effect.forever
        )
        const came = yield* Effect.timeoutOption(Effect.raceFirst(Deferred.await(heard), again), "3 seconds")
        if (Option.isNone(came)) yield* fails("timed out", `"${word}" is not heard within 3 s${refused}`)
      })
    return { fiber, say }
  })

/** @internal */
export const notifications = group("notifications", ["listen"], [
  row("what is notified is heard, whatever it says", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 2 })
      const { fiber, say } = yield* listening(lab, client)
      yield* say("hello")
      yield* say("it's $1 \"quoted\" ünïcödé")
      yield* Fiber.interrupt(fiber)
    })),
  row("listening goes on after its connection was lost", ["sessions"], (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 2 })
      const { fiber, say } = yield* listening(lab, client)
      yield* say("before")
      yield* lab.killAll(client)
      yield* say("after")
      yield* Fiber.interrupt(fiber)
    })),
  row("who has stopped listening holds no connection", (lab) =>
    Effect.gen(function*() {
      const client = yield* lab.open({ maxConnections: 2 })
      for (let i = 0; i < 3; i++) {
        const { fiber, say } = yield* listening(lab, client)
        yield* say("hello")
        yield* within(2000, Fiber.interrupt(fiber), "stopping")
        yield* within(2000, lab.fill(client), "both connections")
      }
    }))
])
