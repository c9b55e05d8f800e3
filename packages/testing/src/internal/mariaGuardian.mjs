/**
 * Guards a MariaDB or MySQL server: it comes with `Settings` and goes with its owner.
 *
 * @internal
 */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import {
  environment,
  Failure,
  finish,
  give,
  guard,
  host,
  makeDirectory,
  serve,
  traversable,
  unprivileged
} from "./guardian.mjs"

/**
 * @typedef {{
 *   readonly product: "MariaDB" | "MySQL"
 *   readonly server: string
 *   readonly install?: string
 *   readonly user: string
 *   readonly password: string
 *   readonly database: string
 *   readonly settings: Record<string, string>
 * }} Settings
 */

/**
 * The accounts that a new data directory comes with have no password, so ours takes their place.
 *
 * @param {Settings} settings
 */
const accounts = ({ database, password, product, user }) =>
  [
    ...(product === "MySQL"
      ? ["drop user 'root'@'localhost'"]
      : ["delete from mysql.global_priv where User <> 'mariadb.sys'", "flush privileges"]),
    `create user '${user}'@'%' identified by '${password}'`,
    `grant all on *.* to '${user}'@'%' with grant option`,
    `create database ${database} character set utf8mb4 collate utf8mb4_unicode_ci`
  ].map((statement) => `${statement};\n`).join("")

/**
 * Makes the data directory: MariaDB by a program of its own, MySQL by its server.
 *
 * @param {Settings} settings
 * @param {ReadonlyArray<string>} common
 * @param {string} statements the file with the statements that are run in it
 * @returns {readonly [command: string, args: ReadonlyArray<string>]}
 */
const initialize = ({ install, server }, common, statements) =>
  install === undefined
    ? [server, [...common, "--initialize-insecure", `--init-file=${statements}`]]
    : [install, [
      ...common,
      "--auth-root-authentication-method=normal",
      "--skip-test-db",
      "--skip-name-resolve",
      `--extra-file=${statements}`
    ]]

/**
 * The program where the server's account can get at it: MySQL's, with all that belongs to it, is in the user's cache.
 *
 * @param {string} server
 * @param {string} home
 * @param {import("./guardian.mjs").Identity} identity
 */
const reachable = (server, home, identity) => {
  const directory = Path.dirname(Path.dirname(server))
  if (traversable(directory, identity)) {
    return server
  }
  const copy = Path.join(home, "program")
  Fs.cpSync(directory, copy, { recursive: true })
  Fs.chmodSync(copy, 0o755)
  return Path.join(copy, Path.relative(directory, server))
}

guard([["SIGTERM", 5000], ["SIGKILL", 1000]], async (/** @type {Settings} */ given) => {
  const { product } = given
  const identity = unprivileged(product)
  const home = makeDirectory(product.toLowerCase(), identity)
  const settings = { ...given, server: reachable(given.server, home, identity) }
  const probe = spawnSync(settings.server, ["--version"], {
    ...identity,
    cwd: home,
    encoding: "utf8",
    env: environment
  })
  if (probe.status !== 0) {
    throw new Failure(
      "UnsupportedPlatform",
      `"${settings.server}" does not run here: ${(probe.error?.message ?? probe.stderr ?? "").trim()}`
    )
  }
  const dataDirectory = Path.join(home, "data")
  // a server that starts removes the temporary tables of all others that share its directory for them
  const temporary = Path.join(home, "tmp")
  Fs.mkdirSync(temporary)
  give(temporary, identity)
  const statements = Path.join(home, "accounts.sql")
  Fs.writeFileSync(statements, accounts(settings), { mode: 0o600 })
  give(statements, identity)
  const [command, args] = initialize(
    settings,
    ["--no-defaults", `--datadir=${dataDirectory}`, `--tmpdir=${temporary}`, "--innodb-flush-log-at-trx-commit=0"],
    statements
  )
  await finish(command, args, home, identity)
  Fs.rmSync(statements)
  const pidFile = Path.join(dataDirectory, "server.pid")
  const { pid, port } = await serve({
    name: product,
    command: settings.server,
    args: (port) => [
      "--no-defaults",
      ...Object.entries({
        ...settings.settings,
        datadir: dataDirectory,
        tmpdir: temporary,
        "bind-address": host,
        port: String(port),
        // none at all: its path may not be long, and the one of a directory for temporary files may be
        socket: "",
        "pid-file": pidFile
      }).map(([name, value]) => `--${name}=${value}`)
    ],
    cwd: home,
    identity,
    isReady: (output) => output.includes("ready for connections"),
    // the others: by a server that was killed
    isTaken: (output) => /Bind on TCP\/IP port|Can't lock|Unable to lock/.test(output),
    complaints: (output) =>
      [...output.matchAll(/\[ERROR\] (?:\[MY-\d+\] \[\w+\] )?(.*)/g)].map(([, complaint]) => complaint).join(" ")
  })
  return { port, pid, pidFile, version: probe.stdout.replace(/^.*\bVer (\S+).*$/s, "$1") }
})
