/**
 * Every way in which every hook may misbehave, and all of them together, with several users at once. Each combination is
 * a world of the simulation's kind: its own clock and scheduler, so that thousands of them take seconds.
 */
import * as Pool from "@dbpool/core/Pool"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { Engine } from "../../src/internal/engine.js"
import { World } from "../sim/world.js"

const behaviours = ["ok", "fails", "slow", "never"] as const
type Behaviour = typeof behaviours[number]

const hooks = ["connect", "setup", "validate", "reset", "close", "cancel"] as const
type Hook = typeof hooks[number]
type Combination = Readonly<Record<Hook, Behaviour>>

const allOk: Combination = { connect: "ok", setup: "ok", validate: "ok", reset: "ok", close: "ok", cancel: "ok" }

class Misbehaved extends Error {
  constructor(readonly hook: Hook) {
    super(`${hook} failed`)
  }
}

interface Socket {
  readonly id: number
  condition: Pool.Condition
  lent: number
  /** its closing began, and ended */
  closings: number
  closed: boolean
  destroyed: number
}

/** what is slow stays within its bound, setup and connect together */
const slow = { connect: 400, setup: 400, validate: 250, reset: 250, close: 250, cancel: 250 }
const bounds = { connectTimeout: 1000, validateTimeout: 500, resetTimeout: 500, closeTimeout: 500 }
const failFastAfter = 500
const shutdownTimeout = 1000
const maxConnections = 2
/** one who waits for the four before it gets its turn by then, whatever hangs */
const acquireTimeout = 15_000
/** a busy program may be late by that much */
const late = 100

/** what a world's hooks do at the moment, and what came of it */
class Gate {
  behaviour: Combination
  readonly sockets: Array<Socket> = []
  maxOpen = 0
  private dialling = 0

  constructor(readonly combination: Combination) {
    this.behaviour = combination
  }

  /** the server's view: what is being opened, and what is neither closed nor destroyed */
  private get open(): number {
    return this.dialling + this.sockets.filter(({ closed, destroyed }) => !closed && destroyed === 0).length
  }

  private readonly act = (hook: Hook): Effect.Effect<void, Misbehaved> =>
    Effect.suspend((): Effect.Effect<void, Misbehaved> => {
      switch (this.behaviour[hook]) {
        case "ok":
          return Effect.void
        case "fails":
          return Effect.fail(new Misbehaved(hook))
        case "slow":
          return Effect.sleep(slow[hook])
        case "never":
          return Effect.never
      }
    })

  private readonly dial = Effect.suspend(() => {
    this.dialling++
    this.maxOpen = Math.max(this.maxOpen, this.open)
    return this.act("connect")
  }).pipe(
    Effect.ensuring(Effect.sync(() => this.dialling--)),
    Effect.map(() => {
      const socket: Socket = {
        id: this.sockets.length + 1,
        condition: "clean",
        lent: 0,
        closings: 0,
        closed: false,
        destroyed: 0
      }
      this.sockets.push(socket)
      return socket
    })
  )

  private readonly hangUp = (socket: Socket) =>
    Effect.suspend(() => {
      socket.closings++
      return Effect.zipRight(Effect.orDie(this.act("close")), Effect.sync(() => void (socket.closed = true)))
    })

  readonly options = {
    name: "gate",
    initialize: "lazy",
    maxConnections,
    acquireTimeout,
    failFastAfter,
    shutdownTimeout,
    ...bounds,
    connectRetry: Schedule.spaced("500 millis"),
    validateAfterIdle: 0,
    validateOn: ["acquire", "return"],
    connect: Effect.acquireRelease(Effect.interruptible(this.dial), this.hangUp),
    setup: () => this.act("setup"),
    validate: () => this.act("validate"),
    condition: (socket: Socket) => socket.condition,
    cancel: (socket: Socket) => Effect.map(this.act("cancel"), () => void (socket.condition = "dirty")),
    reset: (socket: Socket) => Effect.map(this.act("reset"), () => void (socket.condition = "clean")),
    destroy: (socket: Socket) => void socket.destroyed++
  } satisfies Pool.Options<Socket, Misbehaved, Scope.Scope>
}

/** what a caller got, and how long it took to hear; whether somebody else had used its connection before */
interface Answer {
  readonly took: number
  readonly error: unknown
  readonly used: boolean
}

/** borrows a connection for a while and leaves it in some condition; says how it went */
const borrow = (pool: Pool.Pool<Socket>, leave: Pool.Condition, holding = 20): Effect.Effect<Answer> =>
  Effect.gen(function*() {
    const from = yield* Clock.currentTimeMillis
    const exit = yield* Effect.exit(pool.use((socket) =>
      Effect.gen(function*() {
        const heard = yield* Clock.currentTimeMillis
        const used = socket.lent++ > 0
        yield* Effect.sleep(holding)
        socket.condition = leave
        return { took: heard - from, error: undefined, used }
      })
    ))
    if (Exit.isSuccess(exit)) return exit.value
    return { took: (yield* Clock.currentTimeMillis) - from, error: Cause.squash(exit.cause), used: false }
  })

/** why no connection can be had, as far as hooks are to blame for it */
const culprit = ({ connect, setup }: Combination): "fails" | "never" | undefined => {
  if (connect === "fails" || connect === "never") return connect
  return setup === "fails" || setup === "never" ? setup : undefined
}

/** every caller gets a connection if there can be one, and else is told why, and in time */
const checkAnswer = ({ error, took, used }: Answer, combination: Combination): void => {
  const blamed = culprit(combination)
  if (blamed === undefined) {
    assert.isUndefined(error, `a caller got ${error}`)
    const { validate } = combination
    if (validate === "fails" || validate === "never") assert.isFalse(used, "lent although it is not valid")
    return
  }
  assert.propertyVal(error, "_tag", "ConnectFailed")
  const { cause } = error as { readonly cause: unknown }
  if (blamed === "fails") assert.instanceOf(cause, Misbehaved)
  else assert.propertyVal(cause, "_tag", "ConnectTimeout")
  assert.isAtMost(took, failFastAfter + bounds.connectTimeout + late, "told too late")
}

const conditions: ReadonlyArray<Pool.Condition> = ["dirty", "busy", "clean"]

type Overrides = Partial<Pool.Options<Socket, Misbehaved, Scope.Scope>>

/** the whole history of a pool whose hooks do as the combination says */
const history = (gate: Gate, overrides: Overrides) =>
  Effect.gen(function*() {
    const { combination } = gate
    const scope = yield* Scope.make()
    const pool = yield* Scope.extend(Pool.make({ ...gate.options, ...overrides }), scope)

    // several users, and one who is interrupted in whatever it does
    const users = yield* Effect.forEach([0, 1, 2, 3], (id) =>
      Effect.fork(Effect.delay(
        Effect.forEach([0, 1], (round) => borrow(pool, conditions[(id + round) % 3]!)),
        id * 7
      )))
    const hurried = yield* Effect.fork(pool.use(() => Effect.sleep("1 minute")))
    yield* Effect.sleep(300)
    yield* Fiber.interrupt(hurried)
    for (const answers of yield* Effect.forEach(users, Fiber.join)) {
      for (const answer of answers) checkAnswer(answer, combination)
    }

    // once the hooks work, so does the pool, and with all its connections
    gate.behaviour = allOk
    const broken = yield* Clock.currentTimeMillis
    while ((yield* borrow(pool, "clean")).error !== undefined) yield* Effect.sleep(50)
    const mended = yield* Clock.currentTimeMillis
    assert.isAtMost(mended - broken, 3000, "recovered too late")
    yield* Effect.sleep(3000)
    const answers = yield* Effect.forEach(
      [1, 2, 3, 4],
      () => borrow(pool, "clean"),
      { concurrency: "unbounded" }
    )
    for (const { error, took } of answers) {
      assert.isUndefined(error)
      assert.isAtMost(took, 20 + late)
    }

    // somebody keeps a connection, others come back or wait, when the pool closes with its hooks broken again
    yield* Effect.fork(Effect.forEach(["dirty", "busy"] as const, (condition) => borrow(pool, condition)))
    const keeper = yield* Effect.fork(borrow(pool, "dirty", 30_000))
    const waiter = yield* Effect.fork(Effect.delay(borrow(pool, "clean"), 30))
    yield* Effect.sleep(10)
    gate.behaviour = combination
    yield* Effect.sleep(50)
    const closing = yield* Clock.currentTimeMillis
    yield* Scope.close(scope, Exit.void)
    const closed = yield* Clock.currentTimeMillis
    assert.isAtMost(closed - closing, shutdownTimeout + bounds.closeTimeout + late, "closed too late")
    yield* Fiber.join(waiter)
    yield* Fiber.join(keeper)
    assert.propertyVal((yield* borrow(pool, "clean")).error, "_tag", "PoolClosed")

    const { closed: gone, idle, leased, open, opened, waiting } = yield* pool.stats
    assert.deepStrictEqual({ open, idle, leased, waiting }, { open: 0, idle: 0, leased: 0, waiting: 0 })
    assert.strictEqual(gone, opened)
  })

/** each connection was closed once, and destroyed once if that failed or did not end in time */
const checkBooks = ({ maxOpen, sockets }: Gate): void => {
  assert.isAtMost(maxOpen, maxConnections)
  for (const { closed, closings, destroyed, id } of sockets) {
    assert.strictEqual(closings, 1, `closings of connection ${id}`)
    if (!closed) assert.strictEqual(destroyed, 1, `connection ${id} was left open`)
    assert.isAtMost(destroyed, 1)
  }
}

const name = (combination: Combination): string => hooks.map((hook) => `${hook} ${combination[hook]}`).join(", ")

/** lives through one combination; throws what is wrong with it */
const pass = (combination: Combination, seed: number, overrides: Overrides = {}): void => {
  const world = new World(seed)
  const gate = new Gate(combination)
  const run = world.start(history(gate, overrides))
  try {
    let exit = run.exit()
    for (; exit === undefined; exit = run.exit()) {
      if (!world.step()) assert.fail("it hangs")
      if (world.steps > 100_000) assert.fail("it goes on for ever")
    }
    if (Exit.isFailure(exit)) throw Cause.squash(exit.cause)
    while (world.step()) { /* what took longer than its bound may still be going on */ }
    checkBooks(gate)
  } catch (error) {
    throw new Error(`${name(combination)}: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
}

/** every combination of five hooks; the sixth goes along so that any five of the six are seen in every combination */
const combinations: ReadonlyArray<Combination> = Array.from({ length: 4 ** 5 }, (_, index) => {
  const digits = [0, 1, 2, 3, 4].map((place) => Math.floor(index / 4 ** place) % 4)
  const sum = digits.reduce((a, b) => a + b, 0)
  return Object.fromEntries(hooks.map((hook, i) => [hook, behaviours[(digits[i] ?? sum) % 4]!])) as Combination
})

describe("whatever the hooks do", () => {
  for (const connect of behaviours) {
    for (const setup of behaviours) {
      it(`callers are answered, and nothing is lost, when connect is ${connect} and setup ${setup}`, () => {
        combinations.forEach((combination, index) => {
          if (combination.connect === connect && combination.setup === setup) pass(combination, index)
        })
      })
    }
  }
})

describe("the gate finds a pool", () => {
  const found = (combination: Partial<Combination>, overrides: Overrides, error: string | RegExp) =>
    assert.throws(() => pass({ ...allOk, ...combination }, 1, overrides), error)

  it("that opens more than it may", () => found({}, { maxConnections: 3 }, "expected 3 to be at most 2"))

  it("that tells callers of an outage too late", () =>
    found({ connect: "never" }, { connectTimeout: "10 seconds" }, "told too late"))

  it("that tells callers the wrong error", () =>
    found({ connect: "fails" }, { failFastAfter: "1 minute", acquireTimeout: "1 second" }, "AcquireTimeout"))

  it("that notices too late that the hooks work again", () =>
    found({ connect: "fails" }, { connectRetry: Schedule.spaced("10 seconds") }, "recovered too late"))

  it("that lends what is not valid", () => found({ validate: "fails" }, { validate: undefined }, "not valid"))

  it("that does not destroy what would not close", () =>
    found({ close: "never" }, { destroy: undefined }, "was left open"))

  it("that goes on waiting for what would not close", () =>
    found({ close: "never" }, { closeTimeout: "5 seconds" }, "closed too late"))

  it("that loses a slot when a connection cannot be made clean", () => {
    const { unfit } = Engine.prototype
    Engine.prototype.unfit = () => {}
    try {
      found({ reset: "fails" }, {}, "AcquireTimeout")
    } finally {
      Engine.prototype.unfit = unfit
    }
  })
})
