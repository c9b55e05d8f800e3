/**
 * `npx tsx packages/examples/src/lindorm.ts`: the program of LindormTable's guide. It runs on the LindormTable at
 * `LINDORM_URL`, with `LINDORM_USER`, `LINDORM_PASSWORD` and `LINDORM_DATABASE`, where the table `tb` must exist; without
 * these, on an Avatica server that is started for it, behaves like LindormTable, and is removed at the end.
 */
import * as AvaticaServer from "@dbpool/testing/AvaticaServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Guide from "./lindorm/guide.js"

/** somewhere to run when there is nothing else */
const own = Effect.gen(function*() {
  const account = { user: "root", password: "root", databases: ["test"] }
  const { url } = yield* AvaticaServer.make({ lindorm: account })
  const guest = { url, user: account.user, password: Redacted.make(account.password), database: "test" }
  yield* Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql`create table tb (id varchar primary key, name varchar, address varchar)`
  ).pipe(Effect.provide(Guide.layer(guest)))
  return guest
})

const main = Effect.gen(function*() {
  const url = yield* Config.option(Config.nonEmptyString("LINDORM_URL"))
  const account = Option.isSome(url) ? yield* Guide.account : yield* own
  yield* Effect.provide(Guide.program, Guide.layer(account))
})

NodeRuntime.runMain(Effect.scoped(main))
