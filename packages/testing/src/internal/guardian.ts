/**
 * The owner's end of a guardian: a process that runs a server for us and outlives us just long enough to remove it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import type * as Net from "node:net"
import * as Path from "node:path"
import * as ReadLine from "node:readline"
import type * as Stream from "node:stream"

/** @internal */
export interface StartError {
  readonly reason: "UnsupportedPlatform" | "NoUnprivilegedUser" | "StartFailed"
  readonly message: string
}

/** @internal */
export interface Ready {
  readonly version: string
  readonly pid: number
  readonly port: number
  readonly directory: string
  readonly pidFile: string
}

/** a server that can be killed, and started again under another process id @internal */
export interface Running extends Ready {
  readonly kill: Effect.Effect<void>
  readonly start: Effect.Effect<void, StartError>
}

interface Guardian {
  readonly process: ChildProcess.ChildProcessByStdio<Stream.Writable, Stream.Readable, null>
  ready: Ready | undefined
  /** what is done with its next answer */
  answered: (answer: any) => void
  /** one question at a time */
  readonly turn: Effect.Semaphore
}

/** A guardian needs at most six seconds to stop its server and removes the directory after that. */
const stopMillis = 10_000

/** @internal */
export const startFailed = (message: string): StartError => ({ reason: "StartFailed", message })

/**
 * Starts a server by its guardian, and stops it when the scope closes.
 *
 * @internal
 */
export const start = (path: string, settings: object): Effect.Effect<Running, StartError, Scope.Scope> =>
  Effect.gen(function*() {
    const guardian = yield* Effect.acquireRelease(Effect.sync(() => spawnGuardian(path)), stop)
    const ready = yield* ask<Ready>(guardian, JSON.stringify(settings))
    guardian.ready = ready
    return {
      ...ready,
      get pid() {
        return guardian.ready!.pid
      },
      kill: Effect.orDie(ask(guardian, "kill")),
      start: Effect.map(ask<{ readonly pid: number }>(guardian, "start"), ({ pid }) => {
        guardian.ready = { ...ready, pid }
      })
    }
  })

const spawnGuardian = (path: string): Guardian => {
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = ChildProcess.spawn(process.execPath, [path], {
    cwd: Path.dirname(path),
    detached: true,
    env,
    stdio: ["pipe", "pipe", "ignore"]
  })
  // A guardian that has died is noticed by its exit; a pipe that breaks with it says nothing more.
  child.stdin.on("error", () => {})
  const guardian: Guardian = {
    process: child,
    ready: undefined,
    answered: () => {},
    turn: Effect.unsafeMakeSemaphore(1)
  }
  ReadLine.createInterface({ input: child.stdout }).on("line", (line) => guardian.answered(JSON.parse(line)))
  return guardian
}

const ask = <A extends object>(guardian: Guardian, line: string): Effect.Effect<A, StartError> =>
  guardian.turn.withPermits(1)(Effect.async<A, StartError>((resume) => {
    const child = guardian.process
    hold(child)
    const onError = (error: Error) => resume(Effect.fail(startFailed(`No process could be started: ${error.message}.`)))
    const onExit = () => resume(Effect.fail(startFailed("The process that guards the server ended too early.")))
    child.once("error", onError)
    child.once("exit", onExit)
    guardian.answered = (answer: A | StartError) => {
      child.removeListener("error", onError)
      child.removeListener("exit", onExit)
      unref(child)
      resume("reason" in answer ? Effect.fail(answer) : Effect.succeed(answer))
    }
    if (child.exitCode !== null || child.signalCode !== null) onExit()
    else child.stdin.write(`${line}\n`)
  }))

/** Its answer is waited for. */
const hold = (child: Guardian["process"]): void => {
  child.ref()
  for (const pipe of pipes(child)) pipe.ref()
}

/** A server nobody stopped must not keep the process alive: the guardian cleans up once the process has ended. */
const unref = (child: Guardian["process"]): void => {
  child.unref()
  for (const pipe of pipes(child)) pipe.unref()
}

/** Node's types don't know that they are sockets. */
const pipes = (child: Guardian["process"]) => [child.stdin, child.stdout] as unknown as ReadonlyArray<Net.Socket>

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
    const pidFile = Fs.readFileSync(ready.pidFile, "utf8")
    if (Number.parseInt(pidFile, 10) === ready.pid) {
      process.kill(ready.pid, "SIGKILL")
    }
  } catch {
    // Neither the file nor the process need exist any more.
  }
  Fs.rmSync(ready.directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
}
