/**
 * Runs one throw-away server for the process at the other end of its standard input.
 *
 * A finalizer is no answer to SIGKILL, so the server belongs to this process instead: it lives in a session of its own,
 * where a terminal's Ctrl-C does not reach it, and takes the end of its input, which the kernel guarantees however the
 * owner dies, as the order to stop the server and to remove its directory.
 *
 * The protocol: one line of JSON in (what the server needs to know), one line of JSON out (`Ready` or `Failed`). After that
 * each line is a word, `kill` or `start`, answered by one line of JSON when it is done: `Killed`, `Started` or `Failed`.
 *
 * @internal
 */
import { execFileSync, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import * as ReadLine from "node:readline"

/**
 * @typedef {{ readonly port: number, readonly pid: number, readonly directory: string, readonly pidFile: string,
 *   readonly version: string }} Ready
 * @typedef {{ readonly pid: number }} Started
 * @typedef {{}} Killed
 * @typedef {{ readonly reason: "UnsupportedPlatform" | "NoUnprivilegedUser" | "StartFailed", readonly message: string }} Failed
 * @typedef {{ readonly uid?: number, readonly gid?: number }} Identity
 */

export const host = "127.0.0.1"

/** Another process may take the free port between our looking and the server's binding it. */
const portAttempts = 5

/** How long the processes of a killed server may keep a new one from its place. */
const restartMillis = 10_000

export class Failure extends Error {
  /**
   * @param {Failed["reason"]} reason
   * @param {string} message
   */
  constructor(reason, message) {
    super(message)
    this.reason = reason
  }
}

/** what the server has said last */
const output = {
  text: "",
  /** @param {Buffer} chunk */
  add(chunk) {
    this.text = (this.text + chunk.toString("utf8")).slice(-4096)
  }
}

/** @type {string | undefined} */
let directory
/** @type {import("node:child_process").ChildProcess | undefined} */
let child
let stopping = false

/**
 * Servers refuse to run as root.
 *
 * @param {string} server
 * @returns {Identity}
 */
export const unprivileged = (server) => {
  if (process.getuid === undefined || process.getuid() !== 0) {
    return {}
  }
  for (const name of ["postgres", "nobody"]) {
    try {
      // `| 0`: macOS prints nobody's -2 as an unsigned number, which spawn refuses.
      const [uid, gid] = ["-u", "-g"].map((flag) =>
        Number(execFileSync("id", [flag, name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })) | 0
      )
      if (uid !== undefined && gid !== undefined && uid !== 0) {
        return { uid, gid }
      }
    } catch {
      continue
    }
  }
  throw new Failure(
    "NoUnprivilegedUser",
    `${server} refuses to run as root, and this machine has neither a user "postgres" nor a user "nobody" to run it as.`
  )
}

/**
 * Whether a server can get at what is in a directory.
 *
 * @param {string} path
 * @param {Identity} identity
 */
export const traversable = (path, identity) => {
  if (identity.uid === undefined) {
    return true
  }
  for (let current = Fs.realpathSync(path);; current = Path.dirname(current)) {
    const { gid, mode, uid } = Fs.statSync(current)
    const execute = uid === identity.uid ? 0o100 : gid === identity.gid ? 0o010 : 0o001
    if ((mode & execute) === 0) {
      return false
    }
    if (current === Path.dirname(current)) {
      return true
    }
  }
}

/**
 * The one directory of the server, which goes away with it.
 *
 * @param {string} prefix
 * @param {Identity} identity
 */
export const makeDirectory = (prefix, identity) => {
  const parent = traversable(Os.tmpdir(), identity) ? Os.tmpdir() : "/tmp"
  const path = Fs.mkdtempSync(Path.join(parent, `dbpool-${prefix}-`))
  directory = path
  give(path, identity)
  return path
}

/**
 * @param {string} path
 * @param {Identity} identity
 */
export const give = (path, { gid, uid }) => {
  if (uid !== undefined && gid !== undefined) {
    Fs.chownSync(path, uid, gid)
  }
}

/** No PG* variable of the owner's may change how a server starts; TZ spares initdb a search for the machine's zone. */
export const environment = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(PG|LC_|LANG|NODE_OPTIONS)/.test(name))),
  LC_ALL: "C",
  TZ: "UTC"
}

/** @returns {Promise<number>} */
const freePort = () =>
  new Promise((resolve, reject) => {
    const server = Net.createServer()
    server.once("error", reject)
    server.listen(0, host, () => {
      const { port } = /** @type {Net.AddressInfo} */ (server.address())
      server.close(() => resolve(port))
    })
  })

/**
 * @param {string} command
 * @param {ReadonlyArray<string>} args
 * @param {string} cwd
 * @param {Identity} identity
 */
const start = (command, args, cwd, identity) => {
  if (stopping) {
    throw new Failure("StartFailed", "The owner of the server has gone.")
  }
  output.text = ""
  const started = spawn(command, args, { ...identity, cwd, env: environment, stdio: ["ignore", "pipe", "pipe"] })
  started.stdout.on("data", (chunk) => output.add(chunk))
  started.stderr.on("data", (chunk) => output.add(chunk))
  child = started
  return started
}

/**
 * Runs a program to its end.
 *
 * @param {string} command
 * @param {ReadonlyArray<string>} args
 * @param {string} cwd
 * @param {Identity} identity
 * @returns {Promise<void>}
 */
export const finish = (command, args, cwd, identity) => {
  const program = start(command, args, cwd, identity)
  return new Promise((resolve, reject) => {
    program.once("error", reject)
    program.once("close", (code) => {
      if (code === 0) {
        resolve()
      } else {
        reject(new Failure("StartFailed", `${Path.basename(command)} failed: ${output.text.trim()}`))
      }
    })
  })
}

/**
 * `complaints` is what matters of what it says when it does not start; without it, everything.
 *
 * @typedef {{
 *   readonly name: string
 *   readonly command: string
 *   readonly args: (port: number) => ReadonlyArray<string>
 *   readonly cwd: string
 *   readonly identity: Identity
 *   readonly isReady: (output: string) => boolean
 *   readonly isTaken: (output: string) => boolean
 *   readonly complaints?: (output: string) => string
 * }} Serve
 */

/**
 * How the server was started, so that it can be started again.
 *
 * @type {{ readonly options: Serve, readonly port: number } | undefined}
 */
let served

/**
 * One attempt, answered by the server's process id, or by nothing when it would not start.
 *
 * @param {Serve} options
 * @param {number} port
 * @returns {Promise<number | undefined>}
 */
const launch = async ({ args, command, cwd, identity, isReady }, port) => {
  const server = start(command, args(port), cwd, identity)
  const ready = await new Promise((resolve, reject) => {
    server.once("error", reject)
    const look = () => {
      if (isReady(output.text)) {
        resolve(true)
      }
    }
    server.stdout.on("data", look)
    server.stderr.on("data", look)
    server.once("close", () => resolve(false))
  })
  return ready ? server.pid : undefined
}

/** @param {Serve} options */
const didNotStart = ({ complaints, name }) =>
  new Failure("StartFailed", `${name} did not start: ${(complaints?.(output.text) || output.text).trim()}`)

/**
 * Starts a server on a free port, and again on another when that one was taken meanwhile.
 *
 * @param {Serve} options
 * @returns {Promise<{ readonly port: number, readonly pid: number }>}
 */
export const serve = async (options) => {
  for (let attempt = 1;; attempt++) {
    const port = await freePort()
    const pid = await launch(options, port)
    if (pid !== undefined) {
      served = { options, port }
      return { port, pid }
    }
    if (attempt === portAttempts || !options.isTaken(output.text)) {
      throw didNotStart(options)
    }
  }
}

/**
 * Starts a killed server again. Its other processes take a moment to notice that it is dead.
 *
 * @returns {Promise<Started>}
 */
const restart = async () => {
  if (served === undefined || isRunning(child)) {
    throw new Failure("StartFailed", "The server runs already.")
  }
  const { options, port } = served
  for (const began = Date.now();;) {
    const pid = await launch(options, port)
    if (pid !== undefined) {
      return { pid }
    }
    if (Date.now() - began > restartMillis || !options.isTaken(output.text)) {
      throw didNotStart(options)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/**
 * Kills the server as the kernel does when memory runs out.
 *
 * @returns {Promise<Killed>}
 */
const kill = async () => {
  if (isRunning(child)) {
    const killed = child
    const exited = new Promise((resolve) => killed.once("exit", resolve))
    killed.kill("SIGKILL")
    await exited
  }
  return {}
}

/**
 * @param {import("node:child_process").ChildProcess | undefined} process
 * @returns {process is import("node:child_process").ChildProcess}
 */
const isRunning = (process) =>
  process !== undefined && process.pid !== undefined && process.exitCode === null && process.signalCode === null

/** @param {Ready | Started | Killed | Failed} message */
const report = (message) => {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

/**
 * Stops the server with these signals, each with the milliseconds it may take, and removes its directory.
 *
 * @param {ReadonlyArray<readonly [NodeJS.Signals, number]>} signals
 */
const stop = async (signals) => {
  if (stopping) {
    return
  }
  stopping = true
  if (isRunning(child)) {
    const running = child
    const exited = new Promise((resolve) => running.once("exit", resolve))
    for (const [signal, millis] of signals) {
      running.kill(signal)
      const timer = new AbortController()
      const late = new Promise((resolve) => {
        const timeout = setTimeout(() => resolve(true), millis)
        timer.signal.addEventListener("abort", () => clearTimeout(timeout))
      })
      const isLate = await Promise.race([exited.then(() => false), late])
      timer.abort()
      if (!isLate) {
        break
      }
    }
  }
  if (directory !== undefined) {
    // Retries, because backends that outlive a killed postmaster for a moment may still write.
    Fs.rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
  process.exit(0)
}

/** @param {unknown} cause */
const reportFailure = (cause) => {
  if (!stopping) {
    report(
      cause instanceof Failure
        ? { reason: cause.reason, message: cause.message }
        : { reason: "StartFailed", message: String(cause) }
    )
  }
}

/**
 * Waits for the order to start, for later orders, and for the end of the input.
 *
 * @template Settings
 * @param {ReadonlyArray<readonly [NodeJS.Signals, number]>} signals how to stop the server
 * @param {(settings: Settings) => Promise<Omit<Ready, "directory">>} launch
 */
export const guard = (signals, launch) => {
  const main = async (/** @type {Settings} */ settings) => {
    try {
      const launched = await launch(settings)
      report({ ...launched, directory: /** @type {string} */ (directory) })
    } catch (cause) {
      reportFailure(cause)
      await stop(signals)
    }
  }
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.on(signal, () => void stop(signals))
  }
  // The owner may be gone before it has read the answer.
  process.stdout.on("error", () => {})
  const lines = ReadLine.createInterface({ input: process.stdin })
  lines.once("line", (line) => {
    void main(JSON.parse(line))
    lines.on("line", (word) => void (word === "kill" ? kill() : restart()).then(report, reportFailure))
  })
  lines.once("close", () => void stop(signals))
}
