import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as ReadLine from "node:readline"
import type * as Stream from "node:stream"
import { fileURLToPath } from "node:url"
import * as pgBinaries from "./pgBinaries.js"

/** @internal */
export interface StartError {
  readonly reason: "UnsupportedPlatform" | "NoUnprivilegedUser" | "StartFailed"
  readonly message: string
}

/** @internal */
export interface Started {
  readonly version: string
  readonly dataDirectory: string
  readonly pid: number
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

interface Ready extends Started {
  readonly port: number
  readonly directory: string
}

interface Guardian {
  readonly process: ChildProcess.ChildProcessByStdio<Stream.Writable, Stream.Readable, null>
  ready: Ready | undefined
}

const guardianPath = fileURLToPath(new URL("./pgGuardian.mjs", import.meta.url))

/** The guardian needs at most six seconds to stop the server and removes the directory after that. */
const stopMillis = 10_000

const user = "dbpool"
const database = "postgres"
const host = "127.0.0.1"

const startFailed = (message: string): StartError => ({ reason: "StartFailed", message })

/** @internal */
export interface StartOptions {
  readonly settings: Readonly<Record<string, string>>
}

/** @internal */
export const start = (options: StartOptions): Effect.Effect<Parts, StartError, Scope.Scope> =>
  pgBinaries.resolve(process.platform, process.arch).pipe(
    Effect.mapError((message): StartError => ({ reason: "UnsupportedPlatform", message })),
    Effect.flatMap((binaries) => startFrom(binaries, options))
  )

/** @internal */
export const startFrom = (
  binaries: pgBinaries.PgBinaries,
  options: StartOptions
): Effect.Effect<Parts, StartError, Scope.Scope> =>
  Effect.gen(function*() {
    const password = Crypto.randomBytes(18).toString("hex")
    const guardian = yield* Effect.acquireRelease(Effect.sync(spawnGuardian), stop)
    const { dataDirectory, pid, port, version } = yield* request(guardian, { ...binaries, ...options, user, password })
    return {
      url: `postgres://${user}:${password}@${host}:${port}/${database}`,
      host,
      port,
      user,
      password,
      database,
      started: Option.some({ version, dataDirectory, pid })
    }
  })

const spawnGuardian = (): Guardian => {
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = ChildProcess.spawn(process.execPath, [guardianPath], {
    cwd: Path.dirname(guardianPath),
    detached: true,
    env,
    stdio: ["pipe", "pipe", "ignore"]
  })
  // A guardian that has died is noticed by its exit; a pipe that breaks with it says nothing more.
  child.stdin.on("error", () => {})
  return { process: child, ready: undefined }
}

const request = (guardian: Guardian, settings: object): Effect.Effect<Ready, StartError> =>
  Effect.async((resume) => {
    const child = guardian.process
    const onError = (error: Error) => resume(Effect.fail(startFailed(`No process could be started: ${error.message}.`)))
    const onExit = () => resume(Effect.fail(startFailed("The process that guards the server ended too early.")))
    child.on("error", onError)
    child.once("exit", onExit)
    ReadLine.createInterface({ input: child.stdout }).once("line", (line) => {
      const answer: Ready | StartError = JSON.parse(line)
      child.removeListener("exit", onExit)
      if ("reason" in answer) {
        resume(Effect.fail(answer))
        return
      }
      guardian.ready = answer
      unref(child)
      resume(Effect.succeed(answer))
    })
    child.stdin.write(`${JSON.stringify(settings)}\n`)
  })

/** A server nobody stopped must not keep the process alive: the guardian cleans up once the process has ended. */
const unref = (child: Guardian["process"]): void => {
  child.unref()
  child.stdout.destroy()
  if ("unref" in child.stdin && typeof child.stdin.unref === "function") {
    child.stdin.unref()
  }
}

const stop = (guardian: Guardian): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    const child = guardian.process
    const timer = setTimeout(() => child.kill("SIGKILL"), stopMillis)
    const onExit = (code: number | null) => {
      clearTimeout(timer)
      if (code !== 0) {
        cleanUp(guardian.ready)
      }
      resume(Effect.void)
    }
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
      onExit(child.exitCode)
    } else {
      child.ref()
      child.once("exit", onExit)
      child.stdin.end()
    }
  })

/** Does the guardian's work when the guardian itself was killed. */
const cleanUp = (ready: Ready | undefined): void => {
  if (ready === undefined) {
    return
  }
  try {
    // The process id may belong to another process by now, unless the server's own file still names it.
    const pidFile = Fs.readFileSync(Path.join(ready.dataDirectory, "postmaster.pid"), "utf8")
    if (Number.parseInt(pidFile, 10) === ready.pid) {
      process.kill(ready.pid, "SIGKILL")
    }
  } catch {
    // Neither the file nor the process need exist any more.
  }
  Fs.rmSync(ready.directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
}

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
