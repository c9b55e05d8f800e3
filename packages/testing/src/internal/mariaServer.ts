import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Crypto from "node:crypto"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as guardian from "./guardian.js"
import * as mariaBinaries from "./mariaBinaries.js"
import * as mysqlBinaries from "./mysqlBinaries.js"
import type { Parts } from "./pgServer.js"

const user = "dbpool"
const database = "dbpool"
const host = "127.0.0.1"

const guardianPath = fileURLToPath(new URL("./mariaGuardian.mjs", import.meta.url))

/** @internal */
export const start = (
  product: "MariaDB" | "MySQL",
  settings: Readonly<Record<string, string>>
): Effect.Effect<Parts, guardian.StartError, Scope.Scope> =>
  Effect.gen(function*() {
    const binaries = yield* Effect.mapError(
      product === "MariaDB" ? mariaBinaries.resolve : mysqlBinaries.resolve(process.platform, process.arch),
      (message): guardian.StartError => ({ reason: "UnsupportedPlatform", message })
    )
    const password = Crypto.randomBytes(18).toString("hex")
    const running = yield* guardian.start(guardianPath, { product, ...binaries, settings, user, password, database })
    const { directory, port, version } = running
    return {
      url: `mysql://${user}:${password}@${host}:${port}/${database}`,
      host,
      port,
      user,
      password,
      database,
      started: Option.some({ version, dataDirectory: Path.join(directory, "data"), running })
    }
  })

/** @internal */
export const parseUrl: (text: string) => Option.Option<Parts> = Option.liftThrowable((text) => {
  const url = new URL(text)
  const user = decodeURIComponent(url.username)
  const database = decodeURIComponent(url.pathname.slice(1))
  if (!/^(mysql|mariadb):$/.test(url.protocol) || url.hostname === "" || user === "" || database === "") {
    throw new Error("not the URL of a MySQL server")
  }
  return {
    url: text,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? 3306 : Number(url.port),
    user,
    password: decodeURIComponent(url.password),
    database,
    started: Option.none()
  }
})
