import * as Effect from "effect/Effect"
import type { Dialect } from "../../ContractDialect.js"
import { equal } from "./checks.js"
import type { Spec } from "./row.js"
import { group, row } from "./row.js"

/** each value goes to the server and back by every way that there is @internal */
export const types = ({ syntax }: Dialect): ReadonlyArray<Spec> =>
  group(
    "types",
    [],
    syntax.types.map(({ expected, name, parameter, sql: text }) =>
      row(name, (lab) =>
        Effect.gen(function*() {
          const value = expected === undefined ? parameter : expected
          const { pool, sql } = yield* lab.open({ maxConnections: 1 })
          // more than once: a driver may send a statement that it knows already in another way
          for (let i = 0; i < 3; i++) {
            yield* equal(yield* sql.unsafe(text, [parameter as never]), [{ value }], "as an object")
            yield* equal(yield* sql.unsafe(text, [parameter as never]).values, [[value]], "as an array")
          }
          if (pool !== undefined) {
            const rows = yield* pool.use((connection) => connection.query(text, [parameter]))
            yield* equal(rows, [{ value }], "by a lease")
          }
        }))
    )
  )
