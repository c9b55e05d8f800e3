/**
 * A statement of our own over the public compiler of `@effect/sql`. Templates, helpers and fragments are made by
 * `Statement.make`; only what happens when the statement is run is ours, because the official way (a scope and a span for
 * every statement) costs more than the pool and the driver together.
 */
import type { Connection, Row } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import type { Mode } from "./channel.js"
import { isSeen } from "./trace.js"

/** how a statement is run, and what its rows are to be */
export interface Manner {
  readonly mode: Mode
  /** names as the database has them, both ways */
  readonly withoutTransform: boolean
  readonly unprepared: boolean
}

const rows: Manner = { mode: "object", withoutTransform: false, unprepared: false }
const raw: Manner = { mode: "raw", withoutTransform: true, unprepared: false }
const values: Manner = { mode: "array", withoutTransform: false, unprepared: false }
const untransformed: Manner = { mode: "object", withoutTransform: true, unprepared: false }
const unprepared: Manner = { mode: "object", withoutTransform: false, unprepared: true }

/** where a statement of this client runs, given the fiber it runs in @internal */
export interface Runner {
  readonly run: (
    fiber: Fiber.RuntimeFiber<any, any>,
    sql: string,
    params: ReadonlyArray<unknown>,
    manner: Manner
  ) => Effect.Effect<any, SqlError>
  readonly stream: <A>(f: (connection: Connection) => Stream.Stream<A, SqlError>) => Stream.Stream<A, SqlError>
  readonly compiler: Statement.Compiler
  readonly transformRows: (<A extends object>(row: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined
  readonly spanAttributes: ReadonlyArray<readonly [string, unknown]>
}

class PoolStatement<A> extends Effectable.Class<ReadonlyArray<A>, SqlError> implements Statement.Statement<A> {
  constructor(
    readonly segments: ReadonlyArray<Statement.Segment>,
    private readonly runner: Runner,
    private readonly constructor_: () => Statement.Constructor
  ) {
    super()
  }

  get [Statement.FragmentId]() {
    return identity
  }

  compile(withoutTransform = false) {
    return this.runner.compiler.compile(this, withoutTransform)
  }

  override commit(): Effect.Effect<ReadonlyArray<A>, SqlError> {
    return this.run("execute", rows)
  }

  get withoutTransform(): Effect.Effect<ReadonlyArray<A>, SqlError> {
    return this.run("executeWithoutTransform", untransformed)
  }

  get raw(): Effect.Effect<unknown, SqlError> {
    return this.run("executeRaw", raw)
  }

  get values(): Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, SqlError> {
    return this.run("executeValues", values)
  }

  get unprepared(): Effect.Effect<ReadonlyArray<A>, SqlError> {
    return this.run("executeUnprepared", unprepared)
  }

  get stream(): Stream.Stream<A, SqlError> {
    const start = (statement: Statement.Statement<A>): Stream.Stream<A, SqlError> => {
      const [sql, params] = statement.compile()
      return this.runner.stream((connection) => connection.executeStream(sql, params, this.runner.transformRows))
    }
    return Stream.unwrapScoped(Effect.withFiberRuntime((fiber) =>
      isPlain(fiber)
        ? Effect.succeed(start(this))
        : Effect.flatMap(
          Effect.makeSpanScoped("sql.execute", { kind: "client", captureStackTrace: false }),
          (span) =>
            this.described("executeStream", span, false, (statement) =>
              Effect.succeed(Stream.provideService(start(statement), Tracer.ParentSpan, span)))
        )
    ))
  }

  toJSON() {
    const [sql, params] = this.compile()
    return { _id: "@effect/sql/Statement", segments: this.segments, sql, params }
  }

  private run(operation: string, manner: Manner): Effect.Effect<any, SqlError> {
    const { withoutTransform } = manner
    return Effect.withFiberRuntime((fiber) => {
      const sent = (statement: Statement.Statement<A>) => {
        const [sql, params] = statement.compile(withoutTransform)
        const { run, transformRows } = this.runner
        const result = run(fiber, sql, params, manner)
        return transformRows === undefined || withoutTransform || manner.mode !== "object"
          ? result
          : Effect.map(result, transformRows)
      }
      return isPlain(fiber)
        ? sent(this)
        : Effect.useSpan(
          "sql.execute",
          { kind: "client", captureStackTrace: false },
          (span) => Effect.withParentSpan(this.described(operation, span, withoutTransform, sent), span)
        )
    })
  }

  /** fills in the span, and hands on what the fiber's transformer, if it has one, makes of the statement */
  private described<B>(
    operation: string,
    span: Tracer.Span,
    withoutTransform: boolean,
    f: (statement: Statement.Statement<A>) => Effect.Effect<B, SqlError>
  ): Effect.Effect<B, SqlError> {
    return Effect.withFiberRuntime((fiber) => {
      const transformer = fiber.getFiberRef(Statement.currentTransformer)
      const statement: Effect.Effect<Statement.Statement<any>> = transformer._tag === "None"
        ? Effect.succeed(this)
        : transformer.value(this, this.constructor_(), fiber.getFiberRefs(), span)
      return Effect.flatMap(statement, (statement) => {
        for (const [key, value] of this.runner.spanAttributes) span.attribute(key, value)
        span.attribute("db.operation.name", operation)
        span.attribute("db.query.text", statement.compile(withoutTransform)[0])
        return f(statement)
      })
    })
  }
}

/** nobody would see the span, and nothing rewrites the statement */
const isPlain = (fiber: Fiber.RuntimeFiber<any, any>): boolean =>
  !isSeen(fiber) &&
  fiber.getFiberRef(Statement.currentTransformer)._tag === "None"

/** @internal */
export const make = (runner: Runner): Statement.Constructor => {
  // only ever compiled, never run; the effect is new because the official constructors are cached by it
  const base = Statement.make(Effect.suspend(() => Effect.never), runner.compiler, [], undefined)
  const statement = <A extends object>(segments: ReadonlyArray<Statement.Segment>): Statement.Statement<A> =>
    new PoolStatement<A>(segments, runner, () => constructor)
  const constructor: Statement.Constructor = Object.assign(
    function sql(strings: unknown, ...args: Array<any>): any {
      return typeof strings === "string"
        ? base(strings)
        : statement((base(strings as TemplateStringsArray, ...args) as Statement.Statement<object>).segments)
    },
    base,
    {
      unsafe: <A extends object = Row>(sql: string, params?: ReadonlyArray<any>) =>
        statement<A>(base.unsafe(sql, params).segments)
    }
  ) as Statement.Constructor
  return constructor
}
