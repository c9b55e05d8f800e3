import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Crypto from "node:crypto"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as guardian from "./guardian.js"
import * as pgBinaries from "./pgBinaries.js"

/** @internal */
export interface Started {
  readonly version: string
  readonly dataDirectory: string
  readonly running: guardian.Running
}

/** @internal */
export interface Parts {
  readonly url: string
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  readonly started: Option.Option<Started>
}

/** a server of ours as users see it, with the errors that they see @internal */
export const publish =
  <E>(toPublic: (error: guardian.StartError) => E) => ({ dataDirectory, running, version }: Started) => ({
    version,
    dataDirectory,
    get pid() {
      return running.pid
    },
    kill: running.kill,
    start: Effect.mapError(running.start, toPublic)
  })

const user = "dbpool"
const database = "postgres"
const host = "127.0.0.1"

const guardianPath = fileURLToPath(new URL("./pgGuardian.mjs", import.meta.url))

/** @internal */
export interface StartOptions {
  readonly settings: Readonly<Record<string, string>>
  readonly version: string
}

/** @internal */
export const start = ({ settings, version }: StartOptions): Effect.Effect<Parts, guardian.StartError, Scope.Scope> =>
  pgBinaries.ofVersion(version).pipe(
    Effect.mapError((message): guardian.StartError => ({ reason: "UnsupportedPlatform", message })),
    Effect.flatMap((binaries) => startFrom(binaries, { settings }))
  )

/** @internal */
export const startFrom = (
  binaries: pgBinaries.PgBinaries,
  options: Pick<StartOptions, "settings">
): Effect.Effect<Parts, guardian.StartError, Scope.Scope> =>
  Effect.gen(function*() {
    const password = Crypto.randomBytes(18).toString("hex")
    const running = yield* guardian.start(guardianPath, {
      ...binaries,
      ...options,
      user,
      password
    })
    const { directory, port, version } = running
    return {
      url: `postgres://${user}:${password}@${host}:${port}/${database}`,
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
  if (!/^postgres(ql)?:$/.test(url.protocol) || url.hostname === "" || user === "") {
    throw new Error("not the URL of a PostgreSQL server")
  }
  return {
    url: text,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? 5432 : Number(url.port),
    user,
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)) || user,
    started: Option.none()
  }
})
