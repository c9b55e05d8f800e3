/**
 * One process for each server. It lives in a session of its own, where a terminal's Ctrl-C does not reach it, and ends
 * with its standard input, so that not even SIGKILL to us leaves it behind. A directory for temporary files exists only while it starts; it removes that itself.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as ReadLine from "node:readline"
import type * as Stream from "node:stream"
import type { BuildError } from "./avaticaBuild.js"
import { build, noJava } from "./avaticaBuild.js"

/** what `AvaticaTestServer.java` reads @internal */
export interface Settings {
  readonly engine: "hsqldb" | "h2"
  readonly cache: Readonly<Record<string, string>>
  readonly lindorm: object | null
  readonly authentication: object | null
  readonly idleMillis: number | null
  readonly tls: boolean
}

/** @internal */
export interface Remembered {
  readonly connections: ReadonlyArray<string>
  readonly statements: number
}

/** @internal */
export interface Running {
  readonly port: number
  readonly pid: number
  /** in PEM, empty without TLS */
  readonly certificate: string
  readonly remembered: Effect.Effect<Remembered>
}

type Process = ChildProcess.ChildProcessByStdio<Stream.Writable, Stream.Readable, Stream.Readable>

type Answer = Partial<Record<"failed" | "certificate", string>> & Partial<Record<"port", number>>

/** @internal */
export const start = (settings: Settings, timeZone: string): Effect.Effect<Running, BuildError, Scope.Scope> =>
  Effect.gen(function*() {
    const { args, java } = yield* build
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "dbpool-avatica-"))),
      (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
    )
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        ChildProcess.spawn(java, [`-Duser.timezone=${timeZone}`, ...args], {
          detached: true,
          stdio: ["pipe", "pipe", "pipe"]
        })
      ),
      stop
    )
    const conversation = new Conversation(child)
    const database = `dbpool_${Crypto.randomBytes(6).toString("hex")}`
    const answer: Answer = yield* Effect.mapError(
      conversation.ask(JSON.stringify({ ...settings, database, directory })),
      (said) => said === missing ? noJava : notStarted(said)
    )
    if (answer.port === undefined) return yield* Effect.fail(notStarted(String(answer.failed)))
    return {
      port: answer.port,
      pid: child.pid!,
      certificate: answer.certificate === undefined || answer.certificate === "" ? "" : pem(answer.certificate),
      remembered: Effect.orDie(conversation.ask("what do you remember?"))
    }
  })

const missing = "ENOENT"

const notStarted = (said: string): BuildError => ({
  reason: "StartFailed",
  message: `The Avatica server did not start: ${said}`
})

const pem = (base64: string): string =>
  `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`

/** One line asked, one line answered. */
class Conversation {
  private readonly asking: Array<(answer: Effect.Effect<any, string>) => void> = []
  private said = ""

  constructor(private readonly child: Process) {
    child.stderr.on("data", (chunk) => {
      this.said = (this.said + String(chunk)).slice(-4096)
    })
    child.stdin.on("error", () => {})
    child.on("error", (error: NodeJS.ErrnoException) => this.ends(error.code ?? error.message))
    child.on("close", () => this.ends(`it ended. ${this.said}`))
    ReadLine.createInterface({ input: child.stdout }).on("line", (line) => {
      this.asking.shift()?.(Effect.succeed(JSON.parse(line)))
      if (this.asking.length === 0) this.release()
    })
  }

  ask(line: string): Effect.Effect<any, string> {
    return Effect.async((resume) => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) return resume(Effect.fail("it has ended"))
      this.asking.push(resume)
      this.child.stdin.write(`${line}\n`)
    })
  }

  private ends(why: string): void {
    for (const resume of this.asking.splice(0)) resume(Effect.fail(why))
  }

  /** A server nobody stopped must not keep the process alive: it ends by itself when we have. */
  private release(): void {
    this.child.unref()
    for (const stream of [this.child.stdin, this.child.stdout, this.child.stderr]) {
      if ("unref" in stream && typeof stream.unref === "function") stream.unref()
    }
  }
}

const stop = (child: Process): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.ref()
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })
