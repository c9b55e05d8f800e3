/**
 * A suite is a list of parts, each of which compares something and tells about it in rows.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Row } from "./Row.js"
import type { Size } from "./Size.js"

export interface Part<R> {
  readonly name: string
  readonly rows: (size: Size) => Effect.Effect<ReadonlyArray<Row>, unknown, R | Scope.Scope>
}

export interface Suite {
  readonly name: string
  /** `wanted` picks parts by their names */
  readonly rows: (size: Size, wanted: (part: string) => boolean) => Stream.Stream<Row, unknown>
}

export const part = <R>(
  name: string,
  rows: (name: string, size: Size) => Effect.Effect<ReadonlyArray<Row>, unknown, R | Scope.Scope>
): Part<Exclude<R, Scope.Scope>> => ({
  name,
  rows: ((size: Size) => rows(name, size)) as never
})

/** `servers` are started for the first part that is wanted, and stopped after the last */
export const make = <R = never>(
  name: string,
  parts: ReadonlyArray<Part<R>>,
  servers: Layer.Layer<R, unknown> = Layer.empty as never
): Suite => ({
  name,
  rows: (size, wanted) => {
    const picked = parts.filter((part) => wanted(part.name))
    return picked.length === 0 ? Stream.empty : Stream.fromIterable(picked).pipe(
      Stream.mapEffect((part) => Effect.scoped(part.rows(size))),
      Stream.flattenIterables,
      Stream.provideSomeLayer(servers)
    ) as Stream.Stream<Row, unknown>
  }
})
