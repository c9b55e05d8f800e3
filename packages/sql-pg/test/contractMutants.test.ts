/**
 * A row that cannot fail proves nothing: clients that break one promise each, and the row that finds it out. The official
 * client, which `pnpm contract pg-peer` tries, breaks many others.
 */
import * as Contract from "@dbpool/testing/Contract"
import type * as ContractDialect from "@dbpool/testing/ContractDialect"
import type { Reason } from "@dbpool/testing/ContractFailure"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import type { Statement } from "@effect/sql/Statement"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Dialect from "./contract/dialect.js"

type Client = SqlClient.SqlClient

interface Mutant {
  /** what it does wrong */
  readonly name: string
  readonly break?: (client: Client) => Partial<Client>
  /** what becomes of its statements, where that is what it does wrong */
  readonly statement?: (statement: Statement<any>) => unknown
  /** what it does, whatever it was told */
  readonly told?: Partial<ContractDialect.PoolSettings>
  readonly row: string
  readonly reason: Reason
}

const transaction = (f: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<any, any, any>): Partial<Client> => ({
  withTransaction: f
})

const inside = FiberRef.unsafeMake(false)

/** each statement of a reserved connection runs wherever there is room */
const scattered = (client: Client, connection: Connection): Connection =>
  Object.assign(Object.create(connection) as Connection, {
    executeValues: (sql: string, params: ReadonlyArray<unknown>) => client.unsafe(sql, params as never).values
  })

const mutants: ReadonlyArray<Mutant> = [
  {
    name: "never gives back what was reserved",
    break: (client) => ({
      reserve: Effect.flatMap(Scope.make(), (scope) => Scope.extend(client.reserve, scope))
    }),
    row: "`reserve` is one connection for a scope, with all that a Connection can do",
    reason: "leaked connection"
  },
  {
    name: "goes on waiting for a caller that has left",
    break: (client) => ({
      reserve: Effect.flatMap(Scope.make(), (scope) =>
        Effect.forkDaemon(Scope.extend(client.reserve, scope)).pipe(
          Effect.flatMap(Fiber.join),
          Effect.zipLeft(Effect.addFinalizer((exit) => Scope.close(scope, exit)))
        ))
    }),
    row: "`reserve` that waits is gone at once, and leaks nothing",
    reason: "leaked connection"
  },
  {
    name: "does not cancel",
    statement: (statement) => Effect.uninterruptible(statement),
    row: "a timeout around a statement is kept, and the next statement is not hit",
    reason: "wrong result"
  },
  {
    name: "has no transactions",
    break: () => transaction((self) => self),
    row: "what fails is rolled back, and its own error passes through",
    reason: "wrong result"
  },
  {
    name: "has no savepoints",
    break: (client) =>
      transaction((self) =>
        Effect.flatMap(
          FiberRef.get(inside),
          (nested) => nested ? self : client.withTransaction(Effect.locally(self, inside, true))
        )
      ),
    row: "an inner one that fails is undone alone",
    reason: "wrong result"
  },
  {
    name: "dies where it should fail",
    break: (client) => transaction((self) => Effect.orDie(client.withTransaction(self))),
    row: "in a transaction between two statements: a typed error, and nothing is kept or run elsewhere",
    reason: "defect"
  },
  {
    name: "takes a COMMIT without an answer for done",
    break: (client) =>
      transaction((self) => Effect.catchAll(client.withTransaction(self), () => Effect.succeed("done"))),
    row: "at COMMIT, before it reached the server: CommitUnknown, and nothing is kept",
    reason: "wrong result"
  },
  {
    name: "reads a stream whole before it gives the first row",
    statement: (statement) =>
      Object.create(statement, {
        stream: { get: () => Stream.unwrap(Effect.map(Stream.runCollect(statement.stream), Stream.fromChunk)) }
      }),
    row: "a slow consumer does not have the whole result read into memory",
    reason: "wrong result"
  },
  {
    name: "runs the statements of a reserved connection anywhere",
    break: (client) => ({ reserve: Effect.map(client.reserve, (connection) => scattered(client, connection)) }),
    row: "a lease keeps it: variables and temporary tables are there for its later statements",
    reason: "wrong result"
  },
  {
    name: "hides what the server said",
    statement: (statement) => Effect.mapError(statement, () => new SqlError({ message: "it failed" })),
    row: "a duplicate key is a UniqueViolation that names its constraint",
    reason: "untyped error"
  },
  {
    name: "takes texts of digits for numbers",
    statement: (statement) => Effect.map(statement, (rows) => rows.map(({ value }) => ({ value: Number(value) }))),
    row: "a bigint keeps all its digits, as a string",
    reason: "wrong result"
  },
  {
    name: "says what it was told once and never again",
    break: () => ({ reactive: (_, effect) => Stream.concat(Stream.fromEffect(effect), Stream.never) }),
    row: "reactive queries run again when their keys are invalidated",
    reason: "timed out"
  },
  {
    name: "leaves to the next what the last one did to the session",
    told: { reset: undefined },
    row: "with `reset: \"session\"` a variable does not reach the next borrower",
    reason: "wrong result"
  },
  {
    name: "has all the time in the world",
    told: { statementTimeout: undefined },
    row: "`statementTimeout` ends a statement on the server, and its connection is lent again",
    reason: "timed out"
  },
  {
    name: "keeps what is idle for ever",
    told: { idleTimeout: undefined },
    row: "an idle connection is kept for `idleTimeout`, and closed after it",
    reason: "timed out"
  },
  {
    name: "gives up what was not sent",
    told: { retryUnsent: false },
    row: "a statement that was not sent is sent on another connection, once",
    reason: "wrong result"
  },
  {
    name: "sends twice what was not to be",
    told: { retryUnsent: undefined },
    row: "with `retryUnsent: false` it fails instead, and says that it was not executed",
    reason: "wrong result"
  },
  {
    name: "repeats what was lost",
    statement: (statement) => Effect.retry(statement, { times: 1 }),
    row: "a statement that ran is ConnectionLost, and is not repeated behind its caller's back",
    reason: "timed out"
  },
  {
    name: "shares nothing",
    told: { sharing: undefined },
    row: "more single statements are under way than there are connections, and a shared connection is leased once",
    reason: "wrong result"
  },
  {
    name: "shares what is in a transaction",
    break: () => transaction((self) => self),
    row: "a transaction is joined by nobody: what is rolled back is its own alone",
    reason: "wrong result"
  },
  {
    name: "waits for the end of what was interrupted beside others",
    statement: (statement) => Effect.uninterruptible(statement),
    row: "one that is interrupted returns at once, and its neighbours are not cancelled",
    reason: "wrong result"
  }
]

const mutate = (mutant: Mutant, client: Client): Client => {
  const broken = (mutant.break?.(client) ?? {}) as Record<PropertyKey, unknown>
  const statement = mutant.statement ?? ((statement) => statement)
  return new Proxy(client, {
    apply: (target, _, args) => {
      const made = Reflect.apply(target, undefined, args)
      // called with a text it makes an identifier
      return Array.isArray(args[0]) ? statement(made) : made
    },
    get: (target, key) => {
      const value = key in broken ? broken[key] : Reflect.get(target, key)
      return key === "unsafe" ? (...args: Array<any>) => statement(Reflect.apply(value, target, args)) : value
    }
  })
}

describe("a client that", () => {
  const scope = Effect.runSync(Scope.make())
  const right = Dialect.make({ name: "PostgreSQL" })
  let server: ContractDialect.Server
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.extend(Contract.server(right), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  for (const mutant of mutants) {
    it.live(`${mutant.name} is found out`, () =>
      Effect.gen(function*() {
        const layer: ContractDialect.Dialect["layer"] = (settings) =>
          Layer.map(
            right.layer({ ...settings, ...mutant.told }),
            (context) =>
              Context.add(context, SqlClient.SqlClient, mutate(mutant, Context.get(context, SqlClient.SqlClient)))
          )
        const row = Contract.rows({ ...right, layer }).find(({ name }) => name === mutant.row)
        assert.isDefined(row, mutant.row)
        const failure = yield* Effect.flip(row!.run(server))
        assert.strictEqual(failure.reason, mutant.reason, failure.message)
      }))
  }
})
