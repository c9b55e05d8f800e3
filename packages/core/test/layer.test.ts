import * as Pool from "@dbpool/core/Pool"
import type { ConnectFailed, InvalidPoolConfig, TooManyConnections } from "@dbpool/core/PoolError"
import * as SimulatedServer from "@dbpool/testing/SimulatedServer"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { failsWith, optionsOf, refusal } from "./support.js"

interface Ftp {
  readonly host: string
}

class Host extends Context.Tag("test/Host")<Host, string>() {}
class Clerk extends Context.Tag("test/Clerk")<Clerk, { readonly asked: Array<string> }>() {}

class Downloads extends Pool.Tag("test/Downloads")<Downloads, Ftp>() {}
class Uploads extends Pool.Tag("test/Uploads")<Uploads, Ftp>() {}

/** compiles only if both types are the same */
const same = <A>() => <B>(_: (() => A) extends (() => B) ? (() => B) extends (() => A) ? B : never : never): void => {}

const ask = (what: string) => Effect.flatMap(Clerk, ({ asked }) => Effect.sync(() => void asked.push(what)))

const options = {
  connect: Effect.acquireRelease(Effect.map(Host, (host): Ftp => ({ host })), () => ask("close")),
  validate: () => ask("validate"),
  reset: () => ask("reset"),
  cancel: () => ask("cancel")
}

describe("Pool.Tag", () => {
  it.effect("is a service, with a layer that opens and closes the pool", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      class Db extends Pool.Tag("test/Db")<Db, SimulatedServer.Connection>() {}
      const program = Effect.flatMap(Db, (db) => db.use(({ id }) => Effect.succeed(id)))
      assert.strictEqual(yield* Effect.provide(program, Db.layer({ ...optionsOf(server), initialize: "check" })), 1)
      assert.strictEqual(server.connections[0]!.closed, 1)
    }))

  it.effect("asks for what the hooks need, and not for a scope", () =>
    Effect.gen(function*() {
      const layer = Downloads.layer({ ...options, initialize: "check" })
      same<Layer.Layer<Downloads, InvalidPoolConfig | ConnectFailed | TooManyConnections, Host | Clerk>>()(layer)
      const asked: Array<string> = []
      const host = yield* Effect.flatMap(Downloads, (pool) => pool.use((ftp) => Effect.succeed(ftp.host))).pipe(
        Effect.provide(layer),
        Effect.provideService(Host, "ftp.example.com"),
        Effect.provideService(Clerk, { asked })
      )
      assert.strictEqual(host, "ftp.example.com")
      assert.deepStrictEqual(asked, ["close"])
    }))

  it.effect("keeps pools of the same kind apart", () =>
    Effect.gen(function*() {
      const both = Layer.mergeAll(
        Downloads.layer({ connect: Effect.succeed({ host: "down" }), name: "downloads" }),
        Uploads.layer({ connect: Effect.succeed({ host: "up" }), name: "uploads" })
      )
      const hosts = yield* Effect.gen(function*() {
        const [down, up] = yield* Effect.all([Downloads, Uploads])
        assert.deepStrictEqual([down.name, up.name], ["downloads", "uploads"])
        return yield* Effect.all([down, up].map((pool) => pool.use(({ host }) => Effect.succeed(host))))
      }).pipe(Effect.provide(both))
      assert.deepStrictEqual(hosts, ["down", "up"])
    }))

  it.effect("fails to build when the server cannot be reached, and the error is typed", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      const cause = refusal("unknown database", "fatal")
      yield* server.always("connect", { fails: cause })
      class Db extends Pool.Tag("test/Db")<Db, SimulatedServer.Connection>() {}
      const exit = yield* Effect.exit(Effect.provide(Db, Db.layer({ ...optionsOf(server), initialize: "check" })))
      assert.strictEqual(failsWith(exit, "ConnectFailed").cause, cause)
    }))

  it.effect("builds without the server when it is lazy", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      yield* server.always("connect", { fails: refusal("unknown database", "fatal") })
      class Db extends Pool.Tag("test/Db")<Db, SimulatedServer.Connection>() {}
      const stats = yield* Effect.flatMap(Db, (db) => db.stats).pipe(Effect.provide(Db.layer(optionsOf(server))))
      assert.strictEqual(stats.open, 0)
    }))

  it.effect("is filled when it has been built with \"fill\"", () =>
    Effect.gen(function*() {
      const server = yield* SimulatedServer.make
      class Db extends Pool.Tag("test/Db")<Db, SimulatedServer.Connection>() {}
      const layer = Db.layer({ ...optionsOf(server), initialize: "fill", minConnections: 4 })
      const stats = yield* Effect.flatMap(Db, (db) => db.stats).pipe(Effect.provide(layer))
      assert.strictEqual(stats.idle, 4)
    }))
})

describe("the types", () => {
  it("make needs what connect and the hooks need, and a scope", () => {
    const make = Pool.make(options)
    same<
      Effect.Effect<
        Pool.Pool<Ftp>,
        InvalidPoolConfig | ConnectFailed | TooManyConnections,
        Host | Clerk | Scope.Scope
      >
    >()(make)
  })

  it("a pool of a more special connection is a pool of a more general one", () => {
    const general = (pool: Pool.Pool<{ readonly id: number }>) => pool.name
    const special = (pool: Pool.Pool<{ readonly id: number; readonly more: string }>) => general(pool)
    assert.isFunction(special)
  })
})

describe("hooks", () => {
  it.scoped("run with what they need, taken where the pool was made", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      let condition: Pool.Condition = "clean"
      const pool = yield* Pool.make({
        ...options,
        validateAfterIdle: 0,
        condition: () => condition,
        cancel: () => Effect.tap(ask("cancel"), () => Effect.sync(() => void (condition = "dirty"))),
        reset: () => Effect.tap(ask("reset"), () => Effect.sync(() => void (condition = "clean")))
      }).pipe(
        Effect.provideService(Host, "ftp.example.com"),
        Effect.provideService(Clerk, { asked })
      )
      yield* pool.use(() => Effect.sync(() => void (condition = "busy")))
      yield* pool.use(() => Effect.void)
      assert.deepStrictEqual(asked, ["cancel", "reset"])
    }))
})
