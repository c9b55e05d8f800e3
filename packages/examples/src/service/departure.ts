/**
 * The end of a process that others send requests to: they have to notice before it goes.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"

export class Departure extends Context.Tag("examples/Departure")<Departure, {
  readonly announced: Effect.Effect<boolean>
  /** says so, and waits until everybody has noticed */
  readonly depart: Effect.Effect<void>
}>() {
  static readonly Default = Layer.effect(
    Departure,
    Effect.gen(function*() {
      const announced = yield* Ref.make(false)
      const grace = yield* Config.duration("GRACE").pipe(Config.withDefault("5 seconds" as const))
      return {
        announced: Ref.get(announced),
        depart: Ref.set(announced, true).pipe(
          Effect.zipRight(Effect.log("departing")),
          Effect.zipRight(Effect.sleep(grace))
        )
      }
    })
  )
}
