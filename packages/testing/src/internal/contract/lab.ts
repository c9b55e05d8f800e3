/**
 * What a row works with: pools of the dialect under test, tables, proxies, and the server as seen from beside.
 */
import type { SqlPool } from "@dbpool/sql/SqlPool"
import { SqlPool as SqlPoolTag } from "@dbpool/sql/SqlPool"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Dialect, Notifications, PoolSettings, Server, Session, Syntax } from "../../ContractDialect.js"
import type { ContractFailure } from "../../ContractFailure.js"
import * as TcpProxy from "../../TcpProxy.js"
import { describe, eventually, fails, within } from "./checks.js"

/** a pool under test @internal */
export interface Client {
  readonly name: string
  readonly size: number
  readonly sql: SqlClient.SqlClient
  /** rows that use it need the capability `pool` */
  readonly pool: SqlPool
  readonly context: Context.Context<SqlClient.SqlClient | Reactivity.Reactivity>
  /** closes the layer */
  readonly close: Effect.Effect<void>
  /** nothing more is expected of it: it need not work at the end of the row */
  readonly spent: { value: boolean }
}

/** @internal */
export interface Table {
  readonly name: string
  /** the names in it, by id, as somebody else sees them */
  readonly names: Effect.Effect<ReadonlyArray<string | null>>
}

/** a connection that a row keeps for itself @internal */
export interface Held {
  readonly connection: Connection
  readonly release: Effect.Effect<void>
}

type Complete = { readonly [K in keyof Syntax]-?: NonNullable<Syntax[K]> }

let count = 0

const unique = (what: string) => `${what}_${process.pid}_${++count}`

/** @internal */
export class Lab {
  /** what the dialect need not have, only rows that do not apply would miss */
  readonly syntax: Complete
  private readonly clients: Array<Client> = []
  private readonly held: Array<Held> = []

  constructor(readonly dialect: Dialect, readonly server: Server) {
    this.syntax = dialect.syntax as Complete
  }

  /** a pool of two connections, unless asked for others */
  open(settings: Partial<PoolSettings> = {}): Effect.Effect<Client, unknown, Scope.Scope> {
    return Effect.gen(this, function*() {
      const name = unique("contract")
      const scope = yield* Scope.make()
      const size = settings.maxConnections ?? 2
      // a layer that hangs while it closes must not take the row with it
      const close = Effect.ignore(within(3000, Scope.close(scope, Exit.void), "closing the pool"))
      yield* Effect.addFinalizer(() => close)
      const layer = this.dialect.layer({
        shutdownTimeout: "500 millis",
        initializeTimeout: "3 seconds",
        acquireTimeout: "5 seconds",
        // rows hold a connection and wait for another, on purpose
        nestedAcquire: "allow",
        ...settings,
        name,
        maxConnections: size
      })
      // built together, the two share one Reactivity
      const context = yield* Layer.buildWithScope(Layer.merge(layer, Reactivity.layer), scope)
      const client: Client = {
        name,
        size,
        sql: Context.get(context, SqlClient.SqlClient),
        pool: Option.getOrUndefined(Context.getOption(context, SqlPoolTag))!,
        context,
        close,
        spent: { value: false }
      }
      this.clients.push(client)
      return client
    })
  }

  /** a pool with a table */
  openWithTable(settings: Partial<PoolSettings> = {}) {
    return Effect.all([this.open(settings), this.table()])
  }

  table(create: (name: string) => ReadonlyArray<string> = this.syntax.createTable) {
    return Effect.gen(this, function*() {
      const name = unique("contract_items")
      yield* Effect.acquireRelease(
        Effect.forEach(create(name), (sql) => this.server.query(sql)),
        () => this.server.query(`drop table ${name}`)
      )
      const names = Effect.map(
        this.server.query(`select name from ${name} order by id`),
        (rows) => rows.map(({ name }) => name as string | null)
      )
      return { name, names } satisfies Table
    })
  }

  /** a table that the row makes through the pool, if at all; gone in the end */
  tableName(what: string) {
    return Effect.acquireRelease(
      Effect.sync(() => unique(what)),
      (name) => this.server.query(`drop table if exists ${name}`)
    )
  }

  insert({ sql }: { readonly sql: SqlClient.SqlClient }, table: Table, id: number, name: string | null = `n${id}`) {
    return sql`${sql.literal(this.syntax.insert)} ${sql(table.name)} ${sql.insert({ id, name })}`
  }

  /** the one row of a statement that everybody understands */
  one({ sql }: { readonly sql: SqlClient.SqlClient }): Effect.Effect<ReadonlyArray<any>, SqlError> {
    return sql.unsafe(this.syntax.one)
  }

  /** takes so many seconds on the server */
  sleep({ sql }: { readonly sql: SqlClient.SqlClient }, seconds = 30): Effect.Effect<unknown, SqlError> {
    return sql.unsafe(this.syntax.sleep(seconds))
  }

  notifications({ context }: Client): Notifications {
    return this.dialect.notifications!(context)
  }

  /** a connection that is taken until it is released, or the row ends */
  hold({ sql }: { readonly sql: SqlClient.SqlClient }): Effect.Effect<Held, SqlError, Scope.Scope> {
    return Effect.gen(this, function*() {
      const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
      const connection = yield* Scope.extend(sql.reserve, scope)
      const held = { connection, release: Scope.close(scope, Exit.void) }
      this.held.push(held)
      return held
    })
  }

  /** has all its connections taken at once, so that all of them are open */
  fill({ size, sql }: Client): Effect.Effect<void, SqlError> {
    return Effect.asVoid(Effect.scoped(
      Effect.all(Array.from({ length: size }, () => sql.reserve), { concurrency: "unbounded" })
    ))
  }

  get proxy(): Effect.Effect<TcpProxy.TcpProxy, never, Scope.Scope> {
    return TcpProxy.make(this.server.address)
  }

  /** a pool behind a proxy */
  openProxied(settings: Partial<PoolSettings> = {}) {
    return Effect.gen(this, function*() {
      const proxy = yield* this.proxy
      const client = yield* this.open({ ...settings, address: proxy })
      return { client, proxy }
    })
  }

  sessions({ name }: { readonly name: string }): Effect.Effect<ReadonlyArray<Session>> {
    return this.server.sessions!(name)
  }

  /** waits until the server runs something for the pool */
  running(client: Client, text: string = this.syntax.sleepMarker) {
    return eventually(
      this.sessions(client),
      (sessions) => sessions.some(({ statement }) => statement?.includes(text)),
      `the server runs ${text}`
    )
  }

  /** waits until the server runs nothing for the pool */
  quiet(client: Client, millis = 2000) {
    return eventually(
      this.sessions(client),
      (sessions) => sessions.every(({ statement }) => statement === undefined),
      "the statement ends on the server",
      millis
    )
  }

  /** ends every session of the pool, and waits until they are gone */
  killAll(client: Client) {
    return Effect.gen(this, function*() {
      const killed = yield* this.sessions(client)
      for (const { id } of killed) yield* this.server.kill!(id)
      const ids = new Set(killed.map(({ id }) => id))
      yield* eventually(
        this.sessions(client),
        (sessions) => sessions.every(({ id }) => !ids.has(id)),
        "the killed sessions are gone"
      )
    })
  }

  /** every connection of every pool is there to be had, and none outlives its pool */
  readonly settle: Effect.Effect<void, ContractFailure> = Effect.suspend(() =>
    Effect.zipRight(
      Effect.forEach(this.held, ({ release }) => release),
      Effect.forEach(this.clients, (client) => this.settleOne(client), { discard: true })
    )
  )

  private settleOne(client: Client): Effect.Effect<void, ContractFailure> {
    return Effect.gen(this, function*() {
      if (!client.spent.value) {
        const exit = yield* Effect.exit(within(
          2000,
          this.fill(client),
          "all connections at once"
        ))
        if (Exit.isFailure(exit)) {
          yield* fails(
            "leaked connection",
            `afterwards, taking all ${client.size}: ${describe(Cause.squash(exit.cause))}`
          )
        }
        const row = yield* Effect.exit(within(2000, this.one(client), "a statement afterwards"))
        if (Exit.isFailure(row)) {
          yield* fails("wrong result", `afterwards the pool does not work: ${describe(Cause.squash(row.cause))}`)
        }
      }
      yield* client.close
      if (this.server.sessions !== undefined) {
        yield* eventually(this.sessions(client), (sessions) => sessions.length === 0, "").pipe(
          Effect.catchAll(() => fails("leaked connection", "sessions are left on the server after the pool is closed"))
        )
      }
    })
  }

  /** after a row that failed: nothing of it may be in the next one's way */
  readonly sweep: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(
      this.clients,
      (client) => this.server.sessions === undefined ? Effect.void : Effect.ignore(this.killAll(client)),
      { discard: true }
    )
  )
}
